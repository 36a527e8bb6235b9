"""Ranking of unlabelled tiles: by entropy of a model, by disagreement of an ensemble."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import WriteScene

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from inference.predict.ensemble import combine
from inference.predict.predict import open_model, predict_scene
from inference.products.entropy import entropy
from inference.studies.label_next import rank_tiles, scene_table
from inference.studies.uncertainty import TileDoubt, members_of, tile_doubts, uncertainty
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene
from training.model_folder.folder import save_model


def _pixels(*probabilities: list[float]) -> np.ndarray:
    return np.float32([probabilities])


def test_mutual_information_by_hand() -> None:
    # Sure and of one mind; undecided and of one mind; sure and of two minds.
    one = _pixels([1, 0], [0.5, 0.5], [1, 0])
    other = _pixels([1, 0], [0.5, 0.5], [0, 1])
    total, disagreement = uncertainty([one, other], [0.5, 0.5], has_masks=False)
    np.testing.assert_allclose(total, [[0, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(disagreement, [[0, 0, 1]], atol=1e-6)
    total, disagreement = uncertainty([one, other], [0.75, 0.25], has_masks=False)
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    np.testing.assert_allclose(disagreement, [[0, 0, expected]], atol=1e-6)


def test_masks_are_undecided_each_by_itself() -> None:
    one, other = _pixels([1, 1], [0.5, 0]), _pixels([1, 0], [0.5, 0])
    total, disagreement = uncertainty([one, other], [0.5, 0.5], has_masks=True)
    np.testing.assert_allclose(total, [[0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(disagreement, [[0.5, 0]], atol=1e-6)


def test_one_model_has_no_disagreement_and_random_ones_have_some_within_limits() -> None:
    rng = np.random.default_rng(0)
    members = [rng.dirichlet([1, 1, 1], (4, 5)).astype(np.float32) for _ in range(3)]
    total, disagreement = uncertainty(members, [0.5, 0.3, 0.2], has_masks=False)
    assert (disagreement > 0).all()
    assert (disagreement <= total).all()
    assert (total <= 1 + 1e-6).all()
    assert (uncertainty(members[:1], [1.0], has_masks=False)[1] == 0).all()


def _constant_model(folder: Path, recipe: Recipe, probabilities: list[float]) -> Path:
    inputs = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(3, 1, activation="softmax")
    model = keras.Model(inputs, convolution(inputs))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    convolution.set_weights([kernel, np.log(np.float32(probabilities))])
    save_model(folder, model, recipe)
    return folder


def test_tiles_of_a_scene_have_the_means_of_its_maps(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    recipe = make_recipe(32)
    pixels = np.random.default_rng(1).integers(1, 256, (80, 100, 3)).astype(np.uint8)
    pixels[:20, :50] = 0
    scene = open_scene(str(write_scene(tmp_path / "a.tif", pixels, nodata=0)), recipe.scene, "a")
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    assert members_of(model) == ([model], [1.0])
    found = tile_doubts([model], [1.0], scene)
    made = predict_scene(model, scene, with_probabilities=True)
    assert made.probabilities is not None
    values, valid = entropy(made.probabilities), made.codes != 255
    assert [(tile.row, tile.col) for tile in found] == [
        (row, col) for row in (0, 32, 64) for col in (0, 32, 64, 96)
    ]
    for tile in found:
        there = np.s_[tile.row : tile.row + tile.height, tile.col : tile.col + tile.width]
        assert tile.valid_share == pytest.approx(valid[there].mean())
        assert tile.entropy == pytest.approx(values[there][valid[there]].mean(), rel=1e-5)
        assert tile.disagreement is None
    assert found[0].valid_share == pytest.approx(12 / 32)


def test_an_ensemble_comes_apart_into_its_members(tmp_path: Path, write_scene: WriteScene) -> None:
    recipe = make_recipe(32)
    sure = [[0.98, 0.01, 0.01], [0.01, 0.98, 0.01]]
    folders = [
        _constant_model(tmp_path / f"model{number}", recipe, probabilities)
        for number, probabilities in enumerate(sure)
    ]
    combine(folders, [3, 1], tmp_path / "both")
    members, weights = members_of(open_model(tmp_path / "both"))
    assert weights == [0.75, 0.25]
    path = write_scene(tmp_path / "a.tif", np.full((32, 32, 3), 9, np.uint8), nodata=0)
    (tile,) = tile_doubts(members, weights, open_scene(str(path), recipe.scene, "a"))
    mean = 0.75 * np.array(sure[0]) + 0.25 * np.array(sure[1])
    total = -(mean * np.log(mean)).sum() / math.log(3)
    each = -(np.array(sure[0]) * np.log(sure[0])).sum() / math.log(3)
    assert tile.entropy == pytest.approx(total, rel=1e-4)
    assert tile.disagreement == pytest.approx(total - each, rel=1e-4)


def test_tiles_are_ranked_by_disagreement_if_there_is_some() -> None:
    def tile(scene: str, doubt: float, disagreement: float | None) -> TileDoubt:
        return TileDoubt(scene, scene, 0, 0, 8, 8, 1.0, doubt, disagreement)

    one = [tile("a", 0.9, None), tile("b", 0.4, None), tile("c", 0.9, None)]
    assert [found.scene_id for found in rank_tiles(one[::-1])] == ["a", "c", "b"]
    several = [tile("a", 0.9, 0.1), tile("b", 0.4, 0.3)]
    assert [found.scene_id for found in rank_tiles(several)] == ["b", "a"]
    table = scene_table([*several, tile("a", 0.2, 0.7)])
    assert table.columns[2] == "mean disagreement"
    assert table.rows == (("a", "2", "0.4", "0.7"), ("b", "1", "0.3", "0.3"))


def test_the_command_writes_a_table_and_replaces_none_of_others(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    model = save_threshold_model(tmp_path / "model", make_recipe(32))
    # 118 lies between the thresholds, 30.5 on one: there two classes are as probable.
    for name, value in (("doubtful", 30), ("sure", 118)):
        pixels = np.full((40, 32, 3), value, np.uint8)
        write_scene(tmp_path / "scenes" / f"{name}.tif", pixels, nodata=0)
    out = tmp_path / "next.csv"
    said = run("label-next", model, tmp_path / "scenes", "--out", out).output
    assert "4 tiles, most useful first" in said
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["scene_id"] for row in rows] == ["doubtful"] * 2 + ["sure"] * 2
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["disagreement"] for row in rows} == {""}
    assert float(rows[0]["entropy"]) > 0.5 > float(rows[-1]["entropy"])
    before = out.read_bytes()
    run("label-next", model, tmp_path / "scenes", "--out", out)
    assert out.read_bytes() == before
    out.write_text("mine")
    said = run("label-next", model, tmp_path / "scenes", "--out", out, expect=1).output
    assert "not a file that Polynya wrote" in " ".join(said.split())
    assert out.read_text() == "mine"


def test_scenes_that_fail_do_not_keep_the_others_from_being_ranked(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    model = save_threshold_model(tmp_path / "model", make_recipe(32))
    write_scene(tmp_path / "good.tif", np.full((32, 32, 3), 90, np.uint8), nodata=0)
    write_scene(tmp_path / "empty.tif", np.zeros((32, 32, 3), np.uint8), nodata=0)
    (tmp_path / "bad.tif").write_text("no raster")
    words = [tmp_path / f"{name}.tif" for name in ("good", "empty", "bad")]
    said = run("label-next", model, *words, "--out", tmp_path / "next.csv", expect=1).output
    assert "1 of 3 scenes failed" in said
    assert len((tmp_path / "next.csv").read_text().splitlines()) == 2
    said = run("label-next", model, words[1], "--out", tmp_path / "none.csv", expect=1).output
    assert "--min-valid" in said
    assert not (tmp_path / "none.csv").exists()
    said = run("label-next", tmp_path, words[0], "--out", tmp_path / "none.csv", expect=1).output
    assert "holds no model" in " ".join(said.split())
