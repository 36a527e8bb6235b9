"""Maps by a real Spark cluster: the files of the local command, whatever dies on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from helpers.maps.inference_models import make_recipe, save_threshold_model
from helpers.programs.launch import launch
from helpers.programs.spark_cluster import SECONDS, Cluster, wait_for

JOB = "inference/job.py"
LARGE = 5000
"""Height and width of a scene of two parts."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a large scene, two small ones and a broken one."""
    folder = tmp_path_factory.mktemp("maps")
    recipe = make_recipe(64, inference={"window": 1024, "overlap": 0.1})
    save_threshold_model(folder / "model", recipe)
    scenes = folder / "scenes"
    scenes.mkdir()
    for name, size in (("large", LARGE), ("a", 300), ("b", 200)):
        with rasterio.open(
            scenes / f"{name}.tif", "w", driver="GTiff", height=size, width=size, count=3,
            dtype="uint8", compress="deflate", tiled=True, crs="EPSG:3031",
            transform=rasterio.transform.from_origin(0, 0, 10, 10),
        ) as target:  # fmt: skip
            target.write(np.moveaxis(ice_image(size, size), -1, 0))
    (scenes / "torn.tif").write_bytes((scenes / "a.tif").read_bytes()[:5000])
    return folder


def arguments(place: Path, out: str) -> list[str]:
    scenes, model = str(place / "scenes" / "*.tif"), str(place / "model")
    return ["--scenes", scenes, "--model", model, "--out", str(place / out)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_killed_executor_changes_no_byte_of_the_maps(cluster: Cluster, place: Path) -> None:
    program = ["polynya", "predict", str(place / "model"), str(place / "scenes" / "*.tif")]
    here = launch(
        [*program, "--out", str(place / "here")],
        cwd=place,
        env=cluster.environment,
        timeout=SECONDS,
    )
    assert "3 scenes mapped, 0 skipped (finished before), 1 failed" in here.stdout, here.stderr

    parts = place / "spark" / "_work"
    with cluster.start(place, JOB, *arguments(place, "spark")) as process:
        try:
            wait_for(
                lambda: list(parts.glob("*.npz")) or process.poll() is not None, "the first part"
            )
            for executor in cluster.executors():
                executor.kill()
            assert not (place / "spark" / "large.json").exists(), "the run was over before the kill"
            said, _ = process.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 1, said
    assert "3 scenes mapped, 0 skipped (finished before), 1 failed" in said
    assert "torn.tif" in said
    assert files_of(place / "spark") == files_of(place / "here")

    again = cluster.run(place, JOB, *arguments(place, "spark"))
    assert again.returncode == 1
    assert "0 scenes mapped, 3 skipped (finished before), 1 failed" in again.stdout
