"""Soft labels from rasters of shares to shards, batches, loss and training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import rasterio
from conftest import ice_image, label_here
from rasterio.transform import from_origin

from helpers.schemes import scheme_of
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.dataset import open_shards
from polynya.shards.soft_labels import encode, harden
from training.augment import augmentation_layers
from training.labels import is_unlabelled
from training.losses.base import label_targets
from training.losses.registry import build_loss
from training.ranks.port import SingleProcess
from training.run.start import start_run

KINDS = ("exclusive", "masks")


def _recipe(kind: str = "exclusive", **sections: Any) -> Recipe:
    content: dict[str, Any] = {
        "seed": 1,
        "classes": scheme_of(3, kind).model_dump(mode="json"),
        "tiles": {"size": 16},
        "label": {"raster": "{stem}_shares.tif", "soft": True},
        "split": {"validation": 0.5},
        "model": {"filters": [2, 2], "dropout": [0, 0]},
        "training": {"epochs": 1, "batch_size": 2},
    }
    return parse_recipe(content | sections, "test")


def _shares(kind: str, seed: int) -> np.ndarray:
    """float32 (32, 32, 3); the first column unknown."""
    shares = np.random.default_rng(seed).random((32, 32, 3), np.float32)
    if kind == "exclusive":
        shares /= shares.sum(axis=-1, keepdims=True)
    shares[:, 0] = np.nan
    return shares


def _write(folder: Path, kind: str, name: str, seed: int, shares: Any = None) -> Path:
    folder.mkdir(exist_ok=True)
    place = {
        "driver": "GTiff", "height": 32, "width": 32, "crs": "EPSG:3031",
        "transform": from_origin(0, 1000 * seed, 10, 10),
    }  # fmt: skip
    image = ice_image(32, 32)
    image[0] = 0
    with rasterio.open(
        folder / f"{name}.tif", "w", count=3, dtype="uint8", nodata=0, **place
    ) as file:
        file.write(np.moveaxis(image, -1, 0))
    shares = _shares(kind, seed) if shares is None else shares
    bands = np.moveaxis(shares, -1, 0).astype(np.float32)
    with rasterio.open(
        folder / f"{name}_shares.tif", "w", count=len(bands), dtype="float32", **place
    ) as file:
        file.write(bands)
    return folder / f"{name}.tif"


def test_shares_are_kept_in_steps_of_a_254th():
    soft = encode(np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [np.nan, 0.5, 0.5]]), 255)
    assert soft.tolist() == [[127, 64, 64], [0, 254, 0], [255, 255, 255]]


def test_the_likeliest_label_is_a_class_or_the_masks_of_one_half_and_more():
    soft = np.array([[127, 64, 63], [10, 122, 122], [127, 200, 126], [255, 255, 255]], np.uint8)
    assert harden(soft, scheme_of(3)).tolist() == [0, 1, 1, 255]
    assert harden(soft, scheme_of(3, "masks")).tolist() == [1, 0, 3, 255]


@pytest.mark.parametrize("kind", KINDS)
def test_shards_have_the_shares_and_the_likeliest_labels(tmp_path, kind):
    recipe = _recipe(kind)
    folder, (result,) = label_here(
        recipe, tmp_path / "out", _write(tmp_path / "scenes", kind, "a", 1)
    )
    assert result.status == "done"
    shards = open_shards(folder)
    assert shards.label_channels == (3,)
    _, labels = shards.load(["a"], 20)
    assert labels.shape == (4, 20, 20, 3)
    assert (labels[:, 16:] == 255).all()
    whole = labels[:, :16, :16].reshape(2, 2, 16, 16, 3).swapaxes(1, 2).reshape(32, 32, 3)
    expected = np.rint(_shares(kind, 1) * 254)
    expected[0] = np.nan  # The scene has no data there.
    assert (whole == np.where(np.isnan(expected), 255, expected)).all()
    hard = harden(whole, shards.classes)
    tiles = list(shards.tiles(shards.row_groups(["a"])))
    for tile in tiles:
        assert (
            tile.label == hard[tile.row : tile.row + 16, tile.col : tile.col + 16]
        ).all()  # What pictures and counts see.
    counts, labelled = shards.class_counts(["a"])
    assert counts.tolist() == shards.classes.count(hard)
    assert labelled == 31 * 31


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        (np.full((32, 32, 3), 0.5), "shares that add up to 1.5"),
        (np.full((32, 32, 3), -0.1), "the number -0.1, which is no share"),
        (np.full((32, 32, 2), 0.5), "has 2 bands and needs 3, a band for each of the classes"),
    ],
)
def test_what_is_no_share_fails_the_scene(tmp_path, shares, problem):
    scenes = tmp_path / "scenes"
    paths = [
        _write(scenes, "exclusive", "a", 1),
        _write(scenes, "exclusive", "b", 2, shares),
    ]
    _, results = label_here(_recipe(), tmp_path / "out", *paths)
    by_id = {result.scene_id: result for result in results}
    assert (by_id["a"].status, by_id["b"].status) == ("done", "failed")
    assert problem in by_id["b"].reason


def test_a_nodata_value_that_is_a_share_is_refused(tmp_path):
    path = _write(tmp_path / "scenes", "masks", "a", 1)
    with rasterio.open(path.with_name("a_shares.tif"), "r+") as file:
        file.nodata = 0
    _, (result,) = label_here(_recipe("masks"), tmp_path / "out", path)
    assert "says that 0 means no data in band 1" in result.reason
    assert "give it another, such as nan" in result.reason


def test_random_changes_move_soft_labels_as_hard_ones():
    augment = _recipe(
        training={"augment": {"dihedral": True, "rotation": 40.0, "haze": 1.0, "noise": 1.0}}
    ).training.augment
    codes = np.random.default_rng(0).integers(0, 3, (4, 16, 16))
    codes[:, :5] = 255
    soft = np.where(codes[..., None] == 255, 255, 254 * np.eye(3, dtype=int)[codes % 3])
    images = np.where(codes[..., None] == 255, 0, 80.0 * (codes[..., None] + 1)) * np.ones(3)
    found = []
    for labels in (codes, soft):
        changed, moved = keras.ops.cast(images, "float32"), keras.ops.cast(labels, "int32")
        for layer in augmentation_layers(augment, nodata=255, seed=3):
            changed, moved = layer(changed, moved)
        found.append((np.asarray(changed), np.asarray(moved)))
    (one, hard), (two, shares) = found
    assert (one == two).all()
    assert (np.asarray(is_unlabelled(shares, 255)) == (hard == 255)).all()
    assert (shares[hard != 255].argmax(axis=-1) == hard[hard != 255]).all()
    assert len(np.unique(hard)) == 4


@pytest.mark.parametrize(
    "name", ["crossentropy", {"name": "sum", "terms": [{"loss": "crossentropy"}]}]
)
def test_crossentropy_of_soft_labels_is_that_of_their_shares(name):
    loss = build_loss(_recipe(training={"loss": name}).training.loss, n_classes=3)
    loss.soft_labels = True
    soft = np.array([[[[127, 127, 0], [255, 255, 255]]]], np.uint8)
    probabilities = np.array([[[[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]]], np.float32)
    targets, valid = label_targets(soft, scheme_of(3))
    value = loss.value(loss.sums(targets, probabilities, valid))
    assert float(value) == pytest.approx(-(0.5 * np.log(0.2) + 0.5 * np.log(0.5)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cache"), [("exclusive", "none"), ("masks", "memory")])
def test_soft_labels_train(tmp_path, kind, cache):
    training = {
        "epochs": 2,
        "batch_size": 3,
        "augment": {"dihedral": True},
        "input": {"cache": cache},
    }
    recipe = _recipe(kind, training=training)
    paths = [_write(tmp_path / "scenes", kind, name, seed) for seed, name in enumerate("abcd")]
    folder, _ = label_here(recipe, tmp_path / "shards", *paths)
    summary = start_run(folder, tmp_path / "model", None, SingleProcess()).train()
    metrics = json.loads((summary.folder / "metrics.json").read_text())
    confusion = np.sum(metrics["validation"]["confusion"])
    assert confusion == 2 * 31 * 31 * (3 if kind == "masks" else 1)
    # The loss can't be less than that of the shares themselves.
    shares = _shares(kind, 1)[1:, 1:].astype(float)
    entropy = -shares * np.log(shares)
    if kind == "masks":
        least = (entropy - (1 - shares) * np.log(1 - shares)).mean()
    else:
        least = entropy.sum(axis=-1).mean()
    assert metrics["validation"]["loss"] > 0.95 * least


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"label": {"soft": True}}, "thresholds give no shares"),
        ({"training": {"loss": "dice"}}, "'training.loss' is 'dice', which does not"),
        (
            {"training": {"loss": {"name": "sum", "terms": [{"loss": "dice"}]}}},
            "set 'training.loss' to crossentropy",
        ),
    ],
)
def test_what_soft_labels_do_not_go_with_is_one_sentence(sections, problem):
    with pytest.raises(RecipeError, match=problem):
        _recipe(**sections)
