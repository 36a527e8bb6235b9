"""`polynya evaluate` as a user runs it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from inference_commands import rows, run
from inference_models import make_recipe, save_threshold_model

from autolabel import label_image


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
    table = list(csv.reader((out / "accuracy.csv").open()))
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
    assert sorted(p.name for p in out.iterdir()) == [
        "accuracy.csv", "accuracy.md", "classes.csv", "comparison_best.png",
        "comparison_worst.png", "confusion.csv", "confusion.png", "scenes.csv",
    ]  # fmt: skip
    assert list(rows(out / "scenes.csv")) == ["s1_clear", "s1_cloud"]
    assert len(list(csv.reader((out / "classes.csv").open()))) == 1 + 4 * 4


def test_evaluate_without_a_model_and_with_patterns_spread_by_the_shell(site, tmp_path):
    out = tmp_path / "evaluation"
    run("evaluate", "--scenes", site / "s1_clear.tif", site / "s1_cloud.tif", "--out", out)
    assert [r[0] for r in csv.reader((out / "accuracy.csv").open())] == [
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

    # A map of something else under the same name: the model's own prediction counts.
    with rasterio.open(maps / "s1_clear.tif") as source:
        profile, codes = source.profile, source.read(1)
    codes[codes != 255] = 0
    with rasterio.open(maps / "s1_clear.tif", "w", **profile) as target:
        target.write(codes, 1)
    run(*options, tmp_path / "c", "--model", model)
    assert (tmp_path / "c" / "accuracy.csv").read_bytes() == accuracy
    run(*options, tmp_path / "d")
    assert (tmp_path / "d" / "accuracy.csv").read_bytes() != accuracy

    (maps / "s1_cloud.tif").unlink()
    missing = run(*options, tmp_path / "e", expect=1)
    assert "There is no map" in missing.stderr
    with rasterio.open(maps / "s1_cloud.tif", "w", **{**profile, "width": 60}) as target:
        target.write(codes[:, :60], 1)
    assert "another size" in run(*options, tmp_path / "f", expect=1).stderr


def test_evaluate_without_truth_or_scenes_is_one_sentence(site, write_scene, tmp_path):
    (site / "s1_truth.tif").unlink()
    result = run("evaluate", "--scenes", site, "--out", tmp_path / "out", expect=1)
    assert "s1_truth.tif, is missing" in result.stderr
    assert not (tmp_path / "out").exists()
    result = run("evaluate", "--scenes", site / "s1_sky.tif", "--out", tmp_path / "o", expect=1)
    assert "No scene among" in result.stderr
