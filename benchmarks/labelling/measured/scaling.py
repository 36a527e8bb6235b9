"""Labelling on one, two and more workers, by every engine, as in the paper's Tables I and II."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.commands import run_measured
from benchmarks.common.meter import Cost
from benchmarks.common.timing import median_ratio
from benchmarks.labelling.jobs.timed import RunRecord, read_run
from benchmarks.labelling.jobs.timed_job import DRIVER_FILE, UNITS
from benchmarks.labelling.measured.burn import SECONDS_TO_BURN, slow_down
from benchmarks.labelling.measured.programs import BenchMethod, spark_submit, write_recipe
from polynya.progress import track
from polynya.storage.files import output_folder
from polynya.storage.output_folder import make_inner
from polynya.storage.ownership import remove_ours

_SCRIPT = "benchmarks/labelling/jobs/timed_job.py"


@dataclass(frozen=True)
class Setup:
    """Engine and workers of a run."""

    engine: str
    """'spark local', 'spark cluster', 'processes' or 'mpi'."""
    executors: int
    cores: int
    """Cores of each executor."""

    @property
    def name(self) -> str:
        """Name in tables: engine, executors x cores."""
        return f"{self.engine} {self.executors} x {self.cores}"

    @property
    def workers(self) -> int:
        """Number of processes that label."""
        return self.executors * self.cores

    def command(self, script: str) -> list[str]:
        """Return the start of a command line that runs a script on this set-up."""
        if self.engine == "spark local":
            return spark_submit(f"local[{self.cores}]", script=script)
        if self.engine == "spark cluster":
            size = ["--executors", str(self.executors), "--cores", str(self.cores)]
            # The program of the cluster adds the master.
            program, _, _, *settings = spark_submit("", script=script)
            cluster = [sys.executable, "-m", "benchmarks.labelling.measured.cluster"]
            return [*cluster, *size, "--", program, *settings]
        if self.engine == "processes":
            return [sys.executable, script]
        ranks = ["mpirun", "-n", str(self.workers + 1), "--oversubscribe"]
        return [*ranks, sys.executable, "-m", "mpi4py.futures", script]

    def options(self) -> list[str]:
        """Options of the script."""
        if self.engine.startswith("spark"):
            return []
        if self.engine == "processes":
            return ["--engine", "processes", "--workers", str(self.workers)]
        return ["--engine", "mpi"]


SPARK_SETUPS = (
    Setup("spark local", 1, 1),
    Setup("spark local", 1, 2),
    Setup("spark cluster", 1, 1),
    Setup("spark cluster", 1, 2),
    Setup("spark cluster", 2, 1),
)
PLAIN_SETUPS = (
    Setup("processes", 1, 1),
    Setup("processes", 1, 2),
    Setup("mpi", 1, 1),
    Setup("mpi", 1, 2),
)


@dataclass(frozen=True)
class ScalingRun:
    """One run on one set-up."""

    setup: Setup
    round: int
    cost: Cost
    record: RunRecord
    slow_down: float
    """Slow-down of as many processes as workers, measured just before the run (`burn.py`)."""


def measure_scaling(
    setups: Sequence[Setup],
    scenes: Sequence[Path],
    method: BenchMethod,
    tile: int,
    rounds: int,
    folder: Path,
    *,
    burn_s: float = SECONDS_TO_BURN,
) -> list[ScalingRun]:
    """Label the same scenes on every set-up, round after round; set-ups take turns in a round.

    Shards are removed after each run. `burn_s` is how long to measure the slow-down before it.
    """
    recipe = write_recipe(folder, method, tile)
    shards, record = folder / "shards", folder / "record"
    runs: list[ScalingRun] = []
    turns = [(number, setup) for number in range(rounds) for setup in setups]
    for number, setup in track(turns, "Labelling on every set-up"):
        for left in (shards, record):
            remove_ours(left)
        # The folder is entered in the ledger, so that the records of this run go before the next.
        make_inner(output_folder(record), UNITS)
        arguments = ["--record", str(record), "--out", str(shards), "--recipe", str(recipe)]
        command = [*setup.command(_SCRIPT), *setup.options(), *arguments, "--scenes"]
        paths = [str(path.absolute()) for path in scenes]
        slower = slow_down(setup.workers, burn_s)
        cost = run_measured([*command, *paths], folder, watched=shards)
        record_of_run = read_run(record / DRIVER_FILE, record / UNITS)
        runs.append(ScalingRun(setup, number, cost, record_of_run, slower))
    remove_ours(shards)
    return runs


@dataclass(frozen=True)
class Phases:
    """Seconds of one run; the phases of workers are means over the workers."""

    start_s: float
    """From the command to the first task: interpreter, Java, plan."""
    read_s: float
    label_s: float
    write_s: float
    """Encoding and storing."""
    other_s: float
    """All other time of workers: idle, imports, sky of scenes in strips."""
    end_s: float
    """After the end of the last task: manifest, end of the engine."""
    total_s: float


def phases(run: ScalingRun) -> Phases:
    """Return the phases of a run; they add up to its total time."""
    record, workers = run.record, run.setup.workers
    read, label, write = (
        sum(getattr(unit, name) for unit in record.units for name in names) / workers
        for names in (("read_s",), ("label_s",), ("encode_s", "store_s"))
    )
    return Phases(
        start_s=record.begin - run.cost.started,
        read_s=read,
        label_s=label,
        write_s=write,
        other_s=record.work_s - read - label - write,
        end_s=run.cost.started + run.cost.wall_s - record.end,
        total_s=run.cost.wall_s,
    )


def of_setup(runs: Sequence[ScalingRun], setup: Setup) -> list[ScalingRun]:
    """Return the runs on one set-up, in order of their rounds."""
    return [run for run in runs if run.setup == setup]


def baseline(setup: Setup, runs: Sequence[ScalingRun]) -> Setup:
    """Return the base of the speed-up: the set-up with one worker of the same engine."""
    return next(
        run.setup for run in runs if run.setup.engine == setup.engine and run.setup.workers == 1
    )


def speed_up(runs: Sequence[ScalingRun], setup: Setup, of: str) -> float:
    """Return the speed-up over one worker: median over rounds of the ratio within a round.

    `of` is 'total', or 'work': from the first task to the last.
    """

    def seconds(run: ScalingRun) -> float:
        return run.cost.wall_s if of == "total" else run.record.work_s

    one, many = of_setup(runs, baseline(setup, runs)), of_setup(runs, setup)
    return median_ratio(map(seconds, one), map(seconds, many))
