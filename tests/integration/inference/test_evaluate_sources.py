"""Every source of labels against every truth, and wrong inputs, as a user runs them."""

from __future__ import annotations

import csv
import json

import geopandas
import numpy as np
import pytest
import shapely
from conftest import ice_image

from autolabel import label_image
from helpers.maps.inference_commands import rows, run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from helpers.shards.tiny_shards import write_tiny_shards
from inference.evaluate.results import read_results
from polynya.recipe.classes import SEA_ICE

NO_NOISE = ("--resamples", 20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_threshold_model(tmp_path_factory.mktemp("models") / "model", make_recipe())


@pytest.fixture
def scenes(write_scene):
    """Two scenes of 128 x 128 pixels with their truth."""
    for name in "ab":
        image = ice_image(128, 128)
        path = write_scene(f"scenes/{name}_clear.tif", image, nodata=0)
        truth = label_image(image, method="none")
        write_scene(f"scenes/{name}_truth.tif", truth, nodata=255)
    return path.parent


def csv_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_models_on_several_images_maps_and_thresholds_side_by_side(model, scenes, tmp_path):
    maps, out = tmp_path / "maps", tmp_path / "out"
    run("predict", model, scenes, "--out", maps, "--products", "probability")
    words = ("evaluate", "--scenes", scenes, "--out", out, *NO_NOISE)
    two = ("--model", f"one={model}", "--model", f"two={model}", "--maps", f"old={maps}")
    run(*words, *two, "--images", "original", "--images", "illumination", "--filter", "none",
        "--metric", "calibration_error")  # fmt: skip
    results = read_results(out / "evaluation.json")
    assert [method.name for method in results.methods] == [
        "thresholds alone", "old",
        "one, original", "one, illumination",
        "two, original", "two, illumination",
    ]  # fmt: skip
    scores = {score.method: score for score in results.groups[0].scores}
    assert scores["old"].right == scores["one, original"].right == 1
    stored, made = (scores[n].values["calibration_error"] for n in ("old", "one, original"))
    assert stored == pytest.approx(made, abs=0.002)
    assert scores["thresholds alone"].calibration is None
    same = [c for c in results.comparisons if c.first[:3] == "one" and c.second[:3] == "two"]
    assert {c.verdict for c in same if c.first[3:] == c.second[3:]} == {"inside the noise"}
    table = csv_rows(out / "images.csv")
    assert list(table[0]) == ["images", "thresholds", "old", "one", "two"]
    tiles = csv_rows(out / "tiles.csv")
    assert len(tiles) == 2 * 4 * 6
    assert {tile["cover"] for tile in tiles} == {"0.000000"}  # The names say that it is clear.


def test_labels_of_shards_are_compared_with_rasters_and_with_each_other(scenes, tmp_path):
    shards, out = tmp_path / "shards", tmp_path / "out"
    run("label", "--scenes", scenes / "a_clear.tif", "--out", shards)
    words = ("evaluate", "--scenes", scenes, "--out", out, *NO_NOISE, "--filter", "no")
    said = run(*words, "--labels", f"auto={shards}", "--metric", "ssim", expect=1)
    assert "1 of 2 scenes failed, the others are done" in said.stderr
    assert "have no tile of the scene b_clear" in rows(out / "scenes.csv")["b_clear"]["reason"]
    (score,) = read_results(out / "evaluation.json").groups[0].scores
    assert (score.method, score.right, score.values["ssim"]) == ("auto", 1, pytest.approx(1))

    run("evaluate", "--shards", shards, "--labels", shards, "--filter", "none", "--out",
        tmp_path / "tiles", *NO_NOISE)  # fmt: skip
    results = read_results(tmp_path / "tiles" / "evaluation.json")
    assert [s.right for s in results.groups[0].scores] == [1, 1]
    assert results.settings.cover == "estimated"


def test_maps_are_compared_with_the_labels_of_tiles(model, tmp_path):
    shards = write_tiny_shards(tmp_path / "shards", make_recipe(32), nodata_shares=(0, 0))
    scenes = [tmp_path / f"scene{number}.tif" for number in range(2)]
    run("predict", model, scenes[0], "--out", tmp_path / "maps")
    words = ("evaluate", "--shards", shards, "--out", tmp_path / "out", *NO_NOISE)
    said = run(*words, "--maps", tmp_path / "maps", expect=1)
    assert "1 of 2 scenes failed" in said.stderr
    assert said.stderr.count("There is no map") == 1
    results = read_results(tmp_path / "out" / "evaluation.json")
    assert [scene.right for scene in results.scenes] == [{"model": 1}]
    assert [one.scene for one in results.missed] == ["scene1"]


def test_polygons_are_a_truth(scenes, tmp_path):
    # The left half of each scene is called thick ice, whatever it is; the rest is unknown.
    west, north = -300_000, -1_200_000
    box = shapely.box(west, north - 1280, west + 640, north)
    path = tmp_path / "truth.gpkg"
    frame = geopandas.GeoDataFrame({"kind": ["Thick_ice"]}, geometry=[box], crs="EPSG:3031")
    frame.to_file(path)
    words = ("evaluate", "--scenes", scenes, "--filter", "none", *NO_NOISE, "--truth", path)
    run(*words, "--truth-column", "kind", "--out", tmp_path / "out")
    results = read_results(tmp_path / "out" / "evaluation.json")
    assert results.groups[0].pixels == 2 * 128 * 64
    truth = label_image(ice_image(128, 128), method="none")
    expected = float((truth[:, :64] == SEA_ICE.codes[2]).mean())
    assert results.groups[0].scores[0].right == pytest.approx(expected)
    said = run(*words, "--out", tmp_path / "wrong", expect=1)
    assert "has no attribute 'class' (it has kind)" in said.stderr


def test_a_mask_of_cloud_divides_the_tiles(scenes, write_scene, tmp_path):
    for name in "ab":
        (scenes / f"{name}_clear.tif").rename(scenes / f"{name}_real.tif")
        cover = np.zeros((128, 128), np.uint8)
        cover[:20, :64] = 1
        write_scene(f"scenes/{name}_real_cover.tif", cover)
    paths = [scenes / f"{name}_real.tif" for name in "ab"]
    words = ("evaluate", "--scenes", *paths, "--filter", "none", "--tile", 64, *NO_NOISE)
    run(*words, "--cover", "{stem}_cover.tif", "--out", tmp_path / "out")
    results = read_results(tmp_path / "out" / "evaluation.json")
    assert [(g.name, g.tiles) for g in results.groups] == [("all", 8), ("more", 2), ("less", 6)]
    write_scene("scenes/b_real_cover.tif", cover[:100])
    said = run(*words, "--cover", "{stem}_cover.tif", "--out", tmp_path / "cut", expect=1)
    assert "1 bands of 100 x 128 pixels and its scene" in said.stderr
    assert "1 of 2 scenes failed, the others are done" in said.stderr


def test_wrong_inputs_are_one_sentence(model, scenes, tmp_path):
    def said(*words):
        text = run("evaluate", *words, "--out", tmp_path / "o", *NO_NOISE, expect=1).stderr
        return " ".join(text.split())

    of_scenes = ("--scenes", scenes)
    two = ("--model", model, "--model", model)
    assert "Two of --model have the name 'model'; give names" in said(*of_scenes, *two)
    recipe = json.loads(make_recipe().classes.model_dump_json())
    recipe["classes"][0]["name"] = "lead"
    other = save_threshold_model(tmp_path / "other", make_recipe(classes=recipe))
    text = said(*of_scenes, "--model", model, "--model", f"other={other}")
    assert "The model other has the classes lead, thin_ice, thick_ice" in text
    assert "There is no filter 'median'" in said(*of_scenes, "--filter", "median")
    assert "There are no images 'blurred'" in said(
        *of_scenes, "--model", model, "--images", "blurred"
    )
    assert "is one raster for all scenes" in said(*of_scenes, "--truth", "truth.tif")
    assert "There is no folder of maps" in said(*of_scenes, "--maps", tmp_path / "none")
    maps = tmp_path / "maps"
    run("predict", model, scenes, "--out", maps)
    text = said(*of_scenes, "--maps", maps, "--metric", "calibration_error")
    assert "has no probabilities a_clear_probability.tif beside it" in text
    assert "maps in place of a model" in said(
        *of_scenes, "--maps", maps, "--model", model, "--images", "original"
    )
