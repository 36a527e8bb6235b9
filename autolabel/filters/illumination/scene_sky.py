"""Estimate, serialise and slice the cloud and shadow fields of a scene of any size."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels, levels_of
from autolabel.thresholds.profiles import get_profile
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene, SceneLayers

if TYPE_CHECKING:  # Numba takes half a second to import; only one filter needs it.
    from autolabel.filters.illumination.sky import Sky

_ARRAYS = (
    "cell_gain",
    "cell_haze",
    "doubted_gain",
    "doubted_haze",
    "kind",
    "surface",
    "cloud_color",
)
_STRIP_ROWS = 1024
"""Rows that are read at once to find the sky; a multiple of 32, the height of a cell."""


def find_sky(scene: Scene, recipe: Recipe) -> Sky:
    """Find the sky over a scene.

    The memory that this needs depends on the scene's width, and only a little on its area.

    Args:
        scene: The scene; it is read once, strip by strip.
        recipe: Colour thresholds, classes and stretch.

    Raises:
        SceneError: The scene can't be read.
    """
    from autolabel.filters.illumination.sky import solve_sky
    from autolabel.filters.illumination.survey import Strip, survey_scene

    def strips() -> Iterator[Strip]:
        for row in range(0, scene.height, _STRIP_ROWS):
            window = Tile(row, 0, min(_STRIP_ROWS, scene.height - row), scene.width)
            yield Strip.of(*read_scene(scene, window), read_layers(scene, window), stretch)

    levels = levels_of(get_profile(recipe.label.profile), recipe.classes)
    shape, stretch = (scene.height, scene.width), recipe.scene.stretch
    survey = survey_scene(strips(), shape, levels)
    return solve_sky(survey, levels=levels, stretch=stretch)


def sky_over_rows(
    whole: Sky,
    row: int,
    image: NDArray[np.uint8],
    layers: SceneLayers | None,
    stretch: tuple[float, float],
) -> Sky:
    """Return the sky over some rows of a scene, with their opaque cloud.

    Args:
        whole: Sky over the whole scene, from `find_sky`.
        row: Number of the first row in the scene.
        image: uint8 (N, W, 3), the rows.
        layers: Layers of the rows.
        stretch: Reflectances of grey levels 0 and 255.
    """
    from autolabel.filters.illumination.survey import opaque_cloud

    return whole.rows(row, len(image), opaque_cloud(image, layers, stretch))


def pack_sky(sky: Sky) -> bytes:
    """Serialise the sky over a whole scene as compressed arrays, without opaque cloud."""
    target = io.BytesIO()
    arrays = {name: getattr(sky, name) for name in _ARRAYS}
    np.savez_compressed(target, shape=sky.shape, levels=sky.levels, **arrays)
    return target.getvalue()


def unpack_sky(content: bytes) -> Sky:
    """Read a sky from the bytes that `pack_sky` made."""
    from autolabel.filters.illumination.sky import Sky

    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        height, width = stored["shape"].tolist()
        return Sky(
            shape=(height, width),
            top=0,
            levels=Levels(*stored["levels"].tolist()),
            opaque=None,
            **{name: stored[name] for name in _ARRAYS},
        )
