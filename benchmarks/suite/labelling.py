"""Parts about labels: the paper's Tables I and II, its pipeline, its filter, its measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common.results import Baseline, Measurement
from benchmarks.common.workers import for_each_scene
from benchmarks.labelling.measured.burn import SECONDS_TO_BURN
from benchmarks.labelling.measured.compare import ILLUMINATION, PUBLISHED, Run, run_pipelines
from benchmarks.labelling.measured.data import SceneFiles, make_files
from benchmarks.labelling.measured.scaling import (
    ScalingRun,
    Setup,
    baseline,
    measure_scaling,
    of_setup,
    phases,
)
from benchmarks.labels import methods
from benchmarks.labels.agreement import measure_agreement
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.sets import SETS, Split, list_scenes
from benchmarks.labels.speed import measure_speed
from benchmarks.suite import paper
from polynya.storage.files import output_folder

_TILE = 256
_SHORT_BURN_S = 0.3


def scenes(short: bool, folder: Path) -> list[SceneFiles]:
    """Return the scenes of all parts about labelling; they are made once and kept."""
    count, size = (16, 1024) if short else (64, 2048)
    return make_files(folder / "data", count, size, _TILE, None)


def table_1(short: bool, folder: Path) -> list[Measurement]:
    """Label by 1, 2 ... processes, as many as there are cores."""
    numbers = [number for number in paper.TABLE_1 if number <= _cores()]
    setups = [Setup("processes", 1, number) for number in numbers]
    runs = _scaled(setups, short, folder)
    found = []
    for setup in setups:
        of_paper = paper.TABLE_1.get(setup.workers)
        found += _speed(
            runs,
            setup,
            f"table-1: {setup.workers} processes",
            None if of_paper is None else paper.TILES / of_paper,
            paper.TABLE_1_SPEED_UP.get(setup.workers),
        )
    return found


def table_2(short: bool, folder: Path) -> list[Measurement]:
    """Label by Spark on executors and cores; the short run leaves out clusters."""
    local = [Setup("spark local", 1, n) for n in (1, 2, 4) if n <= _cores()]
    cluster = [
        Setup("spark cluster", *size) for size in paper.TABLE_2 if size[0] * size[1] <= _cores()
    ]
    setups = local if short else [*local, *cluster]
    runs = _scaled(setups, short, folder)
    found = []
    one_paper = paper.TABLE_2[1, 1]
    for setup in setups:
        row = paper.TABLE_2.get((setup.executors, setup.cores))
        name = f"table-2: {setup.name}"
        found += _speed(
            runs,
            setup,
            name,
            None if row is None else paper.TILES / row.reduce,
            None if row is None else one_paper.reduce / row.reduce,
        )
        if setup.workers > 1:
            alone, own = (
                _values(runs, one, lambda run: phases(run).read_s)
                for one in (baseline(setup, runs), setup)
            )
            loads = tuple(a / b for a, b in zip(alone, own, strict=True))
            of_paper = None if row is None else one_paper.load / row.load
            found.append(
                Measurement(f"{name}, speed-up of loading", "", loads, "higher", paper=of_paper)
            )
    return found


def pipelines(short: bool, folder: Path) -> list[Measurement]:
    """Label by the published pipeline and by Polynya's, whole commands, in turn."""
    work = output_folder(folder / "work")
    measured = (PUBLISHED, ILLUMINATION)
    rounds = 3
    runs = run_pipelines(scenes(short, folder), rounds, _cores(), work, 0, measured)

    def values(pipeline: object, of: Callable[[Run], float]) -> tuple[float, ...]:
        return tuple(of(run) for run in runs if run.pipeline == pipeline)

    measures: tuple[tuple[str, Callable[[Run], float]], ...] = (
        ("tiles/s", lambda run: run.tiles / run.cost.wall_s),
        ("tiles / CPU s", lambda run: run.tiles / run.cost.cpu_s),
    )
    return [
        Measurement(
            f"labelling: {ILLUMINATION.name}, {unit}",
            unit,
            values(ILLUMINATION, of),
            "higher",
            Baseline(f"{PUBLISHED.name} pipeline", values(PUBLISHED, of)),
        )
        for unit, of in measures
    ]


def filters(short: bool, folder: Path) -> list[Measurement]:
    """Time the filters on one core, and thresholds alone."""
    size, rounds = (1024, 5) if short else (2048, 15)
    (spec,) = list_scenes([SETS["standard"]], Split.HELDOUT, sites=1, size=size, skies=["both"])
    megapixels = size**2 / 1e6
    times = {
        name: tuple(1000 * seconds / megapixels for seconds in own)
        for name, own in measure_speed(make_bench_scene(spec), rounds).items()
    }
    published = Baseline("published filter", times[methods.PUBLISHED])
    return [
        Measurement(
            f"filters: {methods.title(name)}, one core", "ms/Mpx", times[name], "lower", published
        )
        for name in methods.METHODS
        if name != methods.PUBLISHED
    ]


def similarity(short: bool, folder: Path) -> list[Measurement]:
    """Compare labels with the truth in the paper's measure; a value for each scene."""
    sites, size = (3, 512) if short else (12, 1024)
    specs = list_scenes([SETS["standard"]], Split.HELDOUT, sites=sites, size=size)
    found = for_each_scene(measure_agreement, specs, "Comparing scenes")
    values = {
        method: tuple(100 * scene.similarity[method] for scene in found)
        for method in methods.METHODS
    }
    original = Baseline("original images", values[methods.THRESHOLDS])
    papers = {methods.THRESHOLDS: paper.SSIM_ORIGINAL, "illumination": paper.SSIM_FILTERED}
    return [
        Measurement(
            f"labels: SSIM, {'original images' if method == methods.THRESHOLDS else method}",
            "%",
            own,
            "higher",
            None if method == methods.THRESHOLDS else original,
            papers.get(method),
        )
        for method, own in values.items()
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _scaled(setups: Sequence[Setup], short: bool, folder: Path) -> list[ScalingRun]:
    images = [scene.image for scene in scenes(short, folder)]
    work = output_folder(folder / "work")
    burn_s = _SHORT_BURN_S if short else SECONDS_TO_BURN
    return measure_scaling(setups, images, "illumination", _TILE, 3, work, burn_s=burn_s)


def _values(
    runs: Sequence[ScalingRun], setup: Setup, of: Callable[[ScalingRun], float]
) -> tuple[float, ...]:
    return tuple(of(run) for run in of_setup(runs, setup))


def _speed(
    runs: Sequence[ScalingRun],
    setup: Setup,
    name: str,
    paper_speed: float | None,
    paper_speed_up: float | None,
) -> list[Measurement]:
    """Tiles per second from the first task to the last, and the speed-up within each round."""

    def speed(run: ScalingRun) -> float:
        return run.record.tiles / run.record.work_s

    own, alone = _values(runs, setup, speed), _values(runs, baseline(setup, runs), speed)
    found = [Measurement(name, "tiles/s", own, "higher", paper=paper_speed)]
    if setup.workers > 1:
        found = [
            Measurement(name, "tiles/s", own, "higher", Baseline("one worker", alone), paper_speed),
            Measurement(
                f"{name}, speed-up",
                "",
                tuple(a / b for a, b in zip(own, alone, strict=True)),
                "higher",
                paper=paper_speed_up,
            ),
            Measurement(
                f"{name}, slow-down without an engine",
                "",
                _values(runs, setup, lambda run: run.slow_down),
                "lower",
            ),
        ]
    return found
