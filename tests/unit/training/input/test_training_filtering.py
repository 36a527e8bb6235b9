"""The filter over training tiles."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from autolabel import filter_image
from data_samples import make_scene
from polynya.recipe.training import AugmentOptions
from training.input.filtering import TileFilter, filter_layers

TILES = np.stack([make_scene(33, site, (256, 256), "both").observed for site in (0, 5)])
FILTERED = np.stack([filter_image(tile) for tile in TILES])
LABELS = np.zeros(TILES.shape[:3], np.int32)


def _graph(layer: TileFilter) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(lambda images, labels: layer(images, labels), autograph=False)


@pytest.mark.parametrize(("share", "expected"), [(1.0, FILTERED), (0.0, TILES)])
def test_tiles_are_filtered_as_scenes_are(share: float, expected: np.ndarray) -> None:
    layer = TileFilter(share=share, seed=1)
    images, labels = _graph(layer)(tf.cast(TILES, tf.float32), LABELS)
    assert images.shape == TILES.shape
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, LABELS)
    assert (FILTERED != TILES).any()


def test_which_tiles_are_filtered_is_drawn_anew_and_repeats_by_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        layer = TileFilter(share=0.5, seed=seed)
        step = _graph(layer)
        tiles = tf.cast(TILES, tf.float32)
        results = [step(tiles, LABELS)[0].numpy() for _ in range(6)]
        return [
            bool((tile == filtered).all())
            for result in results
            for tile, filtered in zip(result, FILTERED, strict=True)
        ]

    first = drawn(1)
    assert 0 < sum(first) < len(first)
    assert first == drawn(1)
    assert first != drawn(2)


def test_the_state_of_the_drawing_is_the_layers() -> None:
    (layer,) = filter_layers(AugmentOptions(filter="illumination"), seed=3)
    assert isinstance(layer, keras.layers.Layer)
    assert layer.variables
    assert not filter_layers(AugmentOptions(), seed=3)
