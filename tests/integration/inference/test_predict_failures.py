"""`polynya predict` where a scene goes wrong, or has nothing to see."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ice_image

from helpers.maps.inference_commands import names, rows, run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from inference.products.class_map import read_map
from inference.run import scene as products
from polynya.native import import_apart

STEPS = ("open_for_model", "predict_scene", "summarise", "draw_overview", "write_map", "write_item")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_threshold_model(tmp_path_factory.mktemp("models") / "model", make_recipe())


@pytest.mark.parametrize("step", STEPS)
def test_a_fault_of_one_scene_is_its_row(model, write_scene, tmp_path, monkeypatch, step):
    for name in ("a", "b", "c"):
        write_scene(f"in/{name}.tif", ice_image(70, 70))
    calls = []

    def fail(*args, **options):
        calls.append(step)
        if len(calls) == 2:
            raise ZeroDivisionError("nobody thought of it")
        return original(*args, **options)

    original = getattr(products, step)
    monkeypatch.setattr(products, step, fail)
    out = tmp_path / "out"
    result = run("predict", model, tmp_path / "in", "--out", out, expect=1)
    assert "2 scenes mapped, 0 skipped (finished before), 1 failed" in result.stdout
    table = rows(out / "summary.csv")
    assert [table[name]["status"] for name in "abc"] == ["done", "failed", "done"]
    assert "b.tif could not be mapped: ZeroDivisionError" in table["b"]["reason"]
    assert [name for name in names(out) if name.startswith("b")] == []
    collection = json.loads((out / "collection.json").read_text())
    assert len([link for link in collection["links"] if link["rel"] == "item"]) == 2
    assert (
        "1 scenes mapped, 2 skipped" in run("predict", model, tmp_path / "in", "--out", out).stdout
    )


@pytest.mark.parametrize("step", ["write_collection", "write_model_item", "write_table"])
def test_what_goes_wrong_beside_the_scenes_loses_none(
    model, write_scene, tmp_path, monkeypatch, step
):
    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    for name in ("a", "b"):
        write_scene(f"in/{name}.tif", ice_image(70, 70))
    monkeypatch.setattr(f"inference.run.scenes.{step}", fail)
    result = run("predict", model, tmp_path / "in", "--out", tmp_path / "out", expect=1)
    assert "2 scenes mapped, 0 skipped (finished before), 0 failed" in result.stdout
    assert "could not be written: No space left on device" in result.stderr
    assert {"a.json", "b.json"} <= set(names(tmp_path / "out"))


def test_scenes_without_a_valid_pixel_are_a_state_of_their_own(model, write_scene, tmp_path):
    write_scene("in/black.tif", np.zeros((60, 50, 3), np.uint8))
    write_scene("in/empty.tif", np.full((60, 50, 3), 9, np.uint8), nodata=9)
    write_scene("in/ice.tif", ice_image(60, 50))
    words = ("predict", model, tmp_path / "in", "--out", tmp_path / "out", "--products", "all")
    for said in ("1 scenes mapped, 0 skipped", "0 scenes mapped, 1 skipped"):
        result = run(*words)
        assert said in result.stdout
        assert "0 failed, 2 without any valid pixel (nodata)" in result.stdout
        table = rows(tmp_path / "out" / "summary.csv")
        for name in ("black", "empty"):
            assert table[name]["status"] == "nodata"
            assert table[name]["valid_share"] == "0.000000"
            assert (read_map(tmp_path / "out" / f"{name}.tif") == 255).all()
            package = tmp_path / "out" / f"{name}_polygons.gpkg"
            assert import_apart("pyogrio").read_info(package)["features"] == 0
