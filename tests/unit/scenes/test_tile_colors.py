"""Tiles of bands as pictures: by the recipe's stretch, or by their own values without a scale."""

from __future__ import annotations

import numpy as np

from polynya.recipe.scene import SceneOptions
from polynya.scenes.shown_colors import tile_colors

SCENE = SceneOptions.model_validate({"inputs": ["red", "green", "blue", "nir"]})


def test_numbers_without_a_scale_are_stretched_between_their_percentiles() -> None:
    values = np.linspace(200, 9000, 20 * 20 * 4, dtype=np.float32).reshape(20, 20, 4)
    values[0, 0] = np.nan
    colors = tile_colors(values, SCENE)
    assert (colors[0, 0] == 0).all()
    assert colors[0, 1].max() < 5
    assert colors[-1, -1].min() == 255
    assert abs(int(np.median(colors)) - 128) < 3
    reflectance = np.full((4, 4, 4), 0.5, np.float32)
    assert (tile_colors(reflectance, SCENE) == 128).all()
    same = np.full((4, 4, 4), 7000, np.float32)
    assert tile_colors(same, SCENE).shape == (4, 4, 3)
