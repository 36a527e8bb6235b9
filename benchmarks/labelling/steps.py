"""What the commands of the labelling benchmark do, each to its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.common.commands import BenchMethod, run_measured, spark_submit, write_recipe
from benchmarks.common.tables import write_markdown, write_tables
from benchmarks.labelling import report
from benchmarks.labelling.runs.compare import compare
from benchmarks.labelling.runs.data import SOURCE_SIZE, make_files, make_large_scene
from benchmarks.labelling.runs.scaling import (
    PLAIN_SETUPS,
    SPARK_SETUPS,
    ScalingRun,
    Setup,
    baseline,
    measure_scaling,
    of_setup,
    phases,
)
from benchmarks.labelling.simulation.costs import Costs, costs_of
from benchmarks.labelling.simulation.estimate import Place, estimate
from benchmarks.labelling.simulation.simulate import Simulated, simulate
from polynya.errors import PolynyaError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene
from polynya.storage.files import output_folder

ENGINES = tuple(dict.fromkeys(setup.engine for setup in (*SPARK_SETUPS, *PLAIN_SETUPS)))
_EMPTY_TASKS = 300
_DISPATCH_FILE = "dispatch.json"


@dataclass(frozen=True)
class Work:
    """Where a command works."""

    out: Path
    """Absolute; of the tables."""
    data_option: Path | None
    command: str
    """As the user gave it."""

    @property
    def data(self) -> Path:
        """Folder that keeps the scenes."""
        return self.data_option or self.out / "data"

    @property
    def runs(self) -> Path:
        """Existing folder for what runs write."""
        return output_folder(self.out / "work")

    def costs_file(self, kind: str, engine: str) -> Path:
        """Unit costs of an engine; 'scale' or 'large' is what it labelled."""
        return self.out / f"costs-{kind}-{engine.replace(' ', '-')}.json"

    def write(
        self, name: str, heading: str, about: str, tables: Sequence[tuple[str, Table]]
    ) -> None:
        """Print tables, write them as CSV files and as one page."""
        write_tables(tables, self.out)
        page = self.out / f"{name}.md"
        write_markdown(page, heading, about, self.command, [table for _, table in tables])


class NoCostsError(PolynyaError):
    """Unit costs that haven't been measured."""


def compare_pipelines(
    work: Work, count: int, size: int, tile: int, rounds: int, cores: int, jobs: int | None
) -> None:
    """Run the published pipeline and Polynya's; `compare.md`."""
    scenes = make_files(work.data, count, size, tile, jobs)
    runs = compare(scenes, rounds, cores, work.runs)
    about = (
        f"{count} scenes of {size} x {size} pixels, at local[{cores}]. Before the rounds both"
        " pipelines with the published filter labelled one scene, with the same number of pixels"
        " of each class."
    )
    tables = (
        ("compare_speed", report.speed_table(runs)),
        ("compare_cpu", report.cpu_table(runs)),
        ("compare_runs", report.runs_table(runs)),
    )
    work.write("compare", "The published pipeline and Polynya", about, tables)


def measure_engines(
    work: Work,
    count: int,
    size: int,
    tile: int,
    rounds: int,
    method: BenchMethod,
    engines: str,
    jobs: int | None,
) -> None:
    """Label on every set-up; tables, unit costs, and how well a simulation agrees: `scale.md`."""
    setups = _chosen(engines, (*SPARK_SETUPS, *PLAIN_SETUPS))
    paths = [scene.image for scene in make_files(work.data, count, size, tile, jobs)]
    runs = measure_scaling(setups, paths, method, tile, rounds, work.runs)
    recipe = load_recipe(write_recipe(work.runs, method, tile))
    scenes = [open_scene(str(path), recipe.scene) for path in paths]
    costs = _save_costs(work, "scale", runs, scenes, recipe)
    tables: list[tuple[str, Table]] = []
    for name, known, heading in (
        ("spark", SPARK_SETUPS, "Spark, as the paper's Table II"),
        ("plain", PLAIN_SETUPS, "Processes and MPI, as the paper's Table I"),
    ):
        chosen = [run for run in runs if run.setup in known]
        if chosen:
            tables.append((name, report.phases_table(chosen, heading)))
            tables.append((f"{name}_speed_up", report.speed_up_table(chosen, "Its speed-up")))
    tables += [
        ("simulated", _simulation(runs, scenes, recipe, costs)),
        ("costs", report.costs_table(costs)),
    ]
    about = (
        f"{count} scenes of {size} x {size} pixels, {runs[0].record.tiles} tiles, filter"
        f" '{method}', medians of {rounds} rounds. Load, map and write are seconds of a worker;"
        " with start, other and end they add up to the total of a run, and nearly so for medians."
    )
    work.write("scale", "Labelling on one and more workers", about, tables)
    if any(setup.engine.startswith("spark") for setup in setups):
        _measure_dispatch(work)


def _save_costs(
    work: Work, kind: str, runs: Sequence[ScalingRun], scenes: Sequence[Scene], recipe: Recipe
) -> dict[str, Costs]:
    costs = {}
    for engine in dict.fromkeys(run.setup.engine for run in runs):
        one = next(run.setup for run in runs if run.setup.engine == engine)
        costs[engine] = costs_of(of_setup(runs, baseline(one, runs)), scenes)
        costs[engine].save(work.costs_file(kind, engine))
    return costs


def _simulation(
    runs: Sequence[ScalingRun], scenes: Sequence[Scene], recipe: Recipe, costs: dict[str, Costs]
) -> Table:
    rows = [
        report.simulated_row(runs, setup, partial(_simulated, scenes, recipe, costs, runs, setup))
        for setup in dict.fromkeys(run.setup for run in runs)
    ]
    return report.simulation_table(rows)


def _simulated(
    scenes: Sequence[Scene],
    recipe: Recipe,
    costs: dict[str, Costs],
    runs: Sequence[ScalingRun],
    setup: Setup,
    slower: float,
) -> Simulated:
    # How long executors take to start and end is no matter of the work, so it isn't predicted.
    own = [phases(run) for run in of_setup(runs, setup)]
    fixed = replace(
        costs[setup.engine],
        start_s=median(run.start_s for run in own),
        end_s=median(run.end_s for run in own),
    )
    return simulate(scenes, recipe, fixed, setup.workers, slow_down=slower)


def _measure_dispatch(work: Work) -> None:
    script = "benchmarks/labelling/jobs/dispatch_job.py"
    file = work.out / _DISPATCH_FILE
    run_measured(
        [*spark_submit("local[2]", script=script), str(_EMPTY_TASKS), str(file)], work.runs
    )


def _chosen(engines: str, setups: Sequence[Setup]) -> list[Setup]:
    names = [name.strip() for name in engines.split(",")] if engines else list(ENGINES)
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise PolynyaError(
            f'There is no engine "{unknown[0]}"; use some of {", ".join(ENGINES)} for --engines.'
        )
    return [setup for setup in setups if setup.engine in names]


def measure_large(
    work: Work, size: int, tile: int, rounds: int, method: BenchMethod, engines: str
) -> None:
    """Label one large scene on one and two workers; `large.md`."""
    setups = _chosen(engines, (*SPARK_SETUPS, *PLAIN_SETUPS))
    path = make_large_scene(work.data, size, min(size, SOURCE_SIZE))
    runs = measure_scaling(setups, [path], method, tile, rounds, work.runs)
    recipe = load_recipe(write_recipe(work.runs, method, tile))
    scenes = [open_scene(str(path), recipe.scene)]
    costs = _save_costs(work, "large", runs, scenes, recipe)
    about = (
        f"A scene of {size} x {size} pixels, {path.stat().st_size / 1e6:.0f} MB, filter '{method}',"
        f" {rounds} rounds: the greatest memory of them, median times."
    )
    tables = (
        ("large", report.large_table(runs, "One large scene")),
        ("large_phases", report.phases_table(runs, "Where its time goes")),
        ("large_simulated", _simulation(runs, scenes, recipe, costs)),
        ("large_costs", report.costs_table(costs)),
    )
    work.write("large", "One scene of a satellite's size", about, tables)


def estimate_runs(
    work: Work, counts: Sequence[int], executors: Sequence[int], size: int, place: Place
) -> None:
    """Time and money of many scenes on many executors; `estimate.md`."""
    file, dispatch = work.costs_file("large", "spark local"), work.out / _DISPATCH_FILE
    if not file.is_file() or not dispatch.is_file():
        raise NoCostsError(
            f"{file} or {dispatch} is missing; measure them first: python -m benchmarks.labelling"
            f" scale --out {work.out}, and the same with 'large'"
        )
    costs, dispatch_s = Costs.load(file), float(dispatch.read_text(encoding="utf-8"))
    estimates = [
        estimate(scenes, number, size, Recipe(), costs, place, dispatch_s=dispatch_s)
        for scenes in counts
        for number in executors
    ]
    tables = (
        ("estimate", report.estimate_table(estimates, "Time and money")),
        ("estimate_limits", report.limits_table(estimates)),
    )
    about = (
        f"Scenes of {size} x {size} pixels, the default recipe. Costs of the work are from"
        f" {file.name} and {dispatch.name}; sizes, speeds and prices are given: {place}."
    )
    work.write("estimate", "Many scenes on many executors", about, tables)
