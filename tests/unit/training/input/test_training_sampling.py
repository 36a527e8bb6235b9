"""Weights of tiles, and draws by them on any number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.sampling import EachOptions, FeatureSamplingOptions
from polynya.shards.dataset import open_shards
from training.input.batches import PADDING, TileSource
from training.input.sampling import (
    SampledTiles,
    balanced_weights,
    draw,
    find_weights,
    sampled,
)
from training.input.split import Split
from training.input.tile_features import (
    elevation_features,
    label_features,
    qa_features,
    weighted_features,
)
from training.ranks.port import SingleProcess
from training.run.start import start_run

KELP = ("has:kelp", "1 - share:kelp", "qa_ok", "1 - bad", "1 - water", "1 - nan", "1 - zero")
BEST = (3, 0.2, 0, -1, 0.5, 0.25, -1)
OTHER = (3, 0.5, -1, 0, -1, 0.25, 0)


def _sampling(**options: Any) -> Recipe:
    content = {"tiles": {"size": 32}, "training": {"sampling": options}}
    return parse_recipe(content, source="test")


def _source(tiles: int, size: int = 1) -> TileSource:
    labels = np.zeros((tiles, size, size), np.uint8)
    return TileSource(np.zeros((tiles, size, size, 3), np.uint8), labels, nodata=255, threads=1)


def test_features_of_labels_have_their_hand_values() -> None:
    counts, labelled = np.array([[0, 50], [25, 0]]), np.array([[50.0, 100.0], [25.0, 25.0]])
    found = label_features(counts, labelled, ("water", "kelp"))
    assert {name: values.tolist() for name, values in found.items()} == {
        "nodata": [0.5, 0.0],
        "has:water": [0.0, 1.0],
        "share:water": [0.0, 1.0],
        "has:kelp": [1.0, 0.0],
        "share:kelp": [0.5, 0.0],
    }


def test_features_of_bands_have_their_hand_values() -> None:
    assert qa_features(np.zeros((2, 2))) == {"bad": 0.0, "qa_ok": 1.0}
    assert qa_features(np.array([[0, 1], [np.nan, 4]])) == {"bad": 0.75, "qa_ok": 0.0}
    elevation = np.array([[0, -2], [np.nan, 5]])
    wanted = {"water": 0.5, "all_water": 0.0, "zero": 0.25, "nan": 0.25}
    assert elevation_features(elevation) == wanted
    assert elevation_features(np.zeros((9, 9)))["all_water"] == 1.0


@pytest.mark.parametrize("factors", [BEST, OTHER])
def test_weights_are_those_of_the_kelp_formula(factors: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    has, kelp, qa_ok, bad, water, nan, zero = rng.random((7, 500))
    has, qa_ok = np.rint(has), np.rint(qa_ok)
    a, b, c, d, e, f, g = factors
    sums = a * has + b * (1 - kelp) + c * qa_ok + d * (1 - bad) + e * (1 - water)
    sums = sums + f * (1 - nan) + g * (1 - zero)
    wanted = (sums - sums.min()) / (sums.max() - sums.min())
    values = dict(
        zip(
            ("has:kelp", "share:kelp", "qa_ok", "bad", "water", "nan", "zero"),
            (has, kelp, qa_ok, bad, water, nan, zero),
            strict=True,
        )
    )
    found = weighted_features(values, dict(zip(KELP, factors, strict=True)))
    assert np.abs(found - wanted).max() < 1e-6
    assert (found.min(), found.max()) == (0, 1)


def test_equal_sums_are_equal_weights() -> None:
    assert weighted_features({"nan": np.zeros(3)}, {"nan": 2.0}).tolist() == [1, 1, 1]


def test_balanced_weights_draw_every_class_equally_often() -> None:
    counts = np.array([[100, 0, 0]] * 8 + [[0, 50, 0]] + [[50, 50, 0]])
    weights = balanced_weights(counts)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(0.5 * 100 / 850)
    assert weights[8] == pytest.approx(0.25)
    assert balanced_weights(np.zeros((4, 3), np.int64)).tolist() == [0.25] * 4


@pytest.mark.parametrize("seed", range(5))
def test_tiles_are_drawn_as_often_as_their_weights_say(seed: int) -> None:
    weights = np.random.default_rng(seed).random(40)
    weights[7] = 0
    counts = np.bincount(draw(weights, 50_000, epoch=1, seed=seed), minlength=40)
    assert counts[7] == 0
    some = weights > 0
    expected = weights[some] / weights.sum() * 50_000
    assert chisquare(counts[some], expected).pvalue > 0.001


@pytest.mark.parametrize("seen", [0, 24])
def test_ranks_draw_the_same_tiles_together(seen: int) -> None:
    source = SampledTiles(_source(20), np.arange(20.0), 100)
    assert len(source) == 100

    def multiset(size: int) -> list[int]:
        parts = [
            source.epoch_indices(
                epoch=3, seed=1, shuffle=True, batch_size=12 // size, rank=r, size=size, seen=seen
            )
            for r in range(size)
        ]
        assert len({part.shape for part in parts}) == 1
        found = np.concatenate([part.ravel() for part in parts])
        return sorted(found[found != PADDING].tolist())

    assert multiset(1) == multiset(3) == multiset(2)
    assert len(multiset(1)) == 100 - seen
    assert 0 not in multiset(1)


def test_epochs_and_seeds_draw_anew() -> None:
    weights = np.ones(50)
    first = draw(weights, 50, epoch=0, seed=0)
    assert (first == draw(weights, 50, epoch=0, seed=0)).all()
    assert (first != draw(weights, 50, epoch=1, seed=0)).any()
    assert (first != draw(weights, 50, epoch=0, seed=1)).any()


def test_by_default_nothing_changes() -> None:
    source = _source(5)
    assert sampled(source, None, EachOptions()) is source
    assert Recipe().digest("training") == "91749117c6d24745"


def test_weights_are_of_the_tiles_that_train(tmp_path: Path) -> None:
    recipe = _sampling(name="features", weights={"nodata": -1, "has:thick_ice": 0})
    folder = write_tiny_shards(tmp_path / "shards", recipe, nodata_shares=(0, 0.25, 0.5, 0))
    shards = open_shards(folder)
    options = recipe.training.sampling
    # Of each scene, the upper two tiles hold all of the nodata.
    whole = Split(("scene0", "scene2"), ("scene1",))
    assert find_weights(shards, whole, options) == pytest.approx([1, 1, 1, 1, 0, 0, 1, 1])
    part = Split(("scene0", "scene2"), (), (0, 4, 6))
    assert find_weights(shards, part, options) == pytest.approx([1, 0, 1])
    balanced = find_weights(shards, part, _sampling(name="balanced").training.sampling)
    assert balanced is not None
    assert balanced[1] == 0
    assert find_weights(shards, whole, EachOptions()) is None


def test_features_of_bands_are_read_from_pixels(tmp_path: Path) -> None:
    weights = {"bad": 1.0, "zero": 0.5}
    recipe = _sampling(name="features", weights=weights, qa="red", elevation="blue")
    folder = write_tiny_shards(tmp_path / "shards", recipe, nodata_shares=(0.25, 0))
    found = find_weights(open_shards(folder), Split(("scene0",), ()), recipe.training.sampling)
    # Half of the pixels of the upper tiles are 0: bad 0.5, zero 0.5; of the lower ones bad 1.
    assert found == pytest.approx([0, 0, 1, 1])


def test_a_training_sees_as_many_tiles_as_it_draws(tmp_path: Path) -> None:
    content = {
        "tiles": {"size": 32},
        "split": {"validation": 0.25},
        "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
        "training": {
            "epochs": 2,
            "batch_size": 4,
            "sampling": {"name": "balanced", "samples": 20},
        },
    }
    recipe = parse_recipe(content, source="test")
    write_tiny_shards(tmp_path / "shards", recipe)
    recipe.save(tmp_path / "recipe.yaml")
    places = tmp_path / "shards", tmp_path / "model", tmp_path / "recipe.yaml"
    start_run(*places, SingleProcess()).train()
    assert len((tmp_path / "model" / "steps.csv").read_text().splitlines()) == 1 + 2 * 5


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"name": "features"}, "weights"),
        ({"name": "features", "weights": {"sun": 1}}, "'sun' is no feature; take some of has:"),
        ({"name": "features", "weights": {"has:kelp": 1}}, "no class 'kelp'; take one of open"),
        ({"name": "features", "weights": {"bad": 1}}, "needs the band 'qa'; name one of red"),
        ({"name": "other"}, "needs the key 'name' with one of each, balanced, features"),
    ],
)
def test_sampling_that_does_not_fit_is_refused(sampling: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        _sampling(**sampling)


def test_tiles_that_are_drawn_must_be_decoded_before() -> None:
    training = {"sampling": "balanced", "input": {"cache": "none"}}
    with pytest.raises(RecipeError, match=r"set 'training.input.cache' to memory or disk"):
        parse_recipe({"training": training}, source="test")


def test_the_kelp_formula_is_a_recipe() -> None:
    options = FeatureSamplingOptions(weights=dict(zip(KELP, BEST, strict=True)))
    bands = ("swir16", "nir", "red", "green", "blue", "qa", "elevation")
    options.check(("kelp",), bands)
    with pytest.raises(RecipeError, match="needs the band 'elevation'"):
        options.check(("kelp",), bands[:-1])
