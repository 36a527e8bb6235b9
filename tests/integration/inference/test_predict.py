"""`polynya predict` as a user runs it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from conftest import ice_image
from rio_cogeo import cog_validate

from autolabel import label_image
from helpers.maps.inference_commands import names, rows, run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from helpers.maps.stac_validator import validate_folder
from helpers.programs.launch import launch
from polynya.provenance import file_digest
from polynya.recipe.overrides import resolve
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import open_scene
from training.model_folder.folder import load_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_threshold_model(tmp_path_factory.mktemp("models") / "model", make_recipe())


def image_with_wedge(height=150, width=130, seed=0):
    image = ice_image(height, width, seed)
    image[:20, :40] = 0
    return image


def test_predict_writes_map_item_picture_and_summary(model, write_scene, tmp_path):
    image = image_with_wedge()
    path = write_scene("in/site_20191104.tif", image, nodata=0)
    out = tmp_path / "deep" / "maps"
    result = run("predict", model, path, "--out", out)
    assert "1 scenes mapped, 0 skipped (finished before), 0 failed" in result.stdout
    digest = file_digest(model / "model.keras")
    assert names(out) == [
        "collection.json", f"model_{digest}.json", "site_20191104.json", "site_20191104.png",
        "site_20191104.qml", "site_20191104.tif", "summary.csv",
    ]  # fmt: skip
    assert cog_validate(out / "site_20191104.tif")[0]
    with rasterio.open(path) as source, rasterio.open(out / "site_20191104.tif") as written:
        assert (written.crs, written.transform) == (source.crs, source.transform)
        np.testing.assert_array_equal(written.read(1), label_image(image, method="none"))
        tags = written.tags()
    assert tags["source"] == "site_20191104.tif"
    assert tags["source_digest"] == scene_digest(open_scene(str(path)))
    assert tags["model_digest"] == file_digest(model / "model.keras")
    assert tags["recipe_digest"] == make_recipe().digest()
    assert len(validate_folder(out)) == 3
    item = json.loads((out / "site_20191104.json").read_text())
    assert item["properties"]["datetime"] is None
    assert item["properties"]["start_datetime"] == "2019-11-04T00:00:00Z"
    row = rows(out / "summary.csv")["site_20191104"]
    assert row["status"] == "done"
    counts = [(label_image(image, method="none") == code).sum() for code in range(3)]
    for name, count in zip(("open_water", "thin_ice", "thick_ice"), counts, strict=True):
        # EPSG:3031 is true to scale at 71 degrees south only: 100 m2 of it are 103.6 m2 there.
        assert float(row[f"{name}_km2"]) == pytest.approx(count * 1.0362e-4, rel=1e-3)
        assert float(row[f"{name}_share"]) == pytest.approx(count / sum(counts), abs=1e-6)


def test_predict_in_the_second_palette_changes_colours_and_nothing_else(
    model, write_scene, tmp_path
):
    path, out = write_scene("in/site.tif", image_with_wedge(), nodata=0), tmp_path / "maps"
    run("predict", model, path, "--out", out)
    with rasterio.open(out / "site.tif") as written:
        before = written.read(1)
    result = run("predict", model, path, "--out", out, "--palette", "colour-blind")
    assert "1 scenes mapped, 0 skipped" in result.stdout
    with rasterio.open(out / "site.tif") as written:
        np.testing.assert_array_equal(written.read(1), before)
        assert written.colormap(1)[2] == (213, 94, 0, 255)
    validate_folder(out)
    item = json.loads((out / "site.json").read_text())
    hints = [c.get("color_hint") for c in item["assets"]["map"]["classification:classes"]]
    assert hints == ["0072B2", "F0E442", "D55E00", None]
    again = run("predict", model, path, "--out", out, "--palette", "colour-blind")
    assert "0 scenes mapped, 1 skipped" in again.stdout


def test_predict_tells_what_a_scene_lacks_for_a_place(model, write_scene, tmp_path):
    path = write_scene("in/site.tif", image_with_wedge(), crs=None, nodata=0)
    with rasterio.open(path, "r+") as target:
        target.crs = "EPSG:3031"
    result = run("predict", model, path, "--out", tmp_path / "maps")
    assert "areas or footprint can't be known, as it has a coordinate system but no geot" in (
        " ".join(result.output.split())
    )
    assert rows(tmp_path / "maps" / "summary.csv")["site"]["open_water_km2"] == ""


def test_predict_does_the_good_scenes_among_bad_ones(model, write_scene, tmp_path):
    folder = tmp_path / "in"
    write_scene("in/good.tif", image_with_wedge())
    write_scene("in/grey.tif", image_with_wedge()[..., :1])
    write_scene("in/float.tif", image_with_wedge().astype(np.float32))
    write_scene("in/black.tif", np.zeros((60, 60, 3), np.uint8))
    cut = write_scene("in/cut.tif", ice_image(300, 300))
    cut.write_bytes(cut.read_bytes()[:120_000])
    out = tmp_path / "maps"
    result = run("predict", model, folder, tmp_path / "missing.tif", "--out", out, expect=1)
    assert (
        "1 scenes mapped, 0 skipped (finished before), 4 failed, 1 without any valid"
        in result.stdout
    )
    assert "4 of 6 scenes failed" in result.stderr
    assert "Traceback" not in result.output
    summary = rows(out / "summary.csv")
    assert summary["good"]["status"] == "done"
    assert "1 band " in summary["grey"]["reason"]
    assert "no reflectances; set scene.scale" in summary["float"]["reason"]
    assert summary["black"]["status"] == "nodata"
    assert "truncated" in summary["cut"]["reason"]
    assert "does not exist" in summary["missing"]["reason"]
    assert [name for name in names(out) if not name.startswith("m")] == [
        "black.json", "black.png", "black.qml", "black.tif", "collection.json", "good.json",
        "good.png", "good.qml", "good.tif", "summary.csv",
    ]  # fmt: skip


def test_predict_skips_what_is_finished_and_only_that(model, write_scene, tmp_path):
    write_scene("in/a.tif", ice_image(70, 70, 1))
    write_scene("in/b.tif", ice_image(70, 70, 2))
    folder, out = tmp_path / "in", tmp_path / "maps"
    run("predict", model, folder, "--out", out)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.glob("*.*")}

    result = run("predict", model, folder, "--out", out)
    assert "0 scenes mapped, 2 skipped" in result.stdout
    assert (out / "a.tif").stat().st_mtime_ns == before["a.tif"][1]
    summary = rows(out / "summary.csv")
    assert summary["a"]["status"] == "skipped"
    assert summary["a"]["thin_ice_km2"]

    write_scene("in/a.tif", ice_image(70, 70, 3))
    (out / "b.png").unlink()
    assert "2 scenes mapped" in run("predict", model, folder, "--out", out).stdout
    assert (out / "a.tif").read_bytes() != before["a.tif"][0]
    assert (out / "b.tif").read_bytes() == before["b.tif"][0]
    assert (out / "b.png").read_bytes() == before["b.png"][0]

    redone = run("predict", model, folder, "--out", out, "--overwrite")
    assert "2 scenes mapped" in redone.stdout
    other_windows = run("predict", model, folder / "a.tif", "--out", out, "--overlap", "0")
    assert "1 scenes mapped" in other_windows.stdout
    assert set(rows(out / "summary.csv")) == {"a", "b"}


def test_predict_writes_the_products_that_are_asked_for(model, write_scene, tmp_path):
    image = image_with_wedge()
    path, out = write_scene("in/site.tif", image, nodata=0), tmp_path / "maps"
    options = ("predict", model, path, "--out", out)
    run(*options, "--products", "all", "--cell", "200")
    codes = label_image(image, method="none")
    stored = []
    for name in ("probability", "entropy", "concentration"):
        assert cog_validate(out / f"site_{name}.tif")[0]
        with rasterio.open(out / f"site_{name}.tif") as source:
            stored.append(source.read())
    valid = codes != 255
    np.testing.assert_array_equal(stored[0].argmax(axis=0)[valid], codes[valid])
    cell = codes[40:60, 60:80]
    assert stored[2][0, 2, 3] == np.float32((cell > 0).mean())
    polygons = geopandas.read_parquet(out / "site_polygons.parquet")
    row = rows(out / "summary.csv")["site"]
    assert len(polygons) == int(row["polygons"])
    assert polygons["pixels"].sum() + int(row["dropped_pixels"]) == valid.sum()
    assert len(validate_folder(out)) == 3
    item = json.loads((out / "site.json").read_text())
    assert (item["properties"]["polynya:concentration_cell"], len(item["assets"])) == ("200", 14)
    (collected,) = pystac.Collection.from_file(out / "collection.json").get_items()
    models = [
        pystac.Item.from_file(link.get_absolute_href())
        for link in collected.get_links("derived_from")
        if "mlm:name" in link.extra_fields
    ]
    assert [m.properties["mlm:architecture"] for m in models] == ["unet"]
    assert (out / models[0].assets["model"].href).resolve() == model / "model.keras"

    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "1 skipped" in run(*options, "--products", "all", "--cell", "200").stdout
    kept = rows(out / "summary.csv")["site"]
    assert {**kept, "status": "done"} == row
    assert "1 skipped" in run(*options, "--products", "entropy").stdout
    run(*options, "--products", "all", "--cell", "200", "--overwrite")
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before

    # With another cell the scene is done again, and what isn't asked for goes.
    assert "1 scenes mapped" in run(*options, "--products", "concentration").stdout
    assert sorted(p.name for p in out.glob("site*")) == [
        "site.json", "site.png", "site.qml", "site.tif", "site_concentration.qml",
        "site_concentration.tif",
    ]  # fmt: skip

    # QGIS saves changed styles under these names. They stay, and fail nothing.
    style = out / "site.qml"
    style.write_text("mine")
    assert "1 skipped" in run(*options, "--products", "concentration").stdout
    again = run(*options, "--products", "concentration", "--overwrite").stdout
    assert "1 scenes mapped" in again
    assert style.read_text() == "mine"


def test_predict_takes_the_back_end_of_the_command(model, write_scene, tmp_path, monkeypatch):
    path, out = write_scene("in/site.tif", ice_image(70, 70), nodata=0), tmp_path / "maps"
    words = ("predict", model, path, "--out", out, "--backend", "openvino")
    run(*words, "--precision", "bfloat16")
    item = json.loads((out / "site.json").read_text())
    assert item["properties"]["polynya:backend"] == "openvino, bfloat16"
    monkeypatch.setitem(sys.modules, "openvino", None)
    said = run(*words, "--overwrite", expect=1).output
    assert "OpenVINO is not installed; take 'keras' as --backend" in said
    assert "Failed" not in said


def test_options_that_change_a_map_are_in_the_recipe_of_its_provenance(
    model, write_scene, tmp_path
):
    path, recipe = write_scene("in/site.tif", ice_image(70, 70)), load_model(model).recipe
    digests = {}
    for words in ((), ("--overlap", "0.25"), ("--batch-size", "2"), ("--products", "entropy")):
        run("predict", model, path, "--out", tmp_path / "maps", *words)
        item = json.loads((tmp_path / "maps" / "site.json").read_text())
        digests[words[:1]] = item["properties"]["polynya:recipe_digest"]
    assert digests == {
        (): recipe.digest(),
        ("--overlap",): resolve(recipe, {"inference.overlap": 0.25}).digest(),
        ("--batch-size",): resolve(recipe, {"inference.batch_size": 2}).digest(),
        ("--products",): recipe.digest(),
    }


def test_predict_with_products_that_can_not_be_is_one_sentence(write_scene, tmp_path, model):
    path = write_scene("a.tif", ice_image(70, 70))
    options = ("predict", model, path, "--out", tmp_path / "maps", "--products")
    assert "no product" in run(*options, "maps", expect=1).stderr
    assert not (tmp_path / "maps").exists()


def test_predict_labels_a_folder_of_photographs(model, tmp_path):
    image = ice_image(90, 70)
    folder, out = tmp_path / "photos", tmp_path / "labels"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(folder / name), image[..., ::-1])
    (folder / "torn.jpg").write_bytes((folder / "b.jpg").read_bytes()[:500])
    (folder / "text.png").write_text("no image")
    options = ("predict", model, folder, "--out", out, "--products", "label-png,overlay")
    result = run(*options, expect=1)
    assert "2 scenes mapped, 0 skipped (finished before), 2 failed" in result.stdout
    label = cv2.imread(str(out / "a_label.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label, label_image(image, method="none"))
    assert cv2.imread(str(out / "b_overlay.png")).shape == image.shape
    assert not list(out.glob("torn*"))
    assert len(validate_folder(out)) == 4


def test_predict_shows_the_truth_that_fits_and_says_when_none_does(model, write_scene, tmp_path):
    image = ice_image(70, 70)
    path = write_scene("in/a_clear.tif", image)
    run("predict", model, path, "--out", tmp_path / "without")
    write_scene("in/a_truth.tif", label_image(image, method="none"), nodata=255)
    assert run("predict", model, path, "--out", tmp_path / "with").stderr.count("\n") == 1
    sizes = [(tmp_path / name / "a_clear.png").stat().st_size for name in ("without", "with")]
    assert sizes[0] < sizes[1]
    write_scene("in/a_truth.tif", label_image(image, method="none")[:60], nodata=255)
    result = run("predict", model, path, "--out", tmp_path / "misfit")
    assert "The picture is without truth" in result.stderr
    pictures = [(tmp_path / name / "a_clear.png").read_bytes() for name in ("without", "misfit")]
    assert pictures[0] == pictures[1]


def test_predict_never_replaces_a_scene(model, write_scene, tmp_path):
    path = write_scene("a.tif", ice_image(70, 70))
    before = path.read_bytes()
    result = run("predict", model, path, "--out", tmp_path, "--overwrite", expect=1)
    assert "would replace the scene" in result.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["nothing", "folder", "damaged"])
def test_predict_without_a_model_is_one_sentence(model, write_scene, tmp_path, content):
    path, folder = write_scene("a.tif", ice_image(70, 70)), tmp_path / "model"
    if content != "nothing":
        folder.mkdir()
    if content == "damaged":
        for name in ("recipe.yaml", "classes.json"):
            (folder / name).write_bytes((model / name).read_bytes())
        (folder / "model.keras").write_bytes(b"no model")
    result = run("predict", folder, path, "--out", tmp_path / "maps", expect=1)
    assert str(folder) in result.stderr
    assert result.stderr.startswith("Error: ")
    assert not (tmp_path / "maps").exists()


def test_predict_into_a_file_is_one_sentence(model, write_scene, tmp_path):
    path = write_scene("a.tif", ice_image(70, 70))
    result = run("predict", model, path, "--out", path, expect=1)
    assert "is a file; choose another --out folder" in result.stderr


def test_predict_real_scene_keeps_its_georeference(model, real_data, tmp_path):
    source = real_data / "s2_greenland" / "derived_truecolor_rgb.tif"
    run("predict", model, source, "--out", tmp_path, "--overlap", "0")
    with rasterio.open(source) as scene, rasterio.open(tmp_path / source.name) as written:
        assert (written.crs, written.transform) == (scene.crs, scene.transform)
        assert written.shape == scene.shape
        assert written.nodata == 255
    assert cog_validate(tmp_path / source.name)[0]


def test_the_spark_job_makes_the_same_maps_and_names_broken_scenes(model, write_scene, tmp_path):
    for index in range(3):
        write_scene(f"in/s{index}.tif", image_with_wedge(seed=index), nodata=0)
    (tmp_path / "in" / "torn.tif").write_bytes(b"no image")
    scenes = str(tmp_path / "in" / "*.tif")
    run("predict", model, scenes, "--out", tmp_path / "here", expect=1)
    root, programs = Path(__file__).parents[3], Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    job = ["spark-submit", "--master", "local[2]", str(root / "inference" / "job.py")]
    options = ["--scenes", "in/*.tif", "--model", str(model), "--out", "spark"]
    done = launch([*job, *options], cwd=tmp_path, env=environment, timeout=600)
    assert done.returncode == 1
    assert "3 scenes mapped, 0 skipped (finished before), 1 failed" in done.stdout
    assert "torn.tif can't be read" in done.stdout + done.stderr
    made = names(tmp_path / "here")
    assert made == names(tmp_path / "spark")
    for name in made:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "spark" / name).read_bytes()

    again = launch([*job, *options], cwd=tmp_path, env=environment, timeout=600)
    assert "0 scenes mapped, 3 skipped (finished before), 1 failed" in again.stdout
