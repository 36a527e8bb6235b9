"""Labelling runs: real Spark through spark-submit, plain processes, good and bad scenes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
import rasterio
from conftest import ice_image

from helpers.programs.launch import launch
from helpers.shards.shard_files import checksums, manifest
from polynya.shards.dataset import open_shards

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
# A worker that waits for more tasks is killed in the end, and what coverage measured is lost.
SETTINGS = ["spark.log.level=WARN", "spark.ui.enabled=false", "spark.python.worker.reuse=false"]
QUIET = [word for setting in SETTINGS for word in ("--conf", setting)]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment as a user with the environment activated would."""
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return launch(command, cwd=cwd, env=environment, timeout=600)


def submit(
    cwd: Path, *arguments: str, master: str = "local[2]"
) -> subprocess.CompletedProcess[str]:
    job = str(ROOT / "autolabel" / "job.py")
    return run("spark-submit", "--master", master, *QUIET, job, *arguments, cwd=cwd)


@pytest.fixture
def recipe(request, tmp_path):
    method = getattr(request, "param", "published")
    path = tmp_path / "recipe.yaml"
    label = 'raster: "{stem}_labels.tif"' if method == "raster" else f"method: {method}"
    path.write_text(f"tiles: {{size: 64}}\nlabel: {{{label}}}\n")
    return str(path)


@pytest.mark.parametrize("recipe", ["published", "illumination", "raster"], indirect=True)
def test_shards_are_the_same_bytes_whoever_makes_them(request, tmp_path, write_scene, recipe):
    for seed in range(5):
        write_scene(f"scenes/s{seed}.tif", ice_image(150 + seed, 200, seed))
    method = request.node.callspec.params["recipe"]
    in_bands = method != "published"
    size = (3400, 3720) if in_bands else (500, 600)
    write_scene("scenes/large.tif", ice_image(*size), compress="deflate", tiled=True)
    if method == "raster":
        for path in list((tmp_path / "scenes").iterdir()):
            with rasterio.open(path) as source:
                codes = np.indices(source.shape).sum(axis=0).astype(np.uint8) % 3
            write_scene(f"scenes/{path.stem}_labels.tif", codes, compress="deflate")
    arguments = ["--scenes", str(tmp_path / "scenes"), "--recipe", recipe]
    ranks = ["mpirun", "-n", "3", "--oversubscribe", sys.executable, "-m", "mpi4py.futures"]
    job = str(ROOT / "autolabel" / "job.py")
    runs = {
        "one": submit(tmp_path, *arguments, "--out", "one", master="local[1]"),
        "three": submit(tmp_path, *arguments, "--out", "three", master="local[3]"),
        "processes": run("polynya", "label", *arguments, "--out", "processes", cwd=tmp_path),
        "mpi": run(*ranks, job, "--engine", "mpi", *arguments, "--out", "mpi", cwd=tmp_path),
    }
    tiles = 5 * 12 + -(-size[0] // 64) * -(-size[1] // 64)
    for done in runs.values():
        assert done.returncode == 0, done.stderr
        expected = f"6 scenes labelled, 0 failed; {tiles} tiles = {tiles} labelled + 0 nodata"
        assert expected in done.stdout
    one = checksums(tmp_path / "one")
    # Without bands all scenes are one unit, called as the first of them.
    assert len([name for name in one if name.startswith("large")]) == (2 if in_bands else 1)
    for name in runs:
        assert one == checksums(tmp_path / name)
    # What a method can't tell is an empty cell, whoever runs it.
    told = [row["veiled_pixels"] != "" for row in manifest(tmp_path / "one").values()]
    assert told == [method == "illumination"] * 6


def test_work_that_ends_its_spark_worker_is_left_out_and_the_rest_done(tmp_path):
    (tmp_path / "fatal.py").write_text(
        """
import os, signal
from polynya.engines.engines import open_engine, run_all

def task(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number

def wrong(number):
    raise ZeroDivisionError(number)

with open_engine("spark") as engine:
    try:
        engine.run(wrong, [1], lambda n: None)
    except RuntimeError as error:
        print("ERROR", "ZeroDivisionError: 1" in str(error))
    print("RESULTS", run_all(engine, task, list(range(9)), lambda item: None, lambda n: None))
"""
    )
    done = run("spark-submit", "--master", "local[2]", *QUIET, "fatal.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ERROR True" in done.stdout
    assert "RESULTS [0, 2, 4, 6, 8, None, 12, 14, 16]" in done.stdout


def test_a_scene_too_large_for_memory_is_named_and_the_others_done(tmp_path, write_scene):
    for seed in range(2):
        write_scene(f"s{seed}.tif", ice_image(300, 300, seed))
    write_scene("vast.tif", ice_image(9000, 9000), compress="deflate", tiled=True)
    (tmp_path / "recipe.yaml").write_text("label: {method: published}\n")
    scenes = ["s0.tif", "s1.tif", "vast.tif"]
    arguments = ["--scenes", *scenes, "--recipe", "recipe.yaml", "--out", "out"]
    limited = ["bash", "-c", 'ulimit -v 2500000; exec "$0" "$@"']
    options = ["--workers", "1", "--retries", "0"]
    done = run(*limited, "polynya", "label", *arguments, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 scenes labelled, 1 failed" in done.stdout
    rows = manifest(tmp_path / "out")
    assert [rows[name]["status"] for name in ("s0", "s1", "vast")] == ["done", "done", "failed"]
    assert re.search("memory|cannot allocate", rows["vast"]["reason"])


def test_broken_scenes_are_named_and_the_others_done(tmp_path, write_scene, recipe):
    good = str(write_scene("good.tif", ice_image(100, 100)))
    cut = write_scene("cut.tif", np.random.default_rng(0).integers(1, 255, (300, 300, 3), np.uint8))
    cut.write_bytes(cut.read_bytes()[:150_000])
    one_band = write_scene("one_band.tif", np.ones((50, 50), np.uint8))
    black = write_scene("black.tif", np.zeros((50, 50, 3), np.uint8))
    floats = write_scene("floats.tif", np.ones((50, 50, 3), np.float64))
    (tmp_path / "empty").mkdir()
    broken = {
        str(tmp_path / "missing.tif"): "does not exist",
        str(tmp_path / "empty"): "folder without scenes",
        str(cut): "may be truncated",
        str(one_band): "1 band where red, green and blue",
        str(floats): "float64 pixels",
    }
    arguments = ["--recipe", recipe, "--out", "shards", "--scenes", good, str(black), *broken]
    for done in (
        submit(tmp_path, *arguments),
        run("polynya", "label", *arguments, "--overwrite", cwd=tmp_path),
    ):
        # spark-submit passes all that Python says on to its own stdout.
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "1 scenes labelled and 1 without a valid pixel, 5 failed" in done.stdout
        assert "5 of 7 scenes failed" in said
        assert "Traceback" not in said
        rows = manifest(tmp_path / "shards")
        assert rows["good"]["status"] == "done"
        assert (rows["black"]["status"], rows["black"]["nodata"]) == ("nodata", "1")
        for uri, problem in broken.items():
            row = rows[Path(uri).stem]
            assert row["status"] == "failed"
            assert problem in row["reason"]
            assert uri in row["reason"]
            assert row["reason"] in said
        assert len(open_shards(tmp_path / "shards").load(["good"], 64)[0]) == 4


def test_spark_sees_the_tiles_of_scenes_of_any_name(tmp_path, write_scene):
    names = ["_hidden", ".hidden", "снимок", "n" * 200, "plain"]
    for seed, name in enumerate(names):
        write_scene(f"{name}.tif", ice_image(64, 64, seed))
    (tmp_path / "recipe.yaml").write_text("tiles: {size: 32}\nlabel: {method: none}\n")
    arguments = ["--scenes", *(f"{name}.tif" for name in names), "--recipe", "recipe.yaml"]
    done = run("polynya", "label", *arguments, "--out", "shards", cwd=tmp_path)
    assert "5 scenes labelled, 0 failed; 20 tiles" in done.stdout, done.stderr
    (tmp_path / "count.py").write_text(
        "from pyspark.sql import SparkSession\n"
        "tiles = SparkSession.builder.getOrCreate().read.parquet('shards')\n"
        "print('TILES', tiles.count(), tiles.select('scene_id').distinct().count())\n"
    )
    done = run("spark-submit", "--master", "local[1]", *QUIET, "count.py", cwd=tmp_path)
    assert "TILES 20 5" in done.stdout, done.stderr


def test_a_wrong_recipe_ends_the_run_before_anything_is_written(tmp_path, write_scene):
    scene = str(write_scene("a.tif", ice_image(50, 50)))
    (tmp_path / "wrong.yaml").write_text("label: {methd: published}\n")
    arguments = ["--scenes", scene, "--out", "out", "--recipe", "wrong.yaml"]
    done = run("polynya", "label", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: The recipe wrong.yaml has the unknown key 'label.methd'; known there: images,"
        " least_confidence, method, most_haze, profile, raster, scope, soft, thick_cloud,"
        " uncertain (perhaps 'method' is meant)."
    ]
    assert not (tmp_path / "out").exists()


def test_real_scenes_become_shards_with_georeference_and_counts(tmp_path, real_data):
    greenland = real_data / "s2_greenland" / "derived_truecolor_rgb.tif"
    modis = sorted((real_data / "modis_sea_ice").glob("*truecolor.tiff"))
    done = submit(tmp_path, "--scenes", str(greenland), *map(str, modis), "--out", "shards")
    assert done.returncode == 0, done.stderr
    rows = ds.dataset(tmp_path / "shards").to_table().to_pylist()
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
