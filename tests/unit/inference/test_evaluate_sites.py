"""Scores of validation tiles by site."""

from __future__ import annotations

import csv
import json

import pytest

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from helpers.maps.tallies import tally_of
from helpers.shards.tiny_shards import write_tiny_shards
from inference.evaluate.results import Method
from inference.evaluate.scores import Evaluation, SceneScore, TileScore
from inference.evaluate.sites import TilePlan, choose_tiles, evaluate_tiles, site_table
from inference.evaluate.sources import Found
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.metrics import MetricsOptions
from polynya.shards.dataset import open_shards

SPLIT = {"held_out": "[23]$"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model that knows the labels of its shards; two of four scenes validate."""
    folder = tmp_path_factory.mktemp("made")
    recipe = make_recipe(32, split=SPLIT)
    write_tiny_shards(folder / "shards", recipe, nodata_shares=(0, 0, 0, 0.5))
    save_threshold_model(folder / "model", recipe)
    return folder


def evaluate(made, out, *more, expect=0):
    words = ("--shards", made / "shards", "--model", made / "model", "--out", out)
    return run("evaluate", *words, *more, expect=expect).output


def test_each_site_has_a_row_and_all_together_one(made, tmp_path):
    evaluate(made, tmp_path / "out")
    with (tmp_path / "out" / "sites.csv").open() as file:
        rows = {row["site"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["scene2", "scene3", "all"]
    assert [row["tiles"] for row in rows.values()] == ["4", "4", "8"]
    assert [row["labelled pixels"] for row in rows.values()] == ["4096", "2048", "6144"]
    assert {row["mean Dice"] for row in rows.values()} == {"100.00"}
    assert "Dice Open water" in rows["all"]
    with (tmp_path / "out" / "tiles.csv").open() as file:
        tiles = list(csv.DictReader(file))
    assert [(tile["scene"], tile["row"], tile["col"]) for tile in tiles[:2]] == [
        ("scene2", "0", "0"),
        ("scene2", "0", "32"),
    ]
    assert {tile["mean_iou"] for tile in tiles} == {"", "1.000000"}
    assert sum(int(tile["pixels"]) for tile in tiles) == 6144
    assert "ssim" not in tiles[0]
    further = ("ssim", "boundary_f1", "kullback_leibler")
    words = [word for name in further for word in ("--metric", name)]
    evaluate(made, tmp_path / "joined", "--site", "^([a-z]+)", *words)
    with (tmp_path / "joined" / "tiles.csv").open() as file:
        (tile, *_) = csv.DictReader(file)
    assert (tile["ssim"], tile["mean_boundary_f1"]) == ("1.000000", "1.000000")
    assert float(tile["kullback_leibler"]) > 0
    with (tmp_path / "joined" / "scores.csv").open() as file:
        (ssim,) = (row for row in csv.DictReader(file) if row["score"] == "structural similarity")
    assert ssim["all pixels together"] == ssim["mean over tiles"] == "1.000000"
    with (tmp_path / "joined" / "sites.csv").open() as file:
        assert [row["site"] for row in csv.DictReader(file)] == ["scene", "all"]


def test_dice_is_over_the_pixels_of_a_site_and_undefined_without_any():
    tally = tally_of([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    tile = TileScore(0, 0, "a", 12, None, {"model": tally.numbers()})
    scene = SceneScore("s", "other", 12, {"model": tally}, "a", None, [tile])
    table = site_table(Evaluation(SEA_ICE, ("model",), [scene]))
    assert table.rows[0] == ("a", "1", "12", "75.00", "73.33", "80.00", "66.67", "")
    assert table.rows[1][0] == "all"


def test_a_batch_of_tiles_is_in_memory_and_of_each_tile_its_counts(made):
    batches = []

    class Right:
        """The labels themselves."""

        about = Method(name="right", kind="labels", family="right", images="")

        def of_tiles(self, tiles, wanted):
            batches.append(len(tiles))
            return [Found(tile.label) for tile in tiles]

    shards = open_shards(made / "shards")
    plan = TilePlan(shards, choose_tiles(shards, [Right()], None), 3, MetricsOptions())
    evaluation = evaluate_tiles(plan, [Right()])
    assert (max(batches), sum(batches)) == (3, 16)
    tiles = [tile for scene in evaluation.scenes for tile in scene.tiles]
    assert len(tiles) == 16
    assert max(tile.numbers["right"].nbytes for tile in tiles) < 2000
    assert evaluation.accuracy("right") == 1


def test_what_cannot_be_scored_is_one_sentence(made, tmp_path):
    def said(*words):
        return " ".join(run("evaluate", *words, "--out", tmp_path / "o", expect=1).output.split())

    assert "Give --scenes, or --shards and --model" in said()
    assert "With --shards, give --model" in said("--shards", made / "shards")
    both = ("--shards", made / "shards", "--model", made / "model")
    assert "labels of tiles are the truth; leave --scenes out" in said(*both, "--scenes", "x.tif")
    assert "There is no metric 'dise'; take some of accuracy" in said(*both, "--metric", "dise")
    scenes = ("--scenes", "x.tif", "--metric", "kullback_leibler")
    assert "needs probabilities, and thresholds and labels have none; give --model" in said(*scenes)
    assert "--site 'x' has no (group)" in said(*both, "--site", "x")
    split = {"training": ["scene2"], "validation": ["scene0"]}
    (made / "model" / "split.json").write_text(json.dumps(split))
    try:
        assert "has learnt from the scene scene2, which would validate" in said(*both)
    finally:
        (made / "model" / "split.json").unlink()
