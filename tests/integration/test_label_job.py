"""Labelling runs: real Spark through spark-submit, plain processes, good and bad scenes."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import ice_image
from launch import launch

from polynya.shards import open_shards

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment as a user with the environment activated would."""
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return launch(command, cwd=cwd, env=environment, timeout=600)


def submit(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    job = str(ROOT / "autolabel" / "job.py")
    # A worker that waits for more tasks is killed in the end, and what coverage measured is lost.
    settings = ["spark.log.level=WARN", "spark.ui.enabled=false", "spark.python.worker.reuse=false"]
    options = [word for setting in settings for word in ("--conf", setting)]
    return run("spark-submit", "--master", "local[2]", *options, job, *arguments, cwd=cwd)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a data set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "_manifest.csv", newline="") as file:
        return {row["scene_id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def recipe(request, tmp_path):
    method = getattr(request, "param", "published")
    path = tmp_path / "recipe.yaml"
    path.write_text(f"tiles: {{size: 64}}\nlabel: {{method: {method}}}\n")
    return str(path)


@pytest.mark.parametrize("recipe", ["published", "illumination"], indirect=True)
def test_shards_are_the_same_bytes_whoever_makes_them(request, tmp_path, write_scene, recipe):
    for seed in range(5):
        write_scene(f"scenes/s{seed}.tif", ice_image(150 + seed, 200, seed))
    arguments = ["--scenes", str(tmp_path / "scenes"), "--recipe", recipe]
    for out, partitions in (("one", "1"), ("four", "4")):
        done = submit(tmp_path, *arguments, "--out", out, "--partitions", partitions)
        assert done.returncode == 0, done.stderr
        assert "5 scenes labelled, 0 failed; 60 tiles = 60 labelled + 0 nodata" in done.stdout
    done = run("polynya", "label", *arguments, "--out", "processes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one = checksums(tmp_path / "one")
    assert len(one) == 7
    assert one == checksums(tmp_path / "four")
    assert one == checksums(tmp_path / "processes")
    # What a method can't tell is an empty cell, whoever runs it.
    told = [row["veiled_pixels"] != "" for row in manifest(tmp_path / "four").values()]
    assert told == [request.node.callspec.params["recipe"] == "illumination"] * 5


def test_broken_scenes_are_named_and_the_others_done(tmp_path, write_scene, recipe):
    good = str(write_scene("good.tif", ice_image(100, 100)))
    cut = write_scene("cut.tif", np.random.default_rng(0).integers(1, 255, (300, 300, 3), np.uint8))
    cut.write_bytes(cut.read_bytes()[:150_000])
    one_band = write_scene("one_band.tif", np.ones((50, 50), np.uint8))
    black = write_scene("black.tif", np.zeros((50, 50, 3), np.uint8))
    floats = write_scene("floats.tif", np.ones((50, 50, 3), np.float32))
    (tmp_path / "empty").mkdir()
    broken = {
        str(tmp_path / "missing.tif"): "does not exist",
        str(tmp_path / "empty"): "folder without scenes",
        str(cut): "may be truncated",
        str(one_band): "1 band where red, green and blue",
        str(black): "no valid pixel",
        str(floats): "float32 pixels",
    }
    arguments = ["--recipe", recipe, "--out", "shards", "--scenes", good, *broken]
    for done in (
        submit(tmp_path, *arguments),
        run("polynya", "label", *arguments, "--overwrite", cwd=tmp_path),
    ):
        # spark-submit passes all that Python says on to its own stdout.
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "1 scenes labelled, 6 failed" in done.stdout
        assert "6 of 7 scenes failed" in said
        assert "Traceback" not in said
        rows = manifest(tmp_path / "shards")
        assert rows["good"]["status"] == "done"
        for uri, problem in broken.items():
            row = rows[Path(uri).stem]
            assert row["status"] == "failed"
            assert problem in row["reason"]
            assert uri in row["reason"]
            assert row["reason"] in said
        assert len(open_shards(tmp_path / "shards").load(["good"], 64)[0]) == 4


def test_a_wrong_recipe_ends_the_run_before_anything_is_written(tmp_path, write_scene):
    scene = str(write_scene("a.tif", ice_image(50, 50)))
    (tmp_path / "wrong.yaml").write_text("label: {methd: published}\n")
    arguments = ["--scenes", scene, "--out", "out", "--recipe", "wrong.yaml"]
    done = run("polynya", "label", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: The recipe wrong.yaml has the unknown key 'label.methd'; known there: images,"
        " least_confidence, method, most_haze, profile, scope, thick_cloud, uncertain."
    ]
    assert not (tmp_path / "out").exists()


def test_real_scenes_become_shards_with_georeference_and_counts(tmp_path, real_data):
    greenland = real_data / "s2_greenland" / "derived_truecolor_rgb.tif"
    modis = sorted((real_data / "modis_sea_ice").glob("*truecolor.tiff"))
    done = submit(tmp_path, "--scenes", str(greenland), *map(str, modis), "--out", "shards")
    assert done.returncode == 0, done.stderr
    rows = ds.dataset(tmp_path / "shards", partitioning="hive").to_table().to_pylist()
    by_scene: dict[str, list[dict]] = {}
    for row in rows:
        by_scene.setdefault(row["scene_id"], []).append(row)
        label = np.frombuffer(row["label"], np.uint8)
        assert row["class_counts"] == [int((label == code).sum()) for code in (0, 1, 2)]
        assert len(row["image"]) == row["height"] * row["width"] * 3
    tiles = by_scene["derived_truecolor_rgb"]
    assert len(tiles) == 16
    assert {tile["crs"] for tile in tiles} == {"EPSG:32622"}
    assert (tiles[0]["transform"][0], tiles[0]["transform"][4]) == (10.0, -10.0)
    assert tiles[1]["transform"][2] - tiles[0]["transform"][2] == 2560
    # Black is a colour where an alpha band says what is valid.
    ne_greenland = by_scene["ne-greenland.20220913.terra.250m.truecolor"]
    assert {tile["crs"] for tile in ne_greenland} == {"EPSG:3413"}
    assert sum(sum(tile["class_counts"]) for tile in ne_greenland) == 413 * 1078
    assert all(tile["crs"] is None for tile in by_scene["466-okhotsk-20040421.terra.truecolor"])
