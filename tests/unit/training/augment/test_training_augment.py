"""Random changes of image and label together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from polynya.errors import RecipeError
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.training import AugmentOptions
from training.augment import augmentation_layers
from training.augment.geometry import RandomAffine, RandomDihedral
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


def _affine(**options: Any) -> RandomAffine:
    defaults: dict[str, Any] = {"rotation": 30.0, "zoom": (0.7, 1.5), "shift": 0.2, "seed": 1}
    return RandomAffine(nodata=255, **{**defaults, **options})


def test_a_warp_without_anything_to_draw_changes_nothing() -> None:
    images, labels = _tiles(4)
    labels[:, :9] = 255
    images[:, :5] = 0
    warped, codes = _apply(_affine(rotation=0.0, zoom=(1.0, 1.0), shift=0.0), images, labels)
    assert (warped == images).all()
    assert (codes == labels).all()


def test_a_warp_moves_image_and_label_alike_and_invents_no_code() -> None:
    # Large blocks, whose image says the code: away from edges both must agree after any warp.
    codes = np.kron(np.random.default_rng(0).integers(0, 3, (32, 4, 4)), np.ones((16, 16), int))
    images = np.repeat(np.array([10.0, 100.0, 200.0])[codes][..., None], 3, axis=-1)
    warped, labels = _apply(_affine(), images.astype(np.float32), codes.astype(np.int32))
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == {0, 1, 2, 255}
    shown = np.where(labels == 255, 255, np.digitize(warped[..., 0], [55, 150]))
    inner = np.ones_like(labels, bool)
    for rows in range(-2, 3):
        for columns in range(-2, 3):
            inner &= np.roll(labels, (rows, columns), (1, 2)) == labels
    assert (shown[inner] == labels[inner]).all()
    assert inner.mean() > 0.5
    # Every tile is moved another way, and by a new one each time.
    assert len({tile.tobytes() for tile in labels == 255}) == 32
    assert 0.05 < (labels == 255).mean() < 0.6


def test_what_a_warp_brings_in_is_nodata_and_black() -> None:
    images, labels = _tiles(8)
    warped, codes = _apply(_affine(zoom=(0.5, 0.6), rotation=180.0), images, labels)
    assert (codes == 255).mean() > 0.5
    assert (warped[codes == 255] == 0).all()


def test_nodata_never_mixes_into_valid_pixels() -> None:
    images = np.full((16, SIZE, SIZE, 3), 200, np.float32)
    labels = np.full((16, SIZE, SIZE), 2, np.int32)
    images[:, 20:30] = 0
    labels[:, 20:30] = 255
    images[:, :, :7] = 0
    labels[:, :, :7] = 255
    warped, codes = _apply(_affine(), images, labels)
    assert warped[codes == 2] == pytest.approx(200)
    assert (warped[codes == 255] == 0).all()
    assert (codes[:, 10:50, 10:50] == 255).mean() > 0.1


def test_pixels_without_a_label_keep_their_image_under_a_warp() -> None:
    images, labels = _tiles(4)
    images[:] = 90
    labels[:, 16:48, 16:48] = 255
    warped, codes = _apply(_affine(shift=0.0, zoom=(1.0, 1.2)), images, labels)
    assert (codes[:, 28:36, 28:36] == 255).all()
    assert warped[:, 28:36, 28:36] == pytest.approx(90)


def test_turns_zooms_and_shifts_are_what_they_say() -> None:
    columns, rows = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    images = np.stack([columns, rows, columns], axis=-1)[None].astype(np.float32) + 50
    images, labels = np.repeat(images, 64, axis=0), np.zeros((64, SIZE, SIZE), np.int32)
    still = {"rotation": 0.0, "zoom": (1.0, 1.0), "shift": 0.0}
    middle = SIZE // 2

    zoomed, _ = _apply(_affine(**{**still, "zoom": (2.0, 2.0)}), images, labels)
    assert np.diff(zoomed[0, middle, 10:50, 0]) == pytest.approx(0.5, abs=1e-3)
    assert zoomed[0, middle - 1 : middle + 1, 0, 1].mean() == pytest.approx(50 + 31.5, abs=1e-3)

    turned, _ = _apply(_affine(**{**still, "rotation": 90.0}), images, labels)
    across = turned[:, middle, middle + 1] - turned[:, middle, middle - 1]
    angles = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    assert np.abs(angles).max() <= 90 + 1e-3
    assert angles.min() < -60
    assert angles.max() > 60

    shifted, _ = _apply(_affine(**{**still, "shift": 0.25}), images, labels)
    moved = shifted[:, middle, middle] - images[:, middle, middle]
    assert np.abs(moved).max() <= 16 + 1e-3
    assert np.abs(moved).max(axis=0).min() > 10
    assert np.unique(np.round(moved[:, :2], 2), axis=0).shape[0] == 64


def test_sky_keeps_the_label_and_the_range() -> None:
    images, labels = _tiles()
    veiled, veiled_labels = _apply(_sky(), images, labels)
    assert (veiled_labels == labels).all()
    assert veiled.min() >= 0
    assert veiled.max() <= 255
    assert np.abs(veiled - images).mean() > 5


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
    assert names(dihedral=True, shade=0.5) == ["RandomDihedral", "RandomSky"]
    assert names(noise=0.5) == ["RandomNoise"]
    for options in ({"rotation": 5.0}, {"zoom": (0.9, 1.1)}, {"shift": 0.1}):
        assert names(**options) == ["RandomAffine"]
    assert names(dihedral=True, rotation=5.0, haze=0.5, noise=0.1) == [
        "RandomDihedral",
        "RandomAffine",
        "RandomSky",
        "RandomNoise",
    ]


def test_layers_can_be_rebuilt_from_their_configuration() -> None:
    images, labels = _tiles(4)
    noise = RandomNoise(nodata=255, share=0.5, strength=(1.0, 5.0), seed=3)
    for layer in (RandomDihedral(seed=4), _affine(), _sky(), noise):
        again = type(layer).from_config(layer.get_config())
        results = [_apply(made, images, labels)[0] for made in (layer, again)]
        assert all((a == b).all() for a, b in pairwise(results))


@pytest.mark.parametrize(
    "options",
    [{"rotation": 181}, {"zoom": (0.1, 1)}, {"zoom": (1.2, 0.9)}, {"shift": 1.0}, {"shift": -0.1}],
)
def test_bounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"training.augment.{next(iter(options))}"):
        parse_recipe({"training": {"augment": options}}, source="test")
