"""Parts about models: the paper's Table III, the input of a training, maps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from benchmarks.common.models import save_untrained
from benchmarks.common.results import Baseline, Measurement
from benchmarks.common.scenes import LARGE_SIZE, make_large_scene
from benchmarks.input.data import make_files
from benchmarks.input.measure import CACHES, PNG, Input, run_case
from benchmarks.maps.speed import WAYS, measure_speed
from benchmarks.training.predict import PAPER_RUNS
from benchmarks.training.ranks.workload import PAPER
from benchmarks.training.table import measure_table
from polynya.storage.files import output_folder

_PUBLISHED = "published"


def table_3(short: bool, folder: Path) -> list[Measurement]:
    """Train on 1, 2 ... ranks, as many as there are cores, under `horovodrun --gloo`."""
    cores = len(os.sched_getaffinity(0))
    papers = {run.ranks: run for run in PAPER_RUNS if run.ranks <= cores}
    workload = replace(PAPER, tile=128, batch=8) if short else PAPER
    tiles, epochs = (48, 5) if short else (96, 5)
    rows = measure_table(workload, list(papers), tiles, epochs, "gloo")
    speeds = {row.ranks: tuple(epoch.images_per_second for epoch in row.epochs) for row in rows}
    found = []
    for number, own in speeds.items():
        row = papers[number]
        name = f"table-3: {number} ranks"
        alone = None if number == 1 else Baseline("one rank", speeds[1])
        found.append(Measurement(name, "images/s", own, "higher", alone, row.images_per_second))
        if number > 1:
            ratios = tuple(a / b for a, b in zip(own, speeds[1], strict=True))
            found.append(Measurement(f"{name}, speed-up", "", ratios, "higher", paper=row.speed_up))
    return found


def input_speed(short: bool, folder: Path) -> list[Measurement]:
    """Bring tiles to the training step, from shards and as the paper: all PNG files in memory."""
    scenes, edge, rounds = (2, 12, 5) if short else (8, 16, 7)
    files = make_files(folder / "input", scenes, edge, 256)
    for old in files.cache.glob("*"):  # The first run must not find old tiles.
        old.unlink()
    caches = ("memory", "none") if short else CACHES
    cores = len(os.sched_getaffinity(0))
    found = {case: Input(**run_case(case, files, rounds, cores)) for case in (PNG, *caches)}
    png = found[PNG]
    measurements = []
    for case in caches:
        own, name = found[case], f"input: cache {case}"
        measurements += [
            Measurement(
                name,
                "tiles/s",
                tuple(own.rates),
                "higher",
                Baseline("PNG in memory", tuple(png.rates)),
            ),
            Measurement(
                f"{name}, first batch",
                "s",
                (own.first_batch_s,),
                "lower",
                Baseline("PNG in memory", (png.first_batch_s,)),
            ),
        ]
    return measurements


def maps(short: bool, folder: Path) -> list[Measurement]:
    """Map a large scene, whole commands: ours, and a tile at a time through `model.predict`."""
    size, rounds = (2048, 3) if short else (LARGE_SIZE, 3)
    ways = [_PUBLISHED, "Polynya"] if short else [_PUBLISHED, "Polynya", "Polynya, bfloat16"]
    scene = make_large_scene(folder.absolute() / "data", size)
    work = output_folder(folder / "work")
    names = ("lean",) if short else ("paper", "lean")
    models = {name: save_untrained(work / name, name) for name in names}
    assert set(ways) <= set(WAYS)
    runs = [run for _ in range(rounds) for run in measure_speed(models, scene, ways, work)]

    def speeds(model: str, way: str) -> tuple[float, ...]:
        return tuple(run.speed for run in runs if (run.model, run.way) == (model, way))

    return [
        Measurement(
            f"maps: {way}, {model} U-Net",
            "Mpx/s",
            speeds(model, way),
            "higher",
            Baseline("tiles through predict", speeds(model, _PUBLISHED)),
        )
        for model in models
        for way in ways[1:]
    ]
