"""Describe and read scenes: all files that GDAL can open and that have red, green and blue.

`open_scene` describes a scene once. `read_scene` reads any rectangle of it as an 8-bit RGB image
and a mask of valid pixels. Nodata pixels are found from alpha, masks and nodata values
(`polynya.scenes.validity`), or from zeros (`polynya.scenes.zeros`). `read_layers` reads other
layers of a scene (`polynya.scenes.beside.layers`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable, scene_id
from polynya.rasters.opening import band_number, check_size, check_whole, opened_raster, tile_window
from polynya.rasters.references import decide_references
from polynya.rasters.scaling import (
    FARTHEST_STRETCH,
    check_reach,
    check_scaling,
    stretch_table,
    stretched,
)
from polynya.recipe.scene import SceneOptions
from polynya.scenes.band_set import find_band_set
from polynya.scenes.bands import find_colors
from polynya.scenes.beside.land import find_land, read_land
from polynya.scenes.beside.layers import find_layers
from polynya.scenes.place import read_place
from polynya.scenes.scene import DTYPES, Scene
from polynya.scenes.validity import find_validity, read_valid
from polynya.scenes.zeros import nodata_zeros
from polynya.storage.stores import gdal_path

_MOST_BEYOND = 0.5
"""Greatest share of numbers above every possible stretch; real glints are fewer."""


def open_scene(
    uri: str | Path,
    options: SceneOptions | None = None,
    name: str | None = None,
    *,
    needs_colors: bool = True,
) -> Scene:
    """Describe a scene: size, georeference, bands of its colours and their scaling.

    Args:
        uri: Path or URI that GDAL opens.
        options: Section `scene` of the recipe, such as bands, scale and stretch.
        name: Id of the scene; default: made from the file name.
        needs_colors: False for callers that only read the inputs of a recipe that names some: the
            scene needs no red, green and blue then, and `read_scene` can't read it.

    Raises:
        SceneError: The file is missing or unreadable, has too few or unknown bands, 64-bit numbers,
            or 16-bit numbers of unknown scale.
    """
    options, uri = options or SceneOptions(), os.fspath(uri)
    references = decide_references(gdal_path(uri), options.references)
    with opened_raster(uri, references) as source:
        check_whole(uri)
        check_size(source, uri)
        if needs_colors or options.inputs is None:
            indexes = _find_bands(source, uri, options)
            dtype = _find_dtype(source, uri, indexes)
            scale, offset = _find_scaling(source, uri, indexes, dtype, options)
            layers = find_layers(source, uri, indexes, options)
            inputs = find_band_set(source, uri, options)
        else:
            inputs, layers = find_band_set(source, uri, options), None
            assert inputs is not None  # The options name some.
            indexes, dtype, scale, offset = inputs.indexes, inputs.dtype, 1.0, 0.0
        validity = find_validity(source, indexes)
        place = read_place(source)
        return Scene(
            id=name or scene_id(uri),
            uri=uri,
            height=source.height,
            width=source.width,
            crs=place.crs,
            transform=place.transform,
            dtype=dtype,
            band_indexes=indexes,
            scale=scale,
            offset=offset,
            stretch=options.stretch,
            zero_is_nodata=options.zero_is_nodata if validity.says_nothing else False,
            layers=layers,
            control=place.control,
            place_problem=place.problem,
            land=find_land(source, uri, None not in (place.crs, place.transform), options),
            references=references,
            inputs=inputs,
        )


def read_scene(
    scene: Scene, tile: Tile | None = None, *, step: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a scene, or a part of it, as 8-bit RGB.

    Reflectance R becomes 255 * (R - low) / (high - low), rounded and clipped to 1..255, so that 0
    remains for nodata (as in Sentinel-2's own true-colour images).

    Args:
        scene: From `open_scene`.
        tile: Rectangle to read; default: the whole scene.
        step: Read one pixel of each `step` x `step` pixels, to look at a scene: from its overviews,
            if the file has some. Which black pixels are nodata is then only roughly known.

    Returns:
        Image, uint8 (H, W, 3), RGB, 0 for nodata; mask, bool (H, W), True for valid pixels. With a
        step, H and W are divided by it and rounded up.

    Raises:
        SceneError: The scene has no red, green and blue, or the pixels can't be read (truncated or
            damaged file).
    """
    if not scene.has_colors:
        raise SceneError(
            f"{printable(scene.uri)} has no red, green and blue, so it can't be shown in colour;"
            " name their bands in the recipe's key 'scene.bands'."
        )
    window = tile_window(tile)
    with opened_raster(scene.uri, scene.references) as source:
        whole = (source.height, source.width) if tile is None else (tile.height, tile.width)
        shape = (-(-whole[0] // step), -(-whole[1] // step))
        # Zeros, because pixels that GDAL doesn't fill must not contain old memory.
        numbers = np.zeros((*shape, len(scene.band_indexes)), scene.dtype)
        # GDAL writes each band directly into the (H, W, bands) array, which saves a copy.
        source.read(list(scene.band_indexes), window=window, out=np.moveaxis(numbers, -1, 0))
        validity = find_validity(source, scene.band_indexes)
        if scene.zero_is_nodata:
            validity = replace(validity, nodata=(0,) * len(scene.band_indexes))
        valid = read_valid(source, validity, numbers, window)
        if scene.zero_is_nodata == "edge" and step == 1 and not valid.all():
            # So far, all black pixels are without data, and no others.
            valid = ~nodata_zeros(scene, source, scene.band_indexes, tile, ~valid)
    if numbers.dtype.kind == "f":
        valid &= np.isfinite(numbers).all(axis=-1)
    if scene.land is not None:
        valid &= ~(read_land(scene, tile) if step == 1 else _reduced_land(scene, tile, step))
    image = _stretched(numbers, scene)
    if not valid.all():
        image[~valid] = 0
    return image, valid


def _reduced_land(scene: Scene, tile: Tile | None, step: int) -> NDArray[np.bool_]:
    """Read the land in a part of a scene, one pixel of each `step` x `step` pixels."""
    part = tile or Tile(0, 0, scene.height, scene.width)
    a, b, c, d, e, f = scene.tile_transform(part) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert scene.land is not None  # The caller has looked.
    reduced = replace(
        scene,
        height=-(-part.height // step),
        width=-(-part.width // step),
        transform=(a * step, b * step, c, d * step, e * step, f),
        land=replace(scene.land, on_grid=False),
    )
    return read_land(reduced, None)


def _stretched(numbers: NDArray[Any], scene: Scene) -> NDArray[np.uint8]:
    """8-bit colours of digital numbers; values of pixels without data are undefined."""
    if numbers.dtype == np.uint8:
        return numbers
    if numbers.dtype == np.float32:
        _check_reflectance(numbers, scene)
        return stretched(numbers, scene.scale, scene.offset, scene.stretch)
    table = stretch_table(scene.dtype, scene.scale, scene.offset, scene.stretch)
    return table[numbers.view(np.uint16)]


def _check_reflectance(numbers: NDArray[np.float32], scene: Scene) -> None:
    """Refuse floats that are not reflectances, because nearly all of them would become white."""
    beyond = numbers * scene.scale + scene.offset > FARTHEST_STRETCH
    if beyond.mean() > _MOST_BEYOND:
        raise SceneError(
            f"{printable(scene.uri)} has numbers up to {np.nanmax(numbers):g}, which are no"
            " reflectances; set scene.scale and scene.offset in the recipe."
        )


def _find_bands(source: Any, uri: str, options: SceneOptions) -> tuple[int, ...]:
    if options.bands is None:
        return find_colors(source, uri)
    return tuple(band_number(source, uri, band, "scene.bands") for band in options.bands)


def _find_dtype(source: Any, uri: str, indexes: tuple[int, ...]) -> str:
    """Data type of the colours."""
    dtypes = [str(source.dtypes[index - 1]) for index in indexes]
    if len(set(dtypes)) > 1:
        raise SceneError(
            f"{printable(uri)} has colours of different types ({', '.join(dtypes)}); convert them"
            " to one (gdal_translate -ot UInt16)."
        )
    if dtypes[0] not in DTYPES:
        raise SceneError(
            f"{printable(uri)} has {dtypes[0]} pixels; convert them to reflectance as 32-bit floats"
            " (gdal_translate -ot Float32), or to 16-bit numbers that say their scale"
            " (gdal_translate -ot UInt16 -scale 0 1 0 10000 -a_scale 0.0001 -a_offset 0)."
        )
    return dtypes[0]


def _find_scaling(
    source: Any, uri: str, indexes: tuple[int, ...], dtype: str, options: SceneOptions
) -> tuple[float, float]:
    """Scale and offset of the colours: from the recipe, otherwise from the file."""
    if dtype == "uint8":
        return 1.0, 0.0
    scales = {source.scales[i - 1] for i in indexes}
    offsets = {source.offsets[i - 1] for i in indexes}
    if (options.scale is None and len(scales) > 1) or (options.offset is None and len(offsets) > 1):
        raise SceneError(
            f"{printable(uri)} has bands of different scale or offset; set scene.scale and"
            " scene.offset in the recipe."
        )
    scale = options.scale if options.scale is not None else scales.pop()
    offset = options.offset if options.offset is not None else offsets.pop()
    if dtype == "float32":
        return scale, offset  # Floats are reflectances, unless recipe or file give a scale.
    if scale == 1.0:
        raise SceneError(
            f"{printable(uri)} has {dtype} pixels and doesn't say what reflectance they mean; set"
            " scene.scale and scene.offset in the recipe (Sentinel-2: 0.0001 and, from processing"
            " baseline 04.00, -0.1)."
        )
    check_scaling(scale, offset, uri)
    check_reach(dtype, scale, offset, options.stretch, uri)
    return scale, offset
