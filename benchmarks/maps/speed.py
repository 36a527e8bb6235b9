"""Map a scene as large as a satellite's, the published way and ours: command and table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.common.commands import run_measured
from benchmarks.common.models import ARCHITECTURES, save_untrained, with_inference
from benchmarks.common.report import Report, table_of
from benchmarks.common.scenes import LARGE_SIZE, make_large_scene
from inference.products.class_map import read_map
from polynya.progress import track
from polynya.recipe.inference import InferenceOptions
from polynya.report.tables import Table
from polynya.storage.files import output_folder

WAYS: dict[str, InferenceOptions | None] = {
    "published": None,
    "Polynya": InferenceOptions(),
    "Polynya, windows of 256, half overlap": InferenceOptions(
        window=256, overlap=0.5, batch_size=8
    ),
    "Polynya, bfloat16": InferenceOptions(precision="bfloat16"),
    "Polynya, OpenVINO": InferenceOptions(backend="openvino"),
    "Polynya, OpenVINO, bfloat16": InferenceOptions(backend="openvino", precision="bfloat16"),
}
"""Ways to predict a scene, by name; None is `benchmarks.maps.published`."""

_PUBLISHED, _OURS = "published", "Polynya"


def speed(
    report: Report,
    size: Annotated[int, typer.Option(min=256, help="Height and width of the scene.")] = LARGE_SIZE,
    models: Annotated[str, typer.Option(help="Separated by commas.")] = ",".join(ARCHITECTURES),
    trained: Annotated[
        Path | None, typer.Option(help="Folder of a trained model, to also measure it.")
    ] = None,
    ways: Annotated[str, typer.Option(help="Numbers of ways, from 0; default: all.")] = "",
    data: Annotated[Path, typer.Option(help="Folder that keeps the scene.")] = Path(
        "runs/bench/labelling/data"
    ),
) -> None:
    """Map one scene as large as a satellite's: speed and memory, the published way and ours."""
    work = output_folder(report.folder / "work")
    scene = make_large_scene(data.absolute(), size)
    folders = {name: save_untrained(work / name, name) for name in models.split(",") if name}
    if trained is not None:
        folders[trained.name] = trained.absolute()
    every = list(WAYS)
    wanted = [every[int(number)] for number in ways.split(",")] if ways else every
    runs = measure_speed(folders, scene, wanted, work)
    about = "Whole commands, from start to end; models with their initial weights."
    tables = {"speed": speed_table(runs, f"A scene of {size} x {size} pixels to a map")}
    report.write("speed", "Maps: speed and memory", about, tables)


@dataclass(frozen=True)
class SpeedRun:
    """One model over one scene, from the start of the command to its end."""

    model: str
    way: str
    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Peak memory of the largest process."""
    megapixels: float
    same: float
    """Share of pixels with the same class as in the way "Polynya"."""

    @property
    def speed(self) -> float:
        """Megapixels per second."""
        return self.megapixels / self.wall_s


def measure_speed(
    models: dict[str, Path], scene: Path, ways: Sequence[str], folder: Path
) -> list[SpeedRun]:
    """Predict a scene with every model in every way; "Polynya" is among the ways."""
    runs = []
    pairs = [(name, way) for name in models for way in ways]
    for name, way in track(pairs, "Predicting"):
        place = output_folder(folder / f"{name}-{ways.index(way)}")
        result = place / f"{scene.stem}.tif"
        options = WAYS[way]
        if options is None:
            script = [sys.executable, "-m", "benchmarks.maps.published"]
            command = [*script, str(models[name]), str(scene), str(result)]
        else:
            model = with_inference(models[name], place / "model", options)
            out = ["--out", str(place), "--overwrite"]
            command = ["polynya", "predict", str(model), str(scene), *out]
        cost = run_measured(command, place / "cost")
        pixels = read_map(result).size / 1e6
        peak = max(cost.peak_by_kind.values())
        runs.append(SpeedRun(name, way, cost.wall_s, cost.cpu_s, peak, pixels, 1.0))
    return [_with_agreement(run, ways, scene, folder) for run in runs]


def _with_agreement(run: SpeedRun, ways: Sequence[str], scene: Path, folder: Path) -> SpeedRun:
    found, ours = (
        read_map(folder / f"{run.model}-{ways.index(way)}" / f"{scene.stem}.tif")
        for way in (run.way, _OURS)
    )
    return replace(run, same=float(np.mean(found == ours)))


def speed_table(runs: Sequence[SpeedRun], title: str) -> Table:
    """One row per run; ratios are to the published way with the same model."""
    base = {run.model: run.speed for run in runs if run.way == _PUBLISHED}

    def times_published(run: SpeedRun) -> str:
        return f"{run.speed / base[run.model]:.2f}" if run.model in base else ""

    return table_of(
        title,
        runs,
        {
            "model": lambda run: run.model,
            "way": lambda run: run.way,
            "wall s": lambda run: f"{run.wall_s:.1f}",
            "Mpx/s": lambda run: f"{run.speed:.2f}",
            "times published": times_published,
            "CPU s": lambda run: f"{run.cpu_s:.0f}",
            "memory MiB": lambda run: f"{run.peak_bytes / 2**20:.0f}",
            "same class %": lambda run: f"{100 * run.same:.3f}",
        },
    )
