"""Label many scenes or one large scene by every engine: the commands and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.common.cli import JobsOption, RoundsOption, names_of
from benchmarks.common.commands import run_measured
from benchmarks.common.report import Report, table_of
from benchmarks.common.scenes import LARGE_SIZE, make_large_scene
from benchmarks.labelling import options
from benchmarks.labelling.measured.data import make_files
from benchmarks.labelling.measured.programs import BenchMethod, spark_submit, write_recipe
from benchmarks.labelling.measured.scaling import (
    PLAIN_SETUPS,
    SPARK_SETUPS,
    Phases,
    ScalingRun,
    Setup,
    baseline,
    measure_scaling,
    of_setup,
    phases,
    speed_up,
)
from benchmarks.labelling.simulation.costs import Costs, costs_of
from benchmarks.labelling.simulation.simulate import simulate
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene

SETUPS = (*SPARK_SETUPS, *PLAIN_SETUPS)
ENGINES = tuple(dict.fromkeys(setup.engine for setup in SETUPS))
_EMPTY_TASKS = 300
_MIB = 2**20


def scale(
    report: Report,
    scenes: options.ScenesOption = 64,
    size: options.SizeOption = 2048,
    tile: options.TileOption = 256,
    rounds: RoundsOption = 3,
    method: options.MethodOption = "illumination",
    engines: Annotated[
        str, typer.Option(help=f"Separated by commas; default: all of {', '.join(ENGINES)}.")
    ] = "",
    jobs: JobsOption = None,
    data: options.DataOption = None,
) -> None:
    """Label by every engine on one and on more workers, as in the paper's Tables I and II."""
    chosen = names_of(engines, "engine", ENGINES)
    files = make_files(options.data_folder(report, data), scenes, size, tile, jobs)
    found = _measure(report, "scale", chosen, [f.image for f in files], method, tile, rounds)
    tables = {}
    for name, setups, heading in (
        ("spark", SPARK_SETUPS, "Spark, as the paper's Table II"),
        ("plain", PLAIN_SETUPS, "Processes and MPI, as the paper's Table I"),
    ):
        runs = [run for run in found.runs if run.setup in setups]
        if runs:
            tables[name] = phases_table(runs, heading)
            tables[f"{name}_speed_up"] = speed_up_table(runs, "Its speed-up")
    tables |= {"simulated": simulation_table(found), "costs": costs_table(found.costs)}
    about = (
        f"{scenes} scenes of {size} x {size} pixels, {found.runs[0].record.tiles} tiles, filter"
        f" '{method}', medians of {rounds} rounds. Load, map and write are seconds of a worker."
        " With start, other and end they add up to the total of a run; medians add up nearly."
    )
    report.write("scale", "Labelling on one and more workers", about, tables)
    if any(engine.startswith("spark") for engine in chosen):
        script = "benchmarks/labelling/jobs/dispatch_job.py"
        tasks = [str(_EMPTY_TASKS), str(report.folder / options.DISPATCH_FILE)]
        run_measured(
            [*spark_submit("local[2]", script=script), *tasks], options.work_folder(report)
        )


def large(
    report: Report,
    size: options.LargeOption = LARGE_SIZE,
    tile: options.TileOption = 256,
    rounds: RoundsOption = 3,
    method: options.MethodOption = "illumination",
    engines: Annotated[str, typer.Option(help="Separated by commas.")] = "spark local,processes",
    data: options.DataOption = None,
) -> None:
    """Label one scene as large as a satellite's: memory, and time to the first shard."""
    chosen = names_of(engines, "engine", ENGINES)
    path = make_large_scene(options.data_folder(report, data), size)
    found = _measure(report, "large", chosen, [path], method, tile, rounds)
    about = (
        f"A scene of {size} x {size} pixels, {path.stat().st_size / 1e6:.0f} MB, filter '{method}',"
        f" {rounds} rounds: greatest memory, median times."
    )
    tables = {
        "large": large_table(found.runs, "One large scene"),
        "large_phases": phases_table(found.runs, "Where its time goes"),
        "large_simulated": simulation_table(found),
        "large_costs": costs_table(found.costs),
    }
    report.write("large", "One scene of a satellite's size", about, tables)


@dataclass(frozen=True)
class Found:
    """Runs on some set-ups, and the data that a simulation needs to repeat them."""

    runs: list[ScalingRun]
    scenes: list[Scene]
    recipe: Recipe
    costs: dict[str, Costs]
    """Unit costs by engine."""


def _measure(
    report: Report,
    kind: str,
    engines: Sequence[str],
    paths: Sequence[Path],
    method: BenchMethod,
    tile: int,
    rounds: int,
) -> Found:
    """Label on every set-up of some engines; save unit costs."""
    work = options.work_folder(report)
    setups = [setup for setup in SETUPS if setup.engine in engines]
    runs = measure_scaling(setups, paths, method, tile, rounds, work)
    recipe = load_recipe(write_recipe(work, method, tile))
    scenes = [open_scene(str(path), recipe.scene) for path in paths]
    costs = {}
    for engine in engines:
        one = next(setup for setup in setups if setup.engine == engine)
        costs[engine] = costs_of(of_setup(runs, baseline(one, runs)), scenes)
        costs[engine].save(options.costs_file(report, kind, engine))
    return Found(runs, scenes, recipe, costs)


def _setups(runs: Sequence[ScalingRun]) -> list[Setup]:
    return list(dict.fromkeys(run.setup for run in runs))


def phases_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Phases of the time of a run: one row per set-up."""
    names = ("start", "load", "map", "write", "other", "end", "total s")
    rows = []
    for setup in _setups(runs):
        split = [phases(run) for run in of_setup(runs, setup)]
        seconds = (median(getattr(part, f.name) for part in split) for f in fields(Phases))
        rows.append((setup.name, *(f"{s:.1f}" for s in seconds)))
    return Table(title, ("on", *names), tuple(rows))


def speed_up_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Speed-up and efficiency of the work alone and of the whole run, and processor seconds."""

    def cpu(setup: Setup, *kinds: str) -> str:
        own = [run.cost.cpu_by_kind for run in of_setup(runs, setup)]
        return f"{median(sum(cpu.get(kind, 0.0) for kind in kinds) for cpu in own):.1f}"

    return table_of(
        title,
        _setups(runs),
        {
            "on": lambda on: on.name,
            "speed-up of work": lambda on: f"{speed_up(runs, on, 'work'):.2f}",
            "efficiency": lambda on: f"{speed_up(runs, on, 'work') / on.workers:.2f}",
            "speed-up of total": lambda on: f"{speed_up(runs, on, 'total'):.2f}",
            "efficiency ": lambda on: f"{speed_up(runs, on, 'total') / on.workers:.2f}",
            "Java CPU s": lambda on: cpu(on, "java"),
            "Python CPU s": lambda on: cpu(on, "worker", "python"),
        },
    )


def large_table(runs: Sequence[ScalingRun], title: str) -> Table:
    """Memory and times of one large scene: greatest memory of the rounds, median times."""

    def peak(own: list[ScalingRun], kind: str) -> str:
        return f"{max(run.cost.peak_by_kind.get(kind, 0) for run in own) / _MIB:.0f}"

    def first_file(run: ScalingRun) -> float:
        return run.cost.first_file_s or float("nan")

    def after_start(run: ScalingRun) -> float:
        return first_file(run) - (run.record.begin - run.cost.started)

    return table_of(
        title,
        [of_setup(runs, setup) for setup in _setups(runs)],
        {
            "on": lambda own: own[0].setup.name,
            "tiles": lambda own: str(own[0].record.tiles),
            "tasks": lambda own: str(len(own[0].record.units)),
            "largest worker MiB": lambda own: peak(own, "worker"),
            "Java MiB": lambda own: peak(own, "java"),
            "first shard s": lambda own: f"{median(map(first_file, own)):.1f}",
            "after first task began": lambda own: f"{median(map(after_start, own)):.1f}",
            "total s": lambda own: f"{median(run.cost.wall_s for run in own):.1f}",
        },
    )


def simulation_table(found: Found) -> Table:
    """Measured and simulated totals; each round is simulated with its own slow-down."""
    rows = []
    for setup in _setups(found.runs):
        own = of_setup(found.runs, setup)
        measured = median(run.cost.wall_s for run in own)
        simulated = median(_simulated_s(found, setup, run.slow_down) for run in own)
        slower = median(run.slow_down for run in own)
        difference = 100 * (simulated / measured - 1)
        seconds = (f"{measured:.1f}", f"{simulated:.1f}")
        rows.append((setup.name, f"{slower:.2f}", *seconds, f"{difference:+.1f}"))
    columns = ("on", "slow-down", "measured s", "simulated s", "difference %")
    return Table("Simulated from the run with one worker", columns, tuple(rows))


def _simulated_s(found: Found, setup: Setup, slower: float) -> float:
    # The start and end of executors don't depend on the work, so take the measured times.
    own = [phases(run) for run in of_setup(found.runs, setup)]
    fixed = replace(
        found.costs[setup.engine],
        start_s=median(run.start_s for run in own),
        end_s=median(run.end_s for run in own),
    )
    run = simulate(found.scenes, found.recipe, fixed, setup.workers, slow_down=slower)
    return run.total_s


def costs_table(costs: dict[str, Costs]) -> Table:
    """Unit costs by engine."""
    names = [field.name for field in fields(Costs)]
    rows = [(name, *(f"{getattr(c, name):.4g}" for c in costs.values())) for name in names]
    title = "Unit costs (seconds of a megapixel: read, label, write)"
    return Table(title, ("cost", *costs), tuple(rows))
