"""`polynya evaluate` as a user runs it."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from autolabel import label_image
from helpers.maps.inference_commands import names, rows, run
from helpers.maps.inference_models import make_recipe, save_threshold_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_threshold_model(tmp_path_factory.mktemp("models") / "model", make_recipe())


@pytest.fixture
def site(write_scene):
    """A clear scene, the same under uniform haze, and their truth."""
    clear = ice_image(200, 180)
    clear[:20, :40] = 0
    truth = label_image(clear, method="none")
    hazy = np.where(clear.any(axis=2, keepdims=True), clear // 2 + 110, 0).astype(np.uint8)
    path = write_scene("site/s1_clear.tif", clear, nodata=0)
    write_scene("site/s1_cloud.tif", hazy, nodata=0)
    write_scene("site/s1_truth.tif", truth, nodata=255)
    write_scene("site/s1_sky.tif", np.zeros((200, 180, 2), np.uint8))
    return path.parent


def test_evaluate_compares_every_method_with_the_truth(model, site, tmp_path):
    out = tmp_path / "evaluation"
    result = run("evaluate", "--scenes", site, "--out", out, "--model", model)
    table = list(csv.reader((out / "accuracy.csv").read_text().splitlines()))
    assert table[0] == ["method", "clear", "cloud", "overall"]
    by_method = {row[0]: [float(cell) for cell in row[1:]] for row in table[1:]}
    assert list(by_method) == [
        "thresholds alone", "published filter", "illumination filter", "model",
    ]  # fmt: skip
    assert by_method["thresholds alone"][0] == 100
    assert by_method["model"] == by_method["thresholds alone"]
    assert by_method["thresholds alone"][1] < 80
    assert by_method["published filter"][2] < 100
    assert by_method["illumination filter"][0] == 100
    assert by_method["illumination filter"][1] >= by_method["thresholds alone"][1]
    for text in ("Pixels right", "Scores by class", "Confusion of model", "Thin/young ice"):
        assert text in result.stdout
    assert names(out) == [
        "accuracy.csv", "accuracy.md", "accuracy.png", "classes.csv", "comparison_best.png",
        "comparison_worst.png", "comparisons.csv", "confusion.csv", "confusion.png",
        "confusion_less.png", "confusion_more.png", "confusion_percent.csv", "cover.csv",
        "evaluation.json", "images.csv", "methods.csv", "samples.csv", "scenes.csv", "scores.csv",
        "sites.csv", "tiles.csv",
    ]  # fmt: skip
    assert list(rows(out / "scenes.csv")) == ["s1_clear", "s1_cloud"]
    assert len(list(csv.reader((out / "classes.csv").read_text().splitlines()))) == 1 + 4 * 4


def test_evaluate_without_a_model_and_with_patterns_spread_by_the_shell(site, tmp_path):
    out = tmp_path / "evaluation"
    run("evaluate", "--scenes", site / "s1_clear.tif", site / "s1_cloud.tif", "--out", out)
    assert [r[0] for r in csv.reader((out / "accuracy.csv").read_text().splitlines())] == [
        "method", "thresholds alone", "published filter", "illumination filter",
    ]  # fmt: skip


def test_evaluate_reuses_maps_of_this_model_only(model, site, tmp_path):
    maps = tmp_path / "maps"
    run("predict", model, site / "s1_clear.tif", site / "s1_cloud.tif", "--out", maps)
    options = ("evaluate", "--scenes", site, "--maps", maps, "--out")
    with_model = run(*options, tmp_path / "a", "--model", model)
    assert "Predicting" not in with_model.stderr
    run(*options, tmp_path / "b")
    accuracy = (tmp_path / "a" / "accuracy.csv").read_bytes()
    assert (tmp_path / "b" / "accuracy.csv").read_bytes() == accuracy

    # Maps that were made in other windows are this model's too.
    run("predict", model, site / "s1_clear.tif", site / "s1_cloud.tif", "--out", maps, "--overlap",
        "0")  # fmt: skip
    other_windows = run(*options, tmp_path / "o", "--model", model)
    assert "Predicting" not in other_windows.stderr
    assert other_windows.stderr.count("were made with window_overlap") == 1

    # A map of something else under the same name is no map of the model, and is never replaced.
    with rasterio.open(maps / "s1_clear.tif") as source:
        profile, codes = source.profile, source.read(1)
    codes[codes != 255] = 0
    with rasterio.open(maps / "s1_clear.tif", "w", **profile) as target:
        target.write(codes, 1)
    replaced = run(*options, tmp_path / "c", "--model", model, expect=1)
    assert "s1_clear.tif is of another model and scene" in replaced.stderr
    assert "1 of 2 scenes failed, the others are done" in replaced.stderr
    assert "Predicting" not in replaced.stderr
    run(*options, tmp_path / "d")
    assert (tmp_path / "d" / "accuracy.csv").read_bytes() != accuracy

    (maps / "s1_cloud.tif").unlink()
    missing = run(*options, tmp_path / "e", expect=1)
    assert "There is no map" in missing.stderr
    with rasterio.open(maps / "s1_cloud.tif", "w", **{**profile, "width": 60}) as target:
        target.write(codes[:, :60], 1)
    assert "60 pixels and its scene" in run(*options, tmp_path / "f", expect=1).stderr


def test_evaluate_takes_no_map_of_another_scene(model, site, tmp_path):
    maps, scene = tmp_path / "maps", site / "s1_clear.tif"
    run("predict", model, scene, "--out", maps)
    with rasterio.open(scene, "r+") as target:
        target.write(target.read()[:, ::-1])
    options = ("evaluate", "--scenes", scene, "--maps", maps, "--out")
    assert "is of another scene than" in run(*options, tmp_path / "a", expect=1).stderr
    with_model = run(*options, tmp_path / "b", "--model", model, expect=1)
    assert "is of another scene than" in with_model.stderr
    assert "Predicting" not in with_model.stderr


def test_evaluate_does_the_good_scenes_among_bad_ones(model, site, write_scene, tmp_path):
    for name in ("s2_clear", "s3_clear", "s4_clear"):
        write_scene(f"site/{name}.tif", ice_image(90, 80), nodata=0)
        if name != "s2_clear":
            truth = label_image(ice_image(90, 80), method="none")
            write_scene(f"site/{name[:2]}_truth.tif", truth, nodata=255)
    # One whose pixels can't be read, though it can be opened; one without a known pixel.
    content = (site / "s3_clear.tif").read_bytes()
    (site / "s3_clear.tif").write_bytes(content[: len(content) // 2])
    write_scene("site/s4_truth.tif", np.full((90, 80), 255, np.uint8), nodata=255)
    out = tmp_path / "out"
    result = run("evaluate", "--scenes", site, "--out", out, "--model", model, expect=1)
    assert "3 of 5 scenes failed" in result.stderr
    table = rows(out / "scenes.csv")
    assert [table[name]["reason"] for name in ("s1_clear", "s1_cloud")] == ["", ""]
    assert "s2_truth.tif, is missing" in table["s2_clear"]["reason"]
    assert "s3_clear.tif can't be read" in table["s3_clear"]["reason"]
    assert "no pixel with data and known truth" in table["s4_clear"]["reason"]
    accuracy = list(csv.reader((out / "accuracy.csv").read_text().splitlines()))
    run("evaluate", "--scenes", site / "s1_clear.tif", site / "s1_cloud.tif", "--out",
        tmp_path / "good", "--model", model)  # fmt: skip
    assert (
        list(csv.reader((tmp_path / "good" / "accuracy.csv").read_text().splitlines())) == accuracy
    )


def test_evaluate_says_which_scenes_trained_the_model(model, site, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    split = {"training": ["s1_clear", "elsewhere"], "validation": ["s1_cloud"]}
    (copy / "split.json").write_text(json.dumps(split))
    result = run("evaluate", "--scenes", site, "--out", tmp_path / "out", "--model", copy)
    assert "model was trained on 1 of 2 scenes" in result.stdout
    table = rows(tmp_path / "out" / "scenes.csv")
    assert [table[n]["trained the model"] for n in ("s1_clear", "s1_cloud")] == ["yes", ""]


def test_evaluate_leaves_files_of_a_user_alone(site, tmp_path):
    (tmp_path / "accuracy.csv").write_text("mine")
    result = run("evaluate", "--scenes", site, "--out", tmp_path, expect=1)
    assert "accuracy.csv is not a file that Polynya wrote" in result.stderr
    assert names(tmp_path / "") == sorted(["accuracy.csv", "site"])


def test_evaluate_without_truth_or_scenes_is_one_sentence(site, write_scene, tmp_path):
    (site / "s1_truth.tif").unlink()
    result = run("evaluate", "--scenes", site, "--out", tmp_path / "out", expect=1)
    assert "s1_truth.tif, is missing" in result.stderr
    assert not (tmp_path / "out").exists()
    result = run("evaluate", "--scenes", site / "s1_sky.tif", "--out", tmp_path / "o", expect=1)
    assert "No scene among" in result.stderr
