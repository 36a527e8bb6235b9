"""Colours of scenes that a model sees by named bands; only pictures need these colours.

Such scenes may have no red, green and blue, or numbers that don't say what reflectance they mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import SceneError
from polynya.rasters.opening import opened_raster
from polynya.rasters.scaling import stretched
from polynya.recipe.scene import COLORS, SceneOptions
from polynya.scenes.bands import find_colors
from polynya.scenes.scene import DTYPES, Scene

_ENDS = 1, 99
"""Percentiles of a scene's colours that become black and white."""
_LONGEST = 512
"""Longest side of the small version of the scene that percentiles are taken from."""


def with_shown_colors(scene: Scene) -> Scene:
    """Give a scene colours for pictures, stretched from its own darkest to its own brightest ones.

    Red, green and blue are those of its inputs, otherwise those that the file names.

    Args:
        scene: Opened with `needs_colors=False`.

    Returns:
        The scene; without colours (`has_colors`) if there are none.

    Raises:
        SceneError: The pixels can't be read.
    """
    assert scene.inputs is not None
    known = {band.name: band for band in scene.inputs.bands}
    with opened_raster(scene.uri, scene.references) as source:
        if set(COLORS) <= set(known):
            indexes = tuple(known[name].index for name in COLORS)
        else:
            indexes = _find(source, scene.uri)
        dtypes = {str(source.dtypes[index - 1]) for index in indexes}
        if len(dtypes) != 1 or not dtypes <= set(DTYPES):
            return replace(scene, band_indexes=())
        missing = [known[name].nodata for name in COLORS if name in known] or [None]
        low, high = _ends(source, indexes, missing[0])
    dtype = dtypes.pop()
    if dtype == "uint8":
        return replace(scene, band_indexes=indexes, dtype=dtype, scale=1.0, offset=0.0)
    black, white = scene.stretch
    scale = (white - black) / (high - low)
    return replace(
        scene, band_indexes=indexes, dtype=dtype, scale=scale, offset=black - scale * low
    )


def tile_colors(image: NDArray[Any], scene: SceneOptions) -> NDArray[np.uint8]:
    """Return the colours of a tile for a picture: uint8 (H, W, 3), 0 where nodata.

    If the recipe names bands, the picture shows red, green and blue, or the first band in grey if
    one of the three is not there. The recipe's stretch applies; where most numbers are beyond its
    white, as of tiles that were imported without a scale, their 2nd percentile becomes black and
    their 98th white.

    Args:
        image: (H, W, bands): uint8 colours; or float32 values of bands, NaN for missing values.
        scene: The recipe's section of the tile.
    """
    if scene.sees_colors:
        return image
    bands = scene.seen_bands
    shown = [name for name in COLORS if name in bands]
    chosen = shown if len(shown) == len(COLORS) else [bands[0]] * len(COLORS)
    values = image[..., [bands.index(name) for name in chosen]]
    ends, known = scene.stretch, values[np.isfinite(values)]
    if known.size and np.median(known) > ends[1]:
        low, high = (float(end) for end in np.percentile(known, (2, 98)))
        ends = (low, max(high, low + 1e-6 * abs(low)))
    colors = stretched(values, 1.0, 0.0, ends)
    colors[np.isnan(values).any(axis=-1)] = 0
    return colors


def _find(source: Any, uri: str) -> tuple[int, ...]:
    try:
        return find_colors(source, uri)
    except SceneError:
        return ()


def _ends(source: Any, indexes: tuple[int, ...], missing: float | None) -> tuple[float, float]:
    """Numbers that become black and white."""
    step = -(-max(source.shape) // _LONGEST)
    shape = (len(indexes), *(-(-edge // step) for edge in source.shape))
    small = source.read(list(indexes), out_shape=shape, masked=True)
    numbers = small.compressed().astype(np.float64)
    numbers = numbers[np.isfinite(numbers) & (numbers != missing)]
    if not numbers.size:
        return 0.0, 1.0
    low, high = np.percentile(numbers, _ENDS).tolist()
    return low, max(high, low + 1e-6 * max(abs(low), 1.0))
