"""Compare the published pipeline with Polynya's: the command and its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Annotated

import typer

from benchmarks.common.cli import JobsOption, RoundsOption
from benchmarks.common.report import Report, table_of
from benchmarks.common.timing import median_ratio
from benchmarks.labelling import options
from benchmarks.labelling.measured.compare import PIPELINES, PUBLISHED, Pipeline, Run, run_pipelines
from benchmarks.labelling.measured.data import make_files
from polynya.report.tables import Table

_MIB = 2**20


def compare(
    report: Report,
    scenes: options.ScenesOption = 64,
    size: options.SizeOption = 2048,
    tile: options.TileOption = 256,
    rounds: RoundsOption = 3,
    cores: Annotated[int, typer.Option(min=1, help="Number of cores, N in Spark's local[N].")] = 2,
    jobs: JobsOption = None,
    data: options.DataOption = None,
) -> None:
    """Run the published pipeline and Polynya's on the same pixels."""
    files = make_files(options.data_folder(report, data), scenes, size, tile, jobs)
    runs = run_pipelines(files, rounds, cores, options.work_folder(report))
    about = (
        f"{scenes} scenes of {size} x {size} pixels, at local[{cores}]. Before the rounds, both"
        " pipelines labelled one scene with the published filter and found the same number of"
        " pixels of each class."
    )
    tables = {
        "compare_speed": speed_table(runs),
        "compare_cpu": cpu_table(runs),
        "compare_runs": runs_table(runs),
    }
    report.write("compare", "The published pipeline and Polynya", about, tables)


Measure = Callable[[Run, Run], float]
"""Function from two runs to a number: a run on few tiles, then a run on all tiles."""


def per_thousand(of: str) -> Measure:
    """Seconds per thousand tiles, including start-up; `of` is a field of `Cost`."""
    return lambda few, full: 1000 * getattr(full.cost, of) / full.tiles


def per_thousand_more(of: str) -> Measure:
    """Seconds that a thousand more tiles take: both runs contain start-up, so it cancels out."""

    def measure(few: Run, full: Run) -> float:
        more_s = getattr(full.cost, of) - getattr(few.cost, of)
        return float(1000 * more_s / (full.tiles - few.tiles))

    return measure


def pairs(runs: Sequence[Run], pipeline: Pipeline) -> list[tuple[Run, Run]]:
    """Return the pair of runs of each round: on few and on all tiles."""
    own = sorted((run for run in runs if run.pipeline == pipeline), key=lambda run: run.round)
    least, most = min(run.tiles for run in own), max(run.tiles for run in own)
    few = [run for run in own if run.tiles == least]
    return list(zip(few, (run for run in own if run.tiles == most), strict=True))


def measured(runs: Sequence[Run], pipeline: Pipeline, measure: Measure) -> list[float]:
    """Return a number for each round."""
    return [measure(*pair) for pair in pairs(runs, pipeline)]


def times_published(runs: Sequence[Run], pipeline: Pipeline, measure: Measure) -> float:
    """Return the published pipeline's number divided by this pipeline's: median over rounds."""
    return median_ratio(measured(runs, PUBLISHED, measure), measured(runs, pipeline, measure))


def speed_table(runs: Sequence[Run]) -> Table:
    """Tiles per second of each pipeline."""
    return _compared(runs, "Tiles a second", "tiles/s", "wall_s", lambda s: f"{1000 / s:.1f}")


def cpu_table(runs: Sequence[Run]) -> Table:
    """Processor seconds per thousand tiles of each pipeline."""
    return _compared(
        runs, "Processor seconds of 1000 tiles", "CPU s", "cpu_s", lambda s: f"{s:.2f}"
    )


def _compared(
    runs: Sequence[Run], title: str, unit: str, of: str, write: Callable[[float], str]
) -> Table:
    whole, more = per_thousand(of), per_thousand_more(of)
    about = f"{max(r.tiles for r in runs)} tiles, median of {len(pairs(runs, PUBLISHED))} rounds"
    return table_of(
        f"{title}, {about}",
        PIPELINES,
        {
            "pipeline": lambda p: p.name,
            unit: lambda p: write(median(measured(runs, p, whole))),
            "times better": lambda p: f"{times_published(runs, p, whole):.2f}",
            f"{unit} after start-up": lambda p: write(median(measured(runs, p, more))),
            "times better ": lambda p: f"{times_published(runs, p, more):.2f}",
        },
    )


def runs_table(runs: Sequence[Run]) -> Table:
    """Processor time by kind of process, and memory, of every run."""

    def cpu(run: Run, kind: str) -> float:
        return run.cost.cpu_by_kind.get(kind, 0.0)

    def rest(run: Run) -> float:
        return run.cost.cpu_s - sum(cpu(run, kind) for kind in ("java", "worker", "python"))

    return table_of(
        "Every run: wall time, processor seconds by process, memory of the largest worker",
        [run for pipeline in PIPELINES for pair in pairs(runs, pipeline) for run in pair],
        {
            "pipeline": lambda run: run.pipeline.name,
            "round": lambda run: str(run.round + 1),
            "tiles": lambda run: str(run.tiles),
            "wall s": lambda run: f"{run.cost.wall_s:.1f}",
            "Java": lambda run: f"{cpu(run, 'java'):.1f}",
            "workers": lambda run: f"{cpu(run, 'worker'):.1f}",
            "driver": lambda run: f"{cpu(run, 'python'):.1f}",
            "rest": lambda run: f"{rest(run):.1f}",
            "all": lambda run: f"{run.cost.cpu_s:.1f}",
            "worker MiB": lambda run: f"{run.cost.peak_by_kind.get('worker', 0) / _MIB:.0f}",
        },
    )
