"""Tables of the labelling benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.labelling.runs.compare import PIPELINES, PUBLISHED, Pipeline, Run
from benchmarks.labelling.runs.scaling import ScalingRun, Setup, of_setup, phases, speed_up
from benchmarks.labelling.simulation.costs import Costs
from benchmarks.labelling.simulation.estimate import Estimate
from benchmarks.labelling.simulation.simulate import Simulated
from polynya.report.tables import Table

_MIB = 2**20

Measure = Callable[[Run, Run], float]
"""A number from a run on few tiles and the run on all tiles after it."""


def wall_per_thousand(few: Run, full: Run) -> float:
    """Seconds of a thousand tiles, start-up included."""
    return 1000 * full.cost.wall_s / full.tiles


def wall_per_thousand_more(few: Run, full: Run) -> float:
    """Seconds that a thousand more tiles take: start-up is in both runs and drops out."""
    return 1000 * (full.cost.wall_s - few.cost.wall_s) / (full.tiles - few.tiles)


def cpu_per_thousand(few: Run, full: Run) -> float:
    """Processor seconds of a thousand tiles, start-up included."""
    return 1000 * full.cost.cpu_s / full.tiles


def cpu_per_thousand_more(few: Run, full: Run) -> float:
    """Processor seconds that a thousand more tiles take."""
    return 1000 * (full.cost.cpu_s - few.cost.cpu_s) / (full.tiles - few.tiles)


def pairs(runs: Sequence[Run], pipeline: Pipeline) -> list[tuple[Run, Run]]:
    """Runs on few and on all tiles of each round."""
    own = [run for run in runs if run.pipeline == pipeline]
    few = sorted((r for r in own if r.tiles == min(x.tiles for x in own)), key=lambda r: r.round)
    full = sorted((r for r in own if r.tiles == max(x.tiles for x in own)), key=lambda r: r.round)
    return list(zip(few, full, strict=True))


def middle(runs: Sequence[Run], pipeline: Pipeline, measure: Measure) -> float:
    """Median over the rounds."""
    return median(measure(*pair) for pair in pairs(runs, pipeline))


def times_published(runs: Sequence[Run], pipeline: Pipeline, measure: Measure) -> float:
    """The published pipeline's number over a pipeline's: median of the ratios within rounds."""
    theirs, ours = pairs(runs, PUBLISHED), pairs(runs, pipeline)
    return median(measure(*a) / measure(*b) for a, b in zip(theirs, ours, strict=True))


def speed_table(runs: Sequence[Run]) -> Table:
    """Tiles a second of each pipeline."""
    title = f"Tiles a second, {_about(runs)}"
    return _compared(runs, title, "tiles/s", wall_per_thousand, wall_per_thousand_more)


def cpu_table(runs: Sequence[Run]) -> Table:
    """Processor seconds of a thousand tiles of each pipeline."""
    title = f"Processor seconds of 1000 tiles, {_about(runs)}"
    return _compared(runs, title, "CPU s", cpu_per_thousand, cpu_per_thousand_more)


def _compared(runs: Sequence[Run], title: str, unit: str, whole: Measure, more: Measure) -> Table:
    rows = []
    for pipeline in PIPELINES:
        cells = []
        for measure in (whole, more):
            value = middle(runs, pipeline, measure)
            cells.append(f"{1000 / value:.1f}" if unit == "tiles/s" else f"{value:.2f}")
            cells.append(f"{times_published(runs, pipeline, measure):.2f}")
        rows.append((pipeline.name, *cells))
    columns = ("pipeline", unit, "times better", f"{unit} after start-up", "times better ")
    return Table(title, columns, tuple(rows))


def _about(runs: Sequence[Run]) -> str:
    return f"{max(r.tiles for r in runs)} tiles, median of {len(pairs(runs, PUBLISHED))} rounds"


def runs_table(runs: Sequence[Run]) -> Table:
    """Which processes used the processor time, and memory."""
    rows = []
    for pipeline in PIPELINES:
        for few, full in zip(*zip(*pairs(runs, pipeline), strict=True), strict=True):
            for run in (few, full):
                cost = run.cost
                kinds = [cost.cpu_by_kind.get(kind, 0.0) for kind in ("java", "worker", "python")]
                rest = cost.cpu_s - sum(kinds)
                peak = cost.peak_by_kind.get("worker", 0) / _MIB
                cpu = (*(f"{s:.1f}" for s in kinds), f"{rest:.1f}", f"{cost.cpu_s:.1f}")
                place = (pipeline.name, str(run.round + 1), str(run.tiles), f"{cost.wall_s:.1f}")
                rows.append((*place, *cpu, f"{peak:.0f}"))
    columns = (
        "pipeline", "round", "tiles", "wall s", "Java", "workers", "driver", "rest", "all",
        "worker MiB",
    )  # fmt: skip
    return Table(
        "Every run: wall time, processor seconds by process, memory of the largest worker",
        columns,
        tuple(rows),
    )


def phases_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Where the time of a run goes: a row a set-up."""
    names = ("start_s", "read_s", "label_s", "write_s", "other_s", "end_s", "total_s")
    rows = []
    for setup in _setups(runs):
        split = [phases(run) for run in of_setup(runs, setup)]
        seconds = (median(getattr(part, name) for part in split) for name in names)
        rows.append((setup.name, *(f"{s:.1f}" for s in seconds)))
    columns = ("on", "start", "load", "map", "write", "other", "end", "total s")
    return Table(title, columns, tuple(rows))


def speed_up_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Speed-up and efficiency, of the work alone and of the whole run, and processor seconds."""
    rows = []
    for setup in _setups(runs):
        own = of_setup(runs, setup)
        cells = []
        for of in ("work", "total"):
            speed = speed_up(runs, setup, of)
            cells += [f"{speed:.2f}", f"{speed / setup.workers:.2f}"]
        java = median(run.cost.cpu_by_kind.get("java", 0.0) for run in own)
        python = median(_python_cpu(run) for run in own)
        rows.append((setup.name, *cells, f"{java:.1f}", f"{python:.1f}"))
    columns = (
        "on", "speed-up of work", "efficiency", "speed-up of total", "efficiency ", "Java CPU s",
        "Python CPU s",
    )  # fmt: skip
    return Table(title, columns, tuple(rows))


def _setups(runs: Sequence[ScalingRun]) -> list[Setup]:
    return list(dict.fromkeys(run.setup for run in runs))


def _python_cpu(run: ScalingRun) -> float:
    kinds = run.cost.cpu_by_kind
    return kinds.get("worker", 0.0) + kinds.get("python", 0.0)


def large_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Memory and times of one large scene: worst of the rounds for memory, medians for times."""
    rows = []
    for setup in _setups(runs):
        own = of_setup(runs, setup)
        peak = max(run.cost.peak_by_kind.get("worker", 0) for run in own) / _MIB
        java = max(run.cost.peak_by_kind.get("java", 0) for run in own) / _MIB
        first = median(run.cost.first_file_s or float("nan") for run in own)
        begun = median(_first_after_start(run) for run in own)
        total = median(run.cost.wall_s for run in own)
        files = own[0].record.tiles, len(own[0].record.units)
        seconds = (f"{first:.1f}", f"{begun:.1f}", f"{total:.1f}")
        sizes = (f"{peak:.0f}", f"{java:.0f}")
        rows.append((setup.name, *map(str, files), *sizes, *seconds))
    columns = (
        "on", "tiles", "tasks", "largest worker MiB", "Java MiB", "first shard s",
        "after first task began", "total s",
    )  # fmt: skip
    return Table(title, columns, tuple(rows))


def _first_after_start(run: ScalingRun) -> float:
    """Seconds from the beginning of the first task to the first shard."""
    return (run.cost.first_file_s or float("nan")) - (run.record.begin - run.cost.started)


def simulation_table(rows: Sequence[tuple[Setup, float, float, float]]) -> Table:
    """Measured and simulated totals: (set-up, slow-down, measured s, simulated s) a row."""
    cells = tuple(
        (
            setup.name,
            f"{slower:.2f}",
            f"{measured:.1f}",
            f"{simulated:.1f}",
            f"{100 * (simulated / measured - 1):+.1f}",
        )
        for setup, slower, measured, simulated in rows
    )
    columns = (
        "on", "slow-down", "measured s", "simulated s", "difference %",
    )  # fmt: skip
    return Table("Simulated from the run with one worker", columns, cells)


def costs_table(costs: dict[str, Costs]) -> Table:
    """Unit costs by engine."""
    names = list(Costs.__dataclass_fields__)
    rows = [(name, *(f"{getattr(c, name):.4g}" for c in costs.values())) for name in names]
    return Table("Unit costs (seconds of a megapixel: read, label, write)",
                 ("cost", *costs), tuple(rows))  # fmt: skip


def estimate_table(estimates: Sequence[Estimate], title: str) -> Table:
    """Hours, money and first limit."""
    rows = [
        (
            f"{e.scenes:,}",
            f"{e.executors:,}",
            f"{e.hours:.2f}",
            e.first_limit,
            f"{100 * e.limits[e.first_limit] / e.hours:.0f}",
            *(f"{e.money[name]:.2f}" for name in ("executors", "driver", "requests", "egress")),
            f"{e.total_money:.2f}",
        )
        for e in estimates
    ]
    columns = (
        "scenes", "executors", "hours", "saturates first", "% of the time", "executors $",
        "driver $", "requests $", "egress $", "all $",
    )  # fmt: skip
    return Table(title, columns, tuple(rows))


def limits_table(estimates: Sequence[Estimate]) -> Table:
    """Hours that each resource alone would need."""
    names = list(estimates[0].limits)
    rows = [
        (f"{e.scenes:,}", f"{e.executors:,}", *(f"{e.limits[name]:.2f}" for name in names))
        for e in estimates
    ]
    return Table("Hours of each resource alone", ("scenes", "executors", *names), tuple(rows))


def simulated_row(
    runs: Sequence[ScalingRun], setup: Setup, simulated: Callable[[float], Simulated]
) -> tuple[Setup, float, float, float]:
    """Medians of a set-up's rounds; each is simulated with the slow-down measured beside it."""
    own = of_setup(runs, setup)
    return (
        setup,
        median(run.slow_down for run in own),
        median(run.cost.wall_s for run in own),
        median(simulated(run.slow_down).total_s for run in own),
    )
