"""The bands of a scene that shards hold and a model sees: names, type, scale, missing values.

Thresholds, filters and pictures use the colours of a scene: 8-bit red, green and blue
(`polynya.scenes.reading`). A model also sees the colours, unless the recipe's key `scene.inputs`
names bands. In this case, shards hold these bands in the data type of the file, with scale, offset
and missing values of each band, and a model sees their physical values (mostly reflectance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import opened_raster, tile_window
from polynya.recipe.scene import SceneOptions
from polynya.scenes.band_names import common_name, find_band
from polynya.scenes.beside.land import read_land
from polynya.scenes.scene import DTYPES, BandSet, InputBand, Scene
from polynya.scenes.validity import find_validity, nodata_value, read_valid
from polynya.scenes.zeros import nodata_zeros

_KEY = "scene.inputs"


@dataclass(frozen=True)
class BandPixels:
    """Digital numbers of some bands as in the file."""

    numbers: NDArray[Any]
    """(H, W, B), in the data type of the file; 0 for missing values."""
    valid: NDArray[np.bool_]
    """(H, W, B), False for missing values."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(H, W), True for pixels with a value in any band; they get a class in maps."""
        return np.asarray(self.valid.any(axis=-1), np.bool_)

    def part(self, tile: Tile) -> BandPixels:
        """The pixels of a tile."""
        return BandPixels(
            np.ascontiguousarray(self.numbers[tile.slices]),
            np.ascontiguousarray(self.valid[tile.slices]),
        )


def find_band_set(source: Any, uri: str, options: SceneOptions) -> BandSet | None:
    """Find the bands that the recipe's key `scene.inputs` names; None if it names none.

    Args:
        source: The open raster.
        uri: Name of the raster.
        options: Names of bands, and scale and offset if they replace the file's.

    Raises:
        SceneError: A band is missing, is named twice, or bands have unsuitable or different types.
    """
    if options.inputs is None:
        return None
    found = []
    for wanted in options.inputs:
        index = find_band(source, uri, wanted, _KEY)
        name = wanted if isinstance(wanted, str) else _name_of(source, index, uri)
        found.append(
            InputBand(
                name,
                index,
                float(source.scales[index - 1]) if options.scale is None else options.scale,
                float(source.offsets[index - 1]) if options.offset is None else options.offset,
                nodata_value(source, index),
            )
        )
    _check_once([band.index for band in found], options.inputs, uri)
    dtypes = {str(source.dtypes[band.index - 1]) for band in found}
    if len(dtypes) > 1:
        raise SceneError(
            f"{printable(uri)} has inputs of different types ({', '.join(sorted(dtypes))}); convert"
            " them to one (gdal_translate -ot Float32)."
        )
    dtype = dtypes.pop()
    if dtype not in DTYPES:
        raise SceneError(
            f"{printable(uri)} has {dtype} pixels; inputs may be {', '.join(DTYPES)}; convert them"
            " (gdal_translate -ot Float32)."
        )
    return BandSet(tuple(found), dtype)


def _check_once(indexes: list[int], wanted: Any, uri: str) -> None:
    for place, index in enumerate(indexes):
        if index in indexes[:place]:
            first = wanted[indexes.index(index)]
            raise SceneError(
                f"{printable(uri)}: '{first}' and '{wanted[place]}' of the recipe's key '{_KEY}'"
                f" are the same band ({index}); name it once."
            )


def _name_of(source: Any, index: int, uri: str) -> str:
    known = common_name(source, index, uri)
    return known or source.descriptions[index - 1] or f"band_{index}"


def read_inputs(scene: Scene, tile: Tile | None = None) -> BandPixels:
    """Read the bands of a scene for shards and models, as in the file.

    A pixel is missing in one band if it has the band's nodata value or no finite number. It is
    missing in all bands if the file's mask or alpha band or the map of land says so, or if all
    bands are 0 in a file without any nodata information. `scene.zero_is_nodata` says which of these
    zeros count.

    Args:
        scene: From `open_scene`, with `scene.inputs`.
        tile: Rectangle to read; default: the whole scene.

    Raises:
        SceneError: The pixels can't be read.
    """
    assert scene.inputs is not None
    band_set, window = scene.inputs, tile_window(tile)
    with opened_raster(scene.uri, scene.references) as source:
        shape = (source.height, source.width) if tile is None else (tile.height, tile.width)
        numbers = np.zeros((*shape, len(band_set.bands)), band_set.dtype)
        source.read(list(band_set.indexes), window=window, out=np.moveaxis(numbers, -1, 0))
        whole = find_validity(source, band_set.indexes).without_values()
        seen = read_valid(source, whole, numbers, window)
        if scene.zero_is_nodata:
            black = (numbers == 0).all(axis=-1)
            if scene.zero_is_nodata == "edge":
                black = nodata_zeros(scene, source, band_set.indexes, tile, black)
            seen &= ~black
    if scene.land is not None:
        seen &= ~read_land(scene, tile)
    valid = np.isfinite(numbers) if band_set.dtype == "float32" else np.ones(numbers.shape, bool)
    valid &= seen[..., None]
    for place, band in enumerate(band_set.bands):
        if band.nodata is not None:
            valid[..., place] &= numbers[..., place] != np.asarray(band.nodata, numbers.dtype)
    numbers[~valid] = 0
    return BandPixels(numbers, valid)
