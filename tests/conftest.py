"""Fixtures that several test modules use."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from autolabel.run import label_scenes
from autolabel.tasks import Job
from helpers.programs.spark_cluster import BIN, Cluster
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.storage.folder import Folder

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program
# that a test starts and stops.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"

WriteScene = Callable[..., Path]


@pytest.fixture
def real_data() -> Path:
    """Folder of real images; tests that need it are skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real images of {REAL_DATA} are not on this machine")
    return REAL_DATA


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Factory of GeoTIFFs: write_scene("a.tif", array (H, W) or (H, W, C), **profile) -> path."""

    def write(
        name: str,
        pixels: np.ndarray,
        crs: str | None = "EPSG:3031",
        scales: float | None = None,
        offsets: float | None = None,
        descriptions: tuple[str, ...] | None = None,
        mask: np.ndarray | None = None,
        **profile: Any,
    ) -> Path:
        pixels = np.atleast_3d(pixels)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if crs:
            profile.update(crs=crs, transform=from_origin(-300_000, -1_200_000, 10, 10))
        height, width, count = pixels.shape
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=count, dtype=pixels.dtype,
            **profile,
        ) as target:  # fmt: skip
            target.write(np.moveaxis(pixels, -1, 0))
            if scales is not None:
                target.scales = (scales,) * count
            if offsets is not None:
                target.offsets = (offsets,) * count
            if descriptions is not None:
                target.descriptions = descriptions
            if mask is not None:
                target.write_mask(mask)
        return path

    return write


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ice_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random blocks of water, thin and thick ice: uint8 (height, width, 3), no black pixel."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (height // 16 + 1, width // 16 + 1))
    classes = np.kron(blocks, np.ones((16, 16), int))[:height, :width]
    value = np.array([15, 120, 230])[classes] + rng.integers(-8, 9, (height, width))
    return np.stack([value - 4, value - 2, value], axis=-1).astype(np.uint8)


class HereEngine:
    """Runs tasks one after another in this process (`polynya.engines.engines.Engine`)."""

    def run(self, task, items, advance):
        results = []
        for item in items:
            results.append(task(item))
            advance(1)
        return results


class Counting(HereEngine):
    """Counts what is done; ends the run after some tasks, as a killed driver does."""

    def __init__(self, stop_after=None):
        self.done, self.stop_after = 0, stop_after

    def run(self, task, items, advance):
        def counted(item):
            if self.done == self.stop_after:
                raise KeyboardInterrupt
            self.done += 1
            return task(item)

        return super().run(counted, items, advance)


def label_here(recipe: Recipe, place: Path, *scenes: Path | str) -> tuple[Folder, list]:
    """Label scenes into a finished data set; returns its folder and manifest."""
    folder = start_dataset(place, recipe)
    refs = [SceneRef(Path(scene).stem, str(scene)) for scene in scenes]
    results = label_scenes(refs, Job(recipe, folder, retries=0), HereEngine())
    finish_dataset(folder, results)
    return folder, results


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes of a few hundred pixels are cut into bands."""
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**14)
    monkeypatch.setattr("autolabel.plan._LEAST_BAND_BYTES", 2**17)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Spark master and two workers; tests that take a worker away come last."""
    state = tmp_path_factory.mktemp("cluster")
    port = str(free_port())
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "HOST": "localhost",
        "PORT": port,
        "UI_PORT": str(free_port()),
        "WORKERS": "2",
        "CORES": "1",
        "MEMORY": "1g",
        "STATE": str(state),
    }
    running = Cluster(f"spark://localhost:{port}", environment, state)
    running.control("start")
    try:
        yield running
    finally:
        running.control("stop")
