"""Flips, shares of tiles, what lies outside of a tile, colours, bands with gaps."""

from __future__ import annotations

import colorsys
import zlib
from typing import Any

import keras
import numpy as np
import pytest

from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.training import AugmentOptions
from training.augment import augmentation_layers
from training.augment.colors import RandomColors
from training.augment.geometry import ForShare, RandomAffine, RandomDihedral, RandomFlips


def apply(layers, images, labels):
    for layer in layers if isinstance(layers, list) else [layers]:
        images, labels = layer(images, labels)
    return keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)


def layers_of(**options: Any):
    return augmentation_layers(AugmentOptions(**options), nodata=255, seed=7)


def tiles(batch=64, size=16):
    images = np.random.default_rng(0).integers(1, 256, (batch, size, size, 3)).astype(np.float32)
    return images, (images[..., 0] % 3).astype(np.int32)


def colors(**options: Any):
    defaults = {"contrast": 0.0, "brightness": 0.0, "hue": 0.0, "shares": (1.0, 1.0, 1.0)}
    return RandomColors(nodata=255, seed=3, **(defaults | options))


def test_recipes_of_earlier_versions_give_the_same_tiles_and_digests():
    images, labels = tiles(6, 64)
    layers = layers_of(
        dihedral=True, rotation=30.0, zoom=(0.8, 1.25), shift=0.1, haze=0.5, shade=0.5, noise=0.5
    )
    changed, codes = apply(layers, images, labels)
    assert zlib.crc32(codes.astype(np.uint8).tobytes()) == 4052748263
    means = [121.648031, 81.194662, 142.874023, 102.676514, 59.220622, 118.124430]
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3), dtype=np.float64), means, rtol=1e-5)
    assert Recipe().digest("training") == "91749117c6d24745"


def test_flips_apart_reach_their_share_and_nothing_else():
    images, labels = tiles(400, 4)
    for options, axis in (({"flip_horizontal": 0.3}, 2), ({"flip_vertical": 0.3}, 1)):
        (layer,) = layers_of(**options)
        changed, codes = apply(layer, images, labels)
        flipped = (changed == np.flip(images, axis)).all(axis=(1, 2, 3))
        same = (changed == images).all(axis=(1, 2, 3))
        assert (flipped | same).all()
        assert 0.2 < flipped.mean() < 0.4
        assert (codes[flipped] == np.flip(labels, axis)[flipped]).all()
        assert (codes[same & ~flipped] == labels[same & ~flipped]).all()
    (layer,) = layers_of(flip_horizontal=1.0, flip_vertical=1.0)
    assert (apply(layer, images, labels)[0] == images[:, ::-1, ::-1]).all()


@pytest.mark.parametrize("options", [{"dihedral": True}, {"rotation": 90.0}])
def test_a_share_of_tiles_changes_and_the_others_stay(options):
    images, labels = tiles(300, 8)
    key = "dihedral_share" if "dihedral" in options else "warp_share"
    (layer,) = layers_of(**options, **{key: 0.3})
    changed, codes = apply(layer, images, labels)
    other = (changed != images).any(axis=(1, 2, 3))
    assert 0.15 < other.mean() < 0.4
    assert (codes[~other] == labels[~other]).all()
    (never,) = layers_of(**options, **{key: 0.0})
    assert (apply(never, images, labels)[0] == images).all()


def test_a_reflected_tile_has_no_new_nodata_and_label_follows_image():
    codes = np.kron(np.random.default_rng(0).integers(0, 3, (16, 4, 4)), np.ones((8, 8), int))
    images = np.repeat(np.array([10.0, 100.0, 200.0])[codes][..., None], 3, axis=-1)
    options = {"rotation": 30.0, "shift": 0.3, "zoom": (0.5, 0.9)}
    images = images.astype(np.float32)
    changed, labels = apply(layers_of(**options, fill="reflect"), images, codes.astype(np.int32))
    assert set(np.unique(labels)) == {0, 1, 2}
    inner = np.ones_like(labels, bool)
    for shift in (-1, 1):
        for axis in (1, 2):
            inner &= np.roll(labels, shift, axis) == labels
    assert (np.digitize(changed[..., 0], [55, 150]) == labels)[inner].mean() > 0.99
    # Nodata within the tile stays nodata, and never mixes with others.
    images[:, 8:16], codes[:, 8:16] = 0, 255
    changed, labels = apply(layers_of(**options, fill="reflect"), images, codes.astype(np.int32))
    assert (labels == 255).any()
    assert (changed[labels == 255] == 0).all()
    assert changed[labels != 255].min() > 9


def test_brightness_contrast_and_hue_are_what_they_say():
    images, labels = tiles(8)
    images = images / 4 + 90
    labels[:, :4], images[:, :4] = 255, 0
    seen = np.s_[:, 4:]
    brighter, codes = apply(colors(brightness=0.2), images, labels)
    steps = (brighter - images)[seen].reshape(8, -1)
    assert np.ptp(steps, axis=1).max() < 1e-3
    assert 5 < np.abs(steps).max() <= 0.2 * 255
    stretched, _ = apply(colors(contrast=0.5), images, labels)
    mean = images[seen].mean(axis=(1, 2), keepdims=True)
    factors = (stretched[seen] - mean) / (images[seen] - mean)
    for one in factors.reshape(8, -1):
        np.testing.assert_allclose(one, np.median(one), atol=0.01)
        assert 0.5 <= np.median(one) <= 1.5
    turned, _ = apply(colors(hue=0.5), images, labels)
    for before, after in zip(images[0, 5], turned[0, 5], strict=True):
        one, other = (colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in (before, after))
        assert other[1:] == pytest.approx(one[1:], abs=1e-3)
    assert np.abs(turned - images).max() > 10
    for changed in (brighter, stretched, turned):
        assert (changed[:, :4] == 0).all()
        assert changed[seen].min() >= 1
        assert changed.max() <= 255
    assert (codes == labels).all()


def test_colours_change_for_their_share_and_are_whole_after_rebuilding():
    images, labels = tiles(300, 4)
    changed, _ = apply(colors(brightness=0.3, shares=(1.0, 0.3, 1.0)), images, labels)
    assert 0.15 < (changed != images).any(axis=(1, 2, 3)).mean() < 0.45
    layers = [
        colors(hue=0.2, contrast=0.1),
        RandomFlips(horizontal=0.5, vertical=0.5, seed=1),
        ForShare(RandomDihedral(seed=4), share=0.5, seed=2),
    ]
    for layer in layers:
        again = type(layer).from_config(layer.get_config())
        assert (apply(layer, images, labels)[0] == apply(again, images, labels)[0]).all()


@pytest.mark.parametrize("key", ["brightness", "contrast", "hue"])
def test_colours_of_bands_that_are_none_are_refused(key):
    content = {"scene": {"inputs": [1, 2, 3]}, "training": {"augment": {key: 0.1}}}
    with pytest.raises(RecipeError, match=f"training.augment.{key}' is for 8-bit colours"):
        parse_recipe(content, source="test")


def test_a_gap_in_one_band_leaves_the_others_and_soft_labels_keep_their_shape():
    images = np.full((4, 16, 16, 3), 5.0, np.float32)
    images[:, 4:12, 4:12, 2] = np.nan
    soft = np.zeros((4, 16, 16, 2), np.int32)
    soft[..., 1] = 254
    layer = RandomAffine(
        nodata=255, rotation=10.0, zoom=(1.0, 1.2), shift=0.0, seed=1, has_gaps=True
    )
    changed, labels = apply(layer, images, soft)
    assert labels.shape == soft.shape
    assert np.isfinite(changed[:, 6:10, 6:10, :2]).all()
    assert np.isnan(changed[:, 6:10, 6:10, 2]).all()
    assert (labels[:, 6:10, 6:10] == [0, 254]).all()
