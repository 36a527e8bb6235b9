"""Images of samples: files that GDAL reads, and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import COLORS, SceneOptions
from polynya.scenes.band_set import BandPixels, read_inputs
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import open_scene, read_scene
from polynya.scenes.scene import DTYPES, BandSet, InputBand, Scene


@dataclass(frozen=True)
class Pixels:
    """The image of a sample, or a part of it."""

    image: NDArray[np.uint8]
    """(H, W, 3), 8-bit colours, 0 for nodata; all 0 if the recipe names bands."""
    valid: NDArray[np.bool_]
    """(H, W), False for pixels without data, which get no label."""
    inputs: BandPixels | None
    """Bands, if the recipe names some."""

    @classmethod
    def of_bands(cls, inputs: BandPixels) -> Pixels:
        """Make them of bands: a pixel is valid if one of its bands is."""
        image = np.broadcast_to(np.uint8(0), (*inputs.seen.shape, len(COLORS)))
        return cls(image, inputs.seen, inputs)


def describe_raster(sample: SceneRef, recipe: Recipe, *, needs_colors: bool = False) -> Scene:
    """Describe an image that GDAL reads.

    Args:
        sample: Id and place of the image.
        recipe: Has a section `imports`.
        needs_colors: Whether colours must be there even if the recipe names bands.

    Raises:
        SceneError: The file can't be used.
    """
    assert recipe.imports is not None
    names, missing = recipe.imports.bands, recipe.imports.missing
    options = recipe.scene if names is None else _by_number(recipe.scene, names, sample.uri)
    scene = open_scene(sample.uri, options, sample.id, needs_colors=needs_colors)
    if scene.inputs is None:
        return scene
    band_set, bands = scene.inputs, scene.inputs.bands
    if names is not None:
        bands = tuple(replace(band, name=names[band.index - 1]) for band in bands)
    if missing is not None:
        bands = tuple(replace(band, nodata=missing) for band in bands)
        scene = replace(scene, zero_is_nodata=scene.zero_is_nodata is True)
    return replace(scene, inputs=replace(band_set, bands=bands))


def read_raster(sample: SceneRef, scene: Scene, recipe: Recipe, window: Tile | None) -> Pixels:
    """Read an image that GDAL reads, or a rectangle of it.

    Raises:
        SceneError: The pixels can't be read.
    """
    if scene.inputs is None:
        image, valid = read_scene(scene, window)
        return Pixels(image, valid, None)
    return Pixels.of_bands(read_inputs(scene, window))


def describe_array(
    sample: SceneRef, recipe: Recipe, shape: Sequence[int], dtype: np.dtype[Any]
) -> Scene:
    """Describe an image that is an array (H, W, B) without place on the ground.

    Args:
        sample: Id and place of the array.
        recipe: Which bands shards get.
        shape: H, W, B; or H, W for one band.
        dtype: Data type of the numbers.

    Raises:
        SceneError: The array is no image, or lacks a band.
    """
    refuse_land(sample, recipe)
    height, width, count = (*shape, 1)[:3]
    if len(shape) not in (2, 3) or str(dtype) not in DTYPES:
        raise SceneError(
            f"{printable(sample.uri)} has an image of {dtype} {tuple(shape)}; write it as (rows,"
            f" columns, bands) of {', '.join(DTYPES)}."
        )
    inputs = None
    if recipe.scene.inputs is not None:
        names = [f"band_{number}" for number in range(1, count + 1)]
        inputs = array_bands(sample, recipe, names, str(dtype))
    elif (count, str(dtype)) != (len(COLORS), "uint8"):
        raise SceneError(
            f"{printable(sample.uri)} has {count} bands of {dtype}, which are no 8-bit colours;"
            " name the bands that shards get in the recipe's key 'scene.inputs', such as [1, 2, 3]."
        )
    return Scene(
        id=sample.id, uri=sample.uri, height=height, width=width, crs=None, transform=None,
        dtype=str(dtype), band_indexes=(1, 2, 3), scale=1.0, offset=0.0,
        stretch=recipe.scene.stretch, zero_is_nodata=recipe.scene.zero_is_nodata is True,
        inputs=inputs,
    )  # fmt: skip


def refuse_land(sample: SceneRef, recipe: Recipe) -> None:
    """Raise SceneError if the recipe names a map of land, which an image can't be brought to."""
    if recipe.scene.land is not None:
        assert recipe.imports is not None
        raise SceneError(
            f"{printable(sample.uri)} can't be brought to the map of land, as the kind"
            f" '{recipe.imports.kind}' knows none; leave 'scene.land' out of the recipe."
        )


def array_bands(
    sample: SceneRef,
    recipe: Recipe,
    names: Sequence[str],
    dtype: str,
    nodata: Sequence[float | None] | None = None,
) -> BandSet:
    """Choose the bands that shards get from those of an image.

    Args:
        sample: Id and place of the image.
        recipe: Names bands in `scene.inputs`.
        names: Own names of all bands, which `imports.bands` replaces.
        dtype: Data type of the numbers.
        nodata: Number of each band that means missing, which `imports.missing` replaces.

    Raises:
        SceneError: `imports.bands` has more or fewer names than there are bands, a band is missing,
            or shards can't hold the data type.
    """
    assert recipe.imports is not None
    assert recipe.scene.inputs is not None
    if dtype not in DTYPES:
        raise SceneError(
            f"{printable(sample.uri)} has {dtype} pixels; inputs may be {', '.join(DTYPES)};"
            " convert them (gdal_translate -ot Float32)."
        )
    known = recipe.imports.bands or names
    if len(known) != len(names):
        raise SceneError(
            f"{printable(sample.uri)} has {len(names)} bands and the recipe's key 'imports.bands'"
            f" {len(known)} names; name each band once."
        )
    missing = [recipe.imports.missing if recipe.imports.missing is not None else value
               for value in nodata or [None] * len(names)]  # fmt: skip
    scale = 1.0 if recipe.scene.scale is None else recipe.scene.scale
    offset = 0.0 if recipe.scene.offset is None else recipe.scene.offset
    numbers = _numbers(recipe.scene.inputs, known, sample.uri, "scene.inputs")
    bands = [InputBand(known[i - 1], i, scale, offset, missing[i - 1]) for i in numbers]
    return BandSet(tuple(bands), dtype)


def pixels_of(array: NDArray[Any], scene: Scene) -> Pixels:
    """Take the pixels of a sample from its array (H, W, B), or (H, W) for one band.

    Args:
        array: The image, or a rectangle of it.
        scene: From `describe_array`.
    """
    array = np.atleast_3d(array)
    black = (array == 0).all(axis=-1) if scene.zero_is_nodata else np.zeros(array.shape[:2], bool)
    if scene.inputs is None:
        return Pixels(np.where(black[..., None], 0, array).astype(np.uint8), ~black, None)
    numbers = array[..., [index - 1 for index in scene.inputs.indexes]]
    valid = np.isfinite(numbers) & ~black[..., None]
    missing = scene.inputs.bands[0].nodata
    if missing is not None:
        valid &= numbers != missing
    return Pixels.of_bands(BandPixels(np.where(valid, numbers, 0).astype(array.dtype), valid))


def _by_number(options: SceneOptions, names: Sequence[str], uri: str) -> SceneOptions:
    """Options in which bands are numbers, for files that don't say the names of their bands."""
    changes: dict[str, object] = {}
    if options.inputs is not None:
        changes["inputs"] = _numbers(options.inputs, names, uri, "scene.inputs")
    wanted = options.bands or (COLORS if set(COLORS) <= set(names) else None)
    if wanted is not None:
        changes["bands"] = _numbers(wanted, names, uri, "scene.bands")
    return options.model_copy(update=changes)


def _numbers(
    wanted: Sequence[int | str], names: Sequence[str], uri: str, key: str
) -> tuple[int, ...]:
    """1-based numbers of bands that a recipe gives by number or name."""
    known = dict(zip(names, range(1, len(names) + 1), strict=True))
    for band in wanted:
        if not (band in known if isinstance(band, str) else 1 <= band <= len(names)):
            raise SceneError(
                f"{printable(uri)} has no band {band!r} ({', '.join(names)}); fix {key} in the"
                " recipe."
            )
    return tuple(known[band] if isinstance(band, str) else band for band in wanted)
