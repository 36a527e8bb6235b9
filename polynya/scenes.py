"""Scenes: find, describe and read anything GDAL opens that has red, green and blue.

A scene is described once (`open_scene`) and read by window (`read_scene`) as an 8-bit RGB image and
a mask of valid pixels. Nodata is known per pixel from alpha, masks, nodata values and zeros. What
it holds beside its colours is read by `read_layers` (`polynya.layers`).
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.layers import LayerSources, SceneLayers, find_layers, read_layers
from polynya.place import ControlPoints, read_place
from polynya.rasters import EXTENSIONS, band_number, opened_raster, tile_window
from polynya.recipe import SceneOptions
from polynya.stores import is_listing, list_objects

__all__ = [
    "BANDS",
    "Scene",
    "SceneLayers",
    "SceneRef",
    "find_scenes",
    "open_scene",
    "read_layers",
    "read_scene",
    "scene_id",
    "unique_id",
]

BANDS = ("red", "green", "blue")
_COLORS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_SENTINEL2_NAMES = (("B04", "B4"), ("B03", "B3"), ("B02", "B2"))
_INTEGER_TYPES = ("uint8", "uint16", "int16")


@dataclass(frozen=True)
class SceneRef:
    """Name and place of a scene that has not been opened yet."""

    id: str
    """Unique within a batch; letters, digits, dot, dash and underscore only."""
    uri: str


@dataclass(frozen=True)
class Scene:
    """What is known of a scene before its pixels are read. Small and picklable."""

    id: str
    uri: str
    height: int
    """Rows."""
    width: int
    """Columns."""
    crs: str | None
    """'EPSG:n' where there is a code, else WKT; None without georeference."""
    transform: tuple[float, float, float, float, float, float] | None
    """Affine coefficients (a, b, c, d, e, f) from pixel to CRS coordinates."""
    dtype: str
    """Type of the digital numbers in the file."""
    band_indexes: tuple[int, ...]
    """1-based bands of red, green and blue."""
    scale: float
    """Reflectance per digital number; 1 for 8-bit images, which are taken as they are."""
    offset: float
    """Reflectance at digital number 0."""
    stretch: tuple[float, float]
    """Reflectances that become 0 and 255."""
    zero_is_nodata: bool
    """The file has no validity of its own, and black means nodata."""
    layers: LayerSources | None = None
    """Where its other layers are; None if the recipe asks for none."""
    control: ControlPoints | None = None
    """Ground control points or rational polynomials of a scene without geotransform."""
    place_problem: str = ""
    """What its georeference lacks for a place on the ground, and how to add it; else empty."""

    @property
    def has_place(self) -> bool:
        """Whether `transform` gives coordinates of `crs`; one without the other is no place."""
        return self.crs is not None and self.transform is not None

    def tile_transform(self, tile: Tile) -> tuple[float, ...] | None:
        """Affine coefficients of one tile; None without georeference."""
        if self.transform is None:
            return None
        a, b, c, d, e, f = self.transform
        return (a, b, c + a * tile.col + b * tile.row, d, e, f + d * tile.col + e * tile.row)


def find_scenes(patterns: Sequence[str]) -> list[SceneRef]:
    """Expand files, folders, glob patterns and URIs to scenes.

    What leads nowhere stays in the list under its own name: it fails when it is opened, with the
    reason, and doesn't keep the other scenes of the batch from being done.

    Args:
        patterns: Paths, folders (every raster file directly inside), globs, or URIs GDAL knows;
            s3:// and gs:// URIs that end in / are folders, and may be globs.

    Returns:
        Scenes in order of their URI, each once, ids unique.

    Raises:
        SceneError: A bucket can't be listed.
    """
    uris: set[str] = set()
    for pattern in patterns:
        if is_listing(pattern):
            found = [uri for uri in list_objects(pattern) if uri.lower().endswith(EXTENSIONS)]
        elif "://" in pattern or os.path.isfile(pattern):
            found = [pattern]
        elif os.path.isdir(pattern):
            found = [
                str(path)
                for path in Path(pattern).iterdir()
                if path.suffix.lower() in EXTENSIONS and path.is_file()
            ]
        else:
            found = glob.glob(pattern, recursive=True)
        uris.update(found or [pattern])
    ordered = sorted(uris)
    stems = [scene_id(uri) for uri in ordered]
    repeated = {stem for stem, n in Counter(stems).items() if n > 1}
    return [
        SceneRef(unique_id(uri) if stem in repeated else stem, uri)
        for stem, uri in zip(stems, ordered, strict=True)
    ]


def scene_id(uri: str) -> str:
    """Id of a scene: its file name without extension, in characters that are safe in paths."""
    stem = Path(uri.rstrip("/")).stem
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem) or "scene"


def unique_id(uri: str) -> str:
    """Id of a scene that no other place gives: its own and a digest of where it is."""
    return f"{scene_id(uri)}-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"


def open_scene(uri: str, options: SceneOptions | None = None, name: str | None = None) -> Scene:
    """Describe a scene: size, georeference, where its colours are and how they are scaled.

    Args:
        uri: Path or URI that GDAL opens.
        options: Bands, scale and stretch of the recipe.
        name: Id of the scene; default from the file name.

    Raises:
        SceneError: Missing, unreadable, too few bands, unknown bands, float, or 16-bit data of
            unknown scale.
    """
    options = options or SceneOptions()
    with opened_raster(uri) as source:
        indexes = _find_bands(source, uri, options)
        dtype = source.dtypes[indexes[0] - 1]
        if dtype not in _INTEGER_TYPES:
            raise SceneError(
                f"{uri} has {dtype} pixels; convert it to 8-bit colours or to 16-bit reflectance"
                " with a scale (gdal_translate -ot UInt16 -scale)."
            )
        scale, offset = _find_scale(source, uri, indexes, dtype, options)
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
            zero_is_nodata=options.zero_is_nodata and _says_nothing_of_nodata(source),
            layers=find_layers(source, uri, dtype, options.layers) if options.layers else None,
            control=place.control,
            place_problem=place.problem,
        )


def read_scene(
    scene: Scene, tile: Tile | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a scene, or a part of it, as 8-bit RGB.

    Reflectance R becomes 255 * (R - low) / (high - low), rounded and clipped to 1..255, so that 0
    remains for nodata (as in Sentinel-2's own true-colour images).

    Args:
        scene: From `open_scene`.
        tile: Rectangle to read; default the whole scene.

    Returns:
        uint8 (H, W, 3) RGB, 0 where nodata; bool (H, W), True where valid.

    Raises:
        SceneError: The pixels can't be read (truncated or damaged file).
    """
    window = tile_window(tile)
    with opened_raster(scene.uri) as source:
        shape = (source.height, source.width) if tile is None else (tile.height, tile.width)
        numbers = np.empty((*shape, len(scene.band_indexes)), scene.dtype)
        # GDAL writes each band to its place in the pixels, which spares a copy.
        source.read(list(scene.band_indexes), window=window, out=np.moveaxis(numbers, -1, 0))
        # GDAL would read the pixels once more to compare them with the nodata value.
        nodata = 0 if scene.zero_is_nodata else _only_nodata(source, scene)
        if nodata is None:
            valid = source.dataset_mask(window=window) > 0
        else:
            valid = ~_all_bands_are(numbers, nodata)
    image = numbers if numbers.dtype == np.uint8 else _stretch_table(scene)[numbers.view(np.uint16)]
    if not valid.all():
        image[~valid] = 0
    return image, valid


def _only_nodata(source: Any, scene: Scene) -> int | None:
    """The nodata value, if it alone says what is valid and the file has no bands but the colours.

    GDAL's mask of a file is valid where any of its bands is.
    """
    by_value = all(flags == [MaskFlags.nodata] for flags in source.mask_flag_enums)
    colors_only = sorted(scene.band_indexes) == list(range(1, source.count + 1))
    values = set(source.nodatavals)
    if not by_value or not colors_only or len(values) != 1:
        return None
    value = values.pop()
    return int(value) if np.isfinite(value) and value == int(value) else None


def _all_bands_are(numbers: NDArray[Any], value: int) -> NDArray[np.bool_]:
    """Where all bands have a value; one by one, which is much faster than a reduction over few."""
    same = numbers[..., 0] == value
    for band in range(1, numbers.shape[-1]):
        same &= numbers[..., band] == value
    return np.asarray(same, np.bool_)


def _find_bands(source: Any, uri: str, options: SceneOptions) -> tuple[int, ...]:
    if options.bands is not None:
        return tuple(band_number(source, uri, band, "scene.bands") for band in options.bands)
    if source.count < 3:
        raise SceneError(
            f"{uri} has {source.count} band{'s' * (source.count > 1)} where red, green and blue are"
            " needed; stack them into one file (gdalbuildvrt -separate)."
        )
    if set(_COLORS) <= set(source.colorinterp):
        return tuple(source.colorinterp.index(color) + 1 for color in _COLORS)
    names = [(name or "").upper() for name in source.descriptions]
    found = [names.index(name) + 1 for both in _SENTINEL2_NAMES for name in both if name in names]
    if len(found) == len(BANDS):
        return tuple(found)
    if source.count <= 4:
        return (1, 2, 3)
    raise SceneError(
        f"{uri} has {source.count} bands and none is marked red, green or blue; set scene.bands in"
        " the recipe, such as [4, 3, 2]."
    )


def _says_nothing_of_nodata(source: Any) -> bool:
    return all(MaskFlags.all_valid in flags for flags in source.mask_flag_enums)


def _find_scale(
    source: Any, uri: str, indexes: tuple[int, ...], dtype: str, options: SceneOptions
) -> tuple[float, float]:
    if dtype == "uint8":
        return 1.0, 0.0
    scales = {source.scales[i - 1] for i in indexes}
    offsets = {source.offsets[i - 1] for i in indexes}
    scale = options.scale if options.scale is not None else scales.pop()
    offset = options.offset if options.offset is not None else offsets.pop()
    if (options.scale is None and scales) or (options.offset is None and offsets):
        raise SceneError(
            f"{uri} has bands of different scale or offset; set scene.scale and scene.offset in the"
            " recipe."
        )
    if scale == 1.0:
        raise SceneError(
            f"{uri} has {dtype} pixels and doesn't say what reflectance they mean; set scene.scale"
            " and scene.offset in the recipe (Sentinel-2: 0.0001 and, from processing baseline"
            " 04.00, -0.1)."
        )
    return scale, offset


def _stretch_table(scene: Scene) -> NDArray[np.uint8]:
    """8-bit value of every 16-bit number (bit pattern): 64 KiB instead of float copies."""
    bits = np.arange(65536, dtype=np.uint16)
    numbers = bits.view(np.int16) if scene.dtype == "int16" else bits
    low, high = scene.stretch
    reflectance = numbers * scene.scale + scene.offset
    # Halves are told from float noise first, so that equal reflectance gives equal colours whether
    # a product has an offset or not.
    levels = np.round((reflectance - low) / (high - low) * 255, 6)
    return np.clip(np.rint(levels), 1, 255).astype(np.uint8)
