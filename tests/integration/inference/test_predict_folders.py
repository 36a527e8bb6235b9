"""`polynya predict` into folders that hold a user's files, other maps or remains of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import ice_image

from autolabel import label_image
from helpers.maps.inference_commands import names, rows, run
from helpers.maps.inference_models import make_recipe, save_threshold_model
from inference.products.class_map import read_map
from polynya.storage.files import write_text
from polynya.storage.locks import LOCK_FILE, locked
from polynya.storage.output_folder import open_output


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_threshold_model(tmp_path_factory.mktemp("models") / "model", make_recipe())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


def codes_of(image):
    return label_image(image, method="none")


def write_photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), ice_image(60, 70, seed))


# A user's own files


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    "own", ["a.json", "a.png", "a.tif", "a_polygons.gpkg", "a_polygons.parquet", "a_label.png"]
)
def test_a_scene_fails_where_a_product_would_replace_a_file_of_the_user(model, tmp_path, own, more):
    photos = tmp_path / "photos"
    write_photo(photos / "a.jpg")
    write_photo(photos / "b.jpg")
    (photos / own).write_text("drawn by hand")
    words = ("predict", model, photos / "a.jpg", photos / "b.jpg", "--out", photos, *more)
    for _ in range(2):
        result = run(*words, "--products", "polygons,label-png", expect=1)
        assert f"{own} is not a file that Polynya wrote" in result.stderr
        assert "1 failed" in result.stdout
        assert (photos / own).read_text() == "drawn by hand"
        assert not set(names(photos)) & ({"a.json", "a.png", "a.tif", "a_label.png"} - {own})
        assert (photos / "b_label.png").exists()
        assert rows(photos / "summary.csv")["a"]["status"] == "failed"


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
@pytest.mark.parametrize("own", ["summary.csv", "collection.json"])
def test_nothing_is_computed_where_a_table_would_replace_a_file_of_the_user(
    model, write_scene, tmp_path, own, more
):
    scene = write_scene("a.tif", ice_image(70, 70))
    out = tmp_path / "out"
    out.mkdir()
    (out / own).write_text("mine")
    result = run("predict", model, scene, "--out", out, *more, expect=1)
    assert f"{own} is not a file that Polynya wrote" in result.stderr
    assert contents(out) == {own: b"mine"}


def test_a_product_that_the_user_changed_is_theirs(model, write_scene, tmp_path):
    scene, out = write_scene("a.tif", ice_image(70, 70)), tmp_path / "out"
    words = ("predict", model, scene, "--out", out)
    run(*words, "--products", "label-png")
    (out / "a_label.png").write_text("corrected by hand")
    before = contents(out)
    result = run(*words, "--products", "label-png", "--overwrite", expect=1)
    assert "or it was changed since; move it away" in result.stderr
    assert {**contents(out), "summary.csv": b""} == {**before, "summary.csv": b""}
    # A run that doesn't write this product leaves it where it is.
    run(*words, "--overwrite")
    assert (out / "a_label.png").read_text() == "corrected by hand"


def test_products_of_other_commands_are_no_maps(model, write_scene, tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    scene = write_scene("a.tif", ice_image(70, 70))
    with open_output(folder, "scenes"):
        write_text(folder / "a.json", "{}")
    result = run("predict", model, scene, "--out", folder, "--overwrite", expect=1)
    assert "a.json was written by another command; choose another --out" in result.stderr
    assert (folder / "a.json").read_text() == "{}"


# Maps of other scenes


@pytest.mark.parametrize("at_once", [True, False])
def test_scenes_of_one_name_keep_maps_of_their_own(model, write_scene, tmp_path, at_once):
    images = {"2019": ice_image(70, 70, 1), "2020": ice_image(70, 70, 2)}
    scenes = [write_scene(f"{year}/T01.tif", image) for year, image in images.items()]
    out = tmp_path / "out"
    for given in [scenes] if at_once else [[scenes[0]], [scenes[1]]]:
        run("predict", model, *given, "--out", out)
    maps = [read_map(path) for path in sorted(out.glob("*.tif"))]
    assert len(maps) == 2
    for image in images.values():
        assert sum((codes == codes_of(image)).all() for codes in maps) == 1
    # Each scene keeps its name, in whatever order they come, one by one or together.
    before = contents(out)
    for given in (scenes, [scenes[1]], [scenes[0]]):
        assert "0 scenes mapped" in run("predict", model, *given, "--out", out).stdout
    run("predict", model, *scenes, "--out", out, "--overwrite")
    assert {name: before[name] for name in before if name != "summary.csv"} == {
        name: content for name, content in contents(out).items() if name != "summary.csv"
    }


def test_a_scene_that_was_delivered_again_is_predicted_again(model, write_scene, tmp_path):
    scene, out = write_scene("in/a.tif", ice_image(70, 70, 1)), tmp_path / "out"
    run("predict", model, scene, "--out", out)
    image = ice_image(70, 70, 2)
    write_scene("in/a.tif", image)
    assert "1 scenes mapped" in run("predict", model, scene, "--out", out).stdout
    assert [path.name for path in out.glob("*.tif")] == ["a.tif"]
    np.testing.assert_array_equal(read_map(out / "a.tif"), codes_of(image))


@pytest.mark.parametrize("what", ["mask", "source", "times"])
def test_a_map_follows_the_files_that_its_scene_depends_on(model, write_scene, tmp_path, what):
    image = ice_image(70, 70)
    scene = write_scene("in/a.tif", image)
    if what == "source":
        scene = tmp_path / "in" / "b.vrt"
        rasterio.shutil.copy(tmp_path / "in" / "a.tif", scene, driver="VRT")
    out = tmp_path / "out"
    run("predict", model, scene, "--out", out)
    if what == "mask":
        valid = np.ones((70, 70), np.bool_)
        valid[:9] = False
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(scene, "r+") as target:
            target.write_mask(valid)
        assert (tmp_path / "in" / "a.tif.msk").exists()
    if what == "source":
        write_scene("in/a.tif", ice_image(70, 70, 5))
    if what == "times":
        os.utime(scene, (1, 1))
    said = run("predict", model, scene, "--out", out).stdout
    assert ("0 scenes mapped, 1 skipped" if what == "times" else "1 scenes mapped") in said
    codes = read_map(out / f"{scene.stem}.tif")
    assert (codes[:9] == 255).all() == (what == "mask")
    if what == "source":
        np.testing.assert_array_equal(codes, codes_of(ice_image(70, 70, 5)))


@pytest.mark.parametrize("moved", ["in", "out", "both"])
def test_folders_that_were_moved_are_the_same(model, write_scene, tmp_path, moved):
    write_scene("one/in/a.tif", ice_image(70, 70))
    run("predict", model, tmp_path / "one/in", "--out", tmp_path / "one/out")
    if moved == "both":
        (tmp_path / "one").rename(tmp_path / "two")
        scenes, out = tmp_path / "two/in", tmp_path / "two/out"
    else:
        (tmp_path / "two").mkdir()
        (tmp_path / "one" / moved).rename(tmp_path / "two" / moved)
        scenes, out = (tmp_path / ("two" if moved == n else "one") / n for n in ("in", "out"))
    assert "1 skipped" in run("predict", model, scenes, "--out", out).stdout
    assert len(list(out.glob("*.tif"))) == 1


@pytest.mark.parametrize("engine", [(), ("--engine", "processes")])
def test_a_scene_named_like_a_product_of_another_has_a_name_of_its_own(
    model, write_scene, tmp_path, engine
):
    images = {"a": ice_image(70, 70, 1), "a_entropy": ice_image(70, 70, 2)}
    for name, image in images.items():
        write_scene(f"in/{name}.tif", image)
    words = ("predict", model, tmp_path / "in", "--out", tmp_path / "out", *engine)
    run(*words, "--products", "entropy")
    first, made, made_entropy, of_first = (
        name for name in names(tmp_path / "out") if name.endswith(".tif")
    )
    other = made.removesuffix(".tif")
    expected = ("a.tif", f"{other}_entropy.tif", "a_entropy.tif")
    assert (first, made_entropy, of_first) == expected
    assert other.startswith("a_entropy-")
    np.testing.assert_array_equal(
        read_map(tmp_path / "out" / f"{other}.tif"), codes_of(images["a_entropy"])
    )
    assert set(rows(tmp_path / "out" / "summary.csv")) == {"a", other}
    assert "2 skipped" in run(*words, "--products", "entropy").stdout


def test_products_of_an_earlier_run_are_kept(model, write_scene, tmp_path):
    out = tmp_path / "out"
    first = write_scene("in/a.tif", ice_image(70, 70))
    run("predict", model, first, "--out", out, "--products", "entropy")
    entropy = (out / "a_entropy.tif").read_bytes()
    second = write_scene("in/a_entropy.tif", ice_image(70, 70))
    run("predict", model, second, "--out", out)
    assert (out / "a_entropy.tif").read_bytes() == entropy
    # And the other way round: a map that is there isn't replaced by a product.
    third = write_scene("in/b_entropy.tif", ice_image(70, 70))
    run("predict", model, third, "--out", out)
    scene = write_scene("in/b.tif", ice_image(70, 70))
    run("predict", model, scene, "--out", out)
    result = run("predict", model, scene, "--out", out, "--products", "entropy", expect=1)
    assert "would both write b_entropy.tif; rename one of them" in result.stderr
    np.testing.assert_array_equal(read_map(out / "b_entropy.tif"), codes_of(ice_image(70, 70)))


@pytest.mark.parametrize("name", ["collection", "Collection", "catalog", "model_0123456789abcdef"])
def test_names_of_other_files_are_no_names_of_scenes(model, write_scene, tmp_path, name):
    write_scene(f"in/{name}.tif", ice_image(70, 70))
    write_scene("in/z.tif", ice_image(70, 70))
    out = tmp_path / "out"
    run("predict", model, tmp_path / "in", "--out", out)
    collection = json.loads((out / "collection.json").read_text())
    items = [link["title"] for link in collection["links"] if link["rel"] == "item"]
    assert len(items) == 2
    assert items[0].startswith(f"{name}-")
    assert (out / f"{items[0]}.tif").exists()
    assert "2 skipped" in run("predict", model, tmp_path / "in", "--out", out).stdout


def test_names_that_differ_in_case_only_get_files_that_differ_in_more(model, write_scene, tmp_path):
    for name in ("A", "a"):
        write_scene(f"in/{name}.tif", ice_image(70, 70))
    run("predict", model, tmp_path / "in", "--out", tmp_path / "out")
    made = [name.casefold() for name in names(tmp_path / "out")]
    assert len(made) == len(set(made)) == 11


def test_a_scene_in_the_folder_of_maps_is_never_replaced(model, write_scene, tmp_path):
    scene = write_scene("a.tif", ice_image(70, 70))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.tif").symlink_to(scene)
    before = scene.read_bytes()
    for given in (scene, tmp_path / "b" / "a.tif"):
        run("predict", model, given, "--out", tmp_path, "--overwrite", expect=1)
        assert scene.read_bytes() == before
        assert not (tmp_path / "a.json").exists()


def test_the_summary_keeps_rows_of_models_of_other_classes(model, write_scene, tmp_path):
    classes = {
        "name": "ponds",
        "classes": [
            {"code": code, "name": name, "title": name, "color": [code, 1, 1]}
            for code, name in enumerate(("dry", "wet", "snow"))
        ],
    }
    recipe = make_recipe(classes=classes)
    other = save_threshold_model(tmp_path / "other", recipe)
    for name in ("a", "b"):
        write_scene(f"{name}.tif", ice_image(70, 70))
    run("predict", model, tmp_path / "a.tif", "--out", tmp_path / "out")
    before = rows(tmp_path / "out" / "summary.csv")["a"]
    run("predict", other, tmp_path / "b.tif", "--out", tmp_path / "out")
    table = rows(tmp_path / "out" / "summary.csv")
    assert before.items() <= table["a"].items()
    assert table["b"]["wet_share"]


# Runs beside others, and runs that were killed


def test_a_second_run_into_a_folder_is_refused(model, write_scene, tmp_path):
    scene, out = write_scene("a.tif", ice_image(70, 70)), tmp_path / "out"
    out.mkdir()
    with locked(out):
        result = run("predict", model, scene, "--out", out, expect=1)
        assert f"Another run uses the folder {out}" in result.stderr
    assert contents(out) == {}
    run("predict", model, scene, "--out", out)
    assert not (out / LOCK_FILE).exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["here", "processes"])
def test_what_a_killed_run_left_is_gone_after_the_next(model, write_scene, tmp_path, how, engine):
    scene, out = write_scene("a.tif", ice_image(1500, 1200)), tmp_path / "out"
    words = ["predict", model, scene, "--out", out, "--products", "probability,polygons"]
    words = [str(word) for word in (*words, "--engine", engine)]
    command = [str(Path(sys.executable).parent / "polynya"), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        end = time.monotonic() + 120
        while not list(out.glob(".*.rows.tif")) and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None
        process.send_signal(how)
        process.wait()
    if how == signal.SIGKILL:
        assert list(out.glob(".*.rows.tif"))
    end = time.monotonic() + 60
    while (alive := _in_group(process.pid)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert not alive, "its workers are still there"
    run(*words[:-2])
    left = [name for name in os.listdir(out) if name.startswith(".") or name == "_work"]
    assert left == []
    assert (read_map(out / "a.tif") == codes_of(ice_image(1500, 1200))).all()


def _in_group(group: int) -> list[int]:
    """Processes of a group that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX" and int(fields[2]) == group:
            found.append(int(status.parent.name))
    return found
