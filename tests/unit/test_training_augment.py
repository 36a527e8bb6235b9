"""Random changes of image and label together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from polynya.recipe import AugmentOptions
from training.augment import augmentation_layers
from training.augment.geometry import RandomDihedral
from training.augment.noise import RandomNoise
from training.augment.sky import FINEST, RandomSky, SkyDrawing, spline_weights

SIZE = 64


def _tiles(batch: int = 64, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (batch, size, size, 3)).astype(np.float32)
    labels = np.digitize(images[..., 0], [31, 205]).astype(np.int32)
    return images, labels


def _apply(layer: keras.layers.Layer, *tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = layer(*tiles)
    return keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)


def _sky(**options: Any) -> RandomSky:
    defaults: dict[str, Any] = {
        "nodata": 255,
        "haze": 1.0,
        "haze_strength": (0.3, 0.5),
        "shade": 1.0,
        "shade_strength": (0.3, 0.5),
        "seed": 1,
    }
    return RandomSky(**{**defaults, **options})


def test_dihedral_moves_image_and_label_alike_and_reaches_all_eight() -> None:
    tile = np.arange(16, dtype=np.float32).reshape(4, 4)
    images = np.repeat(np.repeat(tile[None, ..., None], 3, axis=-1), 200, axis=0)
    labels = images[..., 0].astype(np.int32)
    turned, turned_labels = _apply(RandomDihedral(seed=0), images, labels)
    assert (turned[..., 0] == turned_labels).all()
    assert len(np.unique(turned_labels.reshape(200, -1), axis=0)) == 8


def test_dihedral_needs_square_tiles() -> None:
    images, labels = _tiles(2)
    with pytest.raises(ValueError, match="must be square"):
        RandomDihedral(seed=0)(images[:, :32], labels[:, :32])


def test_sky_keeps_the_label_and_the_range() -> None:
    images, labels = _tiles()
    veiled, veiled_labels = _apply(_sky(), images, labels)
    assert (veiled_labels == labels).all()
    assert veiled.min() >= 0
    assert veiled.max() <= 255
    assert np.abs(veiled - images).mean() > 10


def test_shade_only_darkens_and_haze_brightens_what_is_dark() -> None:
    images, labels = _tiles()
    shaded, _ = _apply(_sky(haze=0.0), images, labels)
    assert (shaded <= images + 1e-3).all()
    assert shaded.min(axis=(1, 2, 3)).max() < 30
    hazy, _ = _apply(_sky(shade=0.0), images, labels)
    dark = images < 180
    assert (hazy[dark] >= images[dark] - 1e-3).all()
    # An opacity of at most 0.5 leaves at least half of any contrast.
    assert (hazy - images).max() <= 0.5 * (255 + 6)


def test_cloud_is_as_bright_as_asked_for() -> None:
    images = np.full((64, SIZE, SIZE, 3), 200.0, np.float32)
    labels = np.ones((64, SIZE, SIZE), np.int32)
    options = {"shade": 0.0, "haze_strength": (1.0, 1.0)}
    grey, _ = _apply(_sky(cloud_brightness=(120.0, 120.0), **options), images, labels)
    assert grey.max() <= 200.01
    assert grey.min() == pytest.approx(120, abs=12)


def test_a_displaced_shadow_has_the_shape_of_its_cloud() -> None:
    drawing = SkyDrawing(4, 256, (100.0, 100.0), 40.0, keras.random.SeedGenerator(0))
    noise = drawing.noise()
    shift = np.zeros((2, 4, 1), np.float32)
    cloud = keras.ops.convert_to_numpy(drawing.field(noise, shift))
    shift[0] = 24.0  # Three cells of the grid.
    shadow = keras.ops.convert_to_numpy(drawing.field(noise, shift))
    assert shadow[:, :-3] == pytest.approx(cloud[:, 3:], abs=1e-4)
    assert np.abs(shadow - cloud).mean() > 0.1


def test_spline_weights_reproduce_constants_and_lines() -> None:
    positions = np.linspace(1.0, 8.0, 50, dtype=np.float32)
    weights = keras.ops.convert_to_numpy(spline_weights(positions, 10))
    assert weights.sum(axis=-1) == pytest.approx(1.0, abs=1e-5)
    assert weights @ np.arange(10) == pytest.approx(positions, abs=1e-4)


def test_shares_choose_tiles() -> None:
    images, labels = _tiles(200, size=32)
    veiled, _ = _apply(_sky(shade=0.0, haze=0.3), images, labels)
    changed = (np.abs(veiled - images) > 0.01).any(axis=(1, 2, 3)).mean()
    assert changed == pytest.approx(0.3, abs=0.1)


def test_nodata_stays_black_but_black_water_does_not() -> None:
    images, labels = _tiles(4)
    images[:, :10] = 0
    labels[:, :10] = 255
    images[:, 10:20] = 0
    labels[:, 10:20] = 0
    veiled, _ = _apply(_sky(), images, labels)
    assert (veiled[:, :10] == 0).all()
    assert veiled[:, 10:20].mean() > 0


def test_each_batch_has_a_new_sky_and_a_seed_repeats_it() -> None:
    images, labels = _tiles(4)
    layer = _sky()
    first, _ = _apply(layer, images, labels)
    second, _ = _apply(layer, images, labels)
    again, _ = _apply(_sky(), images, labels)
    assert (first != second).any()
    assert (first == again).all()


def test_skies_are_smooth_and_of_many_shapes() -> None:
    size = 128
    images = np.full((64, size, size, 3), 100.0, np.float32)
    labels = np.ones((64, size, size), np.int32)
    shaded, _ = _apply(_sky(haze=0.0, shade_strength=(0.5, 0.5)), images, labels)
    shade = (100.0 - shaded[..., 0]) / 50.0
    assert shade.min() >= -1e-3
    assert shade.max() <= 1 + 1e-3
    steps = np.abs(np.diff(shade, axis=1)).max(axis=(1, 2))
    assert steps.max() < 4.0 / FINEST
    # From hard banks to soft veils: the steepest step differs by an order of magnitude.
    assert steps.max() / steps.min() > 8
    cover = (shade > 0.5).mean(axis=(1, 2))
    assert cover.min() < 0.2
    assert cover.max() > 0.8


def test_noise_is_of_its_strength_and_keeps_label_and_nodata() -> None:
    images, labels = np.full((8, SIZE, SIZE, 3), 100.0, np.float32), np.ones((8, SIZE, SIZE), int)
    images[:, :4], labels[:, :4] = 0, 255
    layer = RandomNoise(nodata=255, share=1.0, strength=(3.0, 3.0), seed=2)
    noisy, noisy_labels = _apply(layer, images, labels)
    assert (noisy_labels == labels).all()
    assert (noisy[:, :4] == 0).all()
    assert noisy[:, 4:].std() == pytest.approx(3.0, rel=0.1)
    assert (noisy == np.rint(noisy)).all()


def test_noise_is_on_the_chosen_share_of_tiles() -> None:
    images, labels = _tiles(200, size=8)
    layer = RandomNoise(nodata=255, share=0.3, strength=(5.0, 5.0), seed=2)
    noisy, _ = _apply(layer, images, labels)
    changed = (noisy != images).any(axis=(1, 2, 3)).mean()
    assert changed == pytest.approx(0.3, abs=0.1)


def test_the_recipe_chooses_the_layers() -> None:
    def names(**options: Any) -> list[str]:
        layers = augmentation_layers(AugmentOptions(**options), nodata=255, seed=0)
        return [type(layer).__name__ for layer in layers]

    assert names() == []
    assert names(dihedral=True) == ["RandomDihedral"]
    assert names(haze=0.5) == ["RandomSky"]
    assert names(noise=0.5) == ["RandomNoise"]
    assert names(dihedral=True, shade=0.5, noise=0.1) == [
        "RandomDihedral",
        "RandomSky",
        "RandomNoise",
    ]


def test_layers_can_be_rebuilt_from_their_configuration() -> None:
    images, labels = _tiles(4)
    noise = RandomNoise(nodata=255, share=0.5, strength=(1.0, 5.0), seed=3)
    for layer in (RandomDihedral(seed=4), _sky(), noise):
        again = type(layer).from_config(layer.get_config())
        results = [_apply(made, images, labels)[0] for made in (layer, again)]
        assert all((a == b).all() for a, b in pairwise(results))
