"""Labelling on a real Spark cluster, a master and two workers, of which processes are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from helpers.programs.spark_cluster import SECONDS, Cluster, wait_for
from helpers.shards.shard_files import checksums, manifest

JOB = "autolabel/job.py"
SCENES = 12


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(SCENES):
        pixels = ice_image(800, 800, seed)
        with rasterio.open(
            folder / f"s{seed:02d}.tif", "w", driver="GTiff", height=800, width=800, count=3,
            dtype="uint8", compress="deflate", crs="EPSG:3031",
            transform=rasterio.transform.from_origin(0, 0, 10, 10),
        ) as target:  # fmt: skip
            target.write(np.moveaxis(pixels, -1, 0))
    # Small tiles make much work, so that there is a middle of the run.
    (folder / "recipe.yaml").write_text("tiles: {size: 16}\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, scenes: Path) -> dict[str, str]:
    """Checksums of a run in which nothing was killed."""
    done = cluster.run(scenes, JOB, *arguments(scenes, "undisturbed"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SCENES} scenes labelled, 0 failed" in done.stdout
    return checksums(scenes / "undisturbed")


def arguments(scenes: Path, out: str) -> list[str]:
    recipe = str(scenes / "recipe.yaml")
    return ["--scenes", str(scenes / "*.tif"), "--recipe", recipe, "--out", str(scenes / out)]


def notes(folder: Path) -> list[Path]:
    """Finished notes; a killed process may leave a hidden one that it had not finished."""
    return sorted((folder / "_work").glob("[!.]*.json"))


def killed_in_the_middle(
    cluster: Cluster, scenes: Path, out: str, kill: Callable[[subprocess.Popen[str]], None]
) -> tuple[subprocess.Popen[str], str]:
    folder = scenes / out
    with cluster.start(scenes, JOB, *arguments(scenes, out)) as process:
        try:
            wait_for(lambda: notes(folder) or process.poll() is not None, "the first unit")
            kill(process)
            assert not (folder / "_manifest.csv").exists(), "the run was over before the kill"
            said, _ = process.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process, said


def test_a_killed_executor_is_made_up_for(cluster, scenes, undisturbed):
    def kill_executor(process):
        cluster.executors()[0].kill()

    process, said = killed_in_the_middle(cluster, scenes, "executor", kill_executor)
    assert process.returncode == 0, said
    assert f"{SCENES} scenes labelled, 0 failed" in said
    assert checksums(scenes / "executor") == undisturbed


def test_after_a_killed_driver_only_what_was_missing_is_done(cluster, scenes, undisturbed):
    def kill_driver(process):
        os.killpg(process.pid, signal.SIGKILL)

    process, _ = killed_in_the_middle(cluster, scenes, "driver", kill_driver)
    assert process.returncode == -signal.SIGKILL
    folder = scenes / "driver"
    # Executors notice soon that their driver is gone; until then they may finish a unit.
    wait_for(lambda: not cluster.executors(), "the executors to end")
    done_before = {note.stem: note.stat().st_mtime_ns for note in notes(folder)}
    assert 1 <= len(done_before) < SCENES
    shards = {
        path: path.stat().st_mtime_ns
        for path in folder.glob("*.parquet")
        if path.name.rsplit("-", 1)[0] in done_before
    }
    assert len(shards) == len(done_before)

    done = cluster.run(scenes, JOB, *arguments(scenes, "driver"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert checksums(folder) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in shards} == shards


def test_seven_of_ten_scenes_are_done_where_three_are_broken(cluster, scenes, tmp_path):
    good = [str(scenes / f"s{i:02d}.tif") for i in range(7)]
    truncated, one_band = tmp_path / "truncated.tif", tmp_path / "one_band.tif"
    truncated.write_bytes((scenes / "s07.tif").read_bytes()[:100_000])
    with rasterio.open(
        one_band, "w", driver="GTiff", height=50, width=50, count=1, dtype="uint8"
    ) as target:
        target.write(np.ones((1, 50, 50), np.uint8))
    broken = {
        str(tmp_path / "missing.tif"): "does not exist",
        str(truncated): "may be truncated",
        str(one_band): "1 band where red, green and blue",
    }
    out = tmp_path / "out"
    done = cluster.run(tmp_path, JOB, "--out", str(out), "--scenes", *good, *broken)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "7 scenes labelled, 3 failed" in said
    assert "3 of 10 scenes failed" in said
    rows = manifest(out)
    assert len(rows) == 10
    for uri, problem in broken.items():
        row = rows[Path(uri).stem]
        assert row["status"] == "failed"
        assert problem in row["reason"]
        assert uri in row["reason"]
    for row in rows.values():
        tiles, labelled, nodata, failed = (
            int(row[name]) for name in ("tiles", "labelled", "nodata", "failed")
        )
        assert tiles == labelled + nodata + failed


def test_a_killed_worker_is_made_up_for(cluster, scenes, undisturbed):
    """The last test: the cluster has one worker less from then on."""

    def kill_worker(process):
        worker = cluster.worker(2)
        for child in worker.children(recursive=True):
            child.kill()
        worker.kill()

    process, said = killed_in_the_middle(cluster, scenes, "worker", kill_worker)
    assert process.returncode == 0, said
    assert checksums(scenes / "worker") == undisturbed
