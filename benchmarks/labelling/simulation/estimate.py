"""Time and money of thousands of scenes on many executors: a simulation and its limits.

What a run needs is counted for each resource alone: the seconds that it would take if everything
else were free. The greatest is what saturates first. Sizes, speeds and prices of a place are given
by the user; costs of the work are measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from benchmarks.common.scenes import described_scene
from benchmarks.labelling.simulation.costs import Costs
from benchmarks.labelling.simulation.simulate import simulate
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene

_SAMPLE = 64
"""Scenes that are planned; units of more scenes are the same."""
_REQUESTS_AT_ONCE = 16
"""As `autolabel.run` reads headers and `polynya.storage.folder` removes notes."""
_LISTED = 1000
"""Names that an object store lists in one request."""
_HOUR = 3600.0


@dataclass(frozen=True)
class Place:
    """Where the work would be done; options of the command. All values are examples."""

    cores: Annotated[int, typer.Option(help="Of an executor.")] = 4
    scene_mb: Annotated[float, typer.Option(help="A scene as stored.")] = 300.0
    shard_mb: Annotated[float, typer.Option(help="Shards of a scene.")] = 250.0
    latency_s: Annotated[float, typer.Option("--latency", help="Seconds of a request.")] = 0.05
    reads_per_task: float = field(default=20.0, init=False)
    """Requests in which a task gets its pixels; no option."""
    executor_gbit: Annotated[float, typer.Option(help="Network of an executor, Gbit/s.")] = 5.0
    store_gbit: Annotated[float, typer.Option(help="Object store, Gbit/s.")] = 400.0
    store_requests: Annotated[
        float, typer.Option(help="Requests a second to a folder of the store.")
    ] = 3500.0
    executor_hour: Annotated[
        float, typer.Option(help="$; this and the next are examples of January 2025.")
    ] = 0.20
    driver_hour: Annotated[float, typer.Option(help="$.")] = 0.20
    thousand_writes: Annotated[float, typer.Option(help="$.")] = 0.005
    thousand_reads: Annotated[float, typer.Option(help="$.")] = 0.0004
    egress_gb: Annotated[float, typer.Option(help="$.")] = 0.0


@dataclass(frozen=True)
class Estimate:
    """A run on a number of executors."""

    scenes: int
    executors: int
    hours: float
    limits: dict[str, float]
    """Hours that each resource alone would need."""
    money: dict[str, float]

    @property
    def first_limit(self) -> str:
        """What saturates first."""
        return max(self.limits, key=lambda name: self.limits[name])

    @property
    def total_money(self) -> float:
        return sum(self.money.values())


def satellite_scenes(count: int, size: int) -> list[Scene]:
    """Descriptions of square scenes that need not exist."""
    return [described_scene(f"s3://scenes/scene{i:07d}.tif", size) for i in range(count)]


def estimate_run(
    scenes: int,
    executors: int,
    size: int,
    recipe: Recipe,
    costs: Costs,
    place: Place,
    *,
    dispatch_s: float,
) -> Estimate:
    """Time and money of a run, and what limits it; a multiple of 64 scenes is simulated."""
    sample = satellite_scenes(min(_SAMPLE, scenes), size)
    times = max(round(scenes / len(sample)), 1)
    workers = executors * place.cores
    run = simulate(sample, recipe, costs, workers, times=times, dispatch_s=dispatch_s)
    alone = simulate(sample, recipe, costs, 1)
    units, skies = run.units.tasks, run.skies.tasks
    # The scene is read for its sky, and once more by its bands.
    moved = scenes * ((2 if skies else 1) * place.scene_mb + place.shard_mb) * 8e-3
    notes = units + skies
    requests = scenes + notes * (place.reads_per_task + 4) + notes / _LISTED
    seconds = {
        "workers: pixels": alone.work_s * times / workers,
        "driver: headers": scenes * place.latency_s / _REQUESTS_AT_ONCE,
        "driver: tasks": run.units.driver_s + run.skies.driver_s,
        "driver: notes removed": notes * place.latency_s / _REQUESTS_AT_ONCE,
        "executors' network": moved / (executors * place.executor_gbit),
        "object store": moved / place.store_gbit,
        "object store: requests": requests / place.store_requests,
    }
    limits = {name: value / _HOUR for name, value in seconds.items()}
    network = max(limits["executors' network"], limits["object store"])
    before_and_after = limits["driver: headers"] + limits["driver: notes removed"]
    # Pixels come while others are labelled, so the slower of both counts.
    hours = before_and_after + max((run.total_s / _HOUR), network)
    # A unit leaves a file and a note, a sky its own; a unit in bands reads the sky.
    writes, reads = 2 * units + skies, scenes + notes * (place.reads_per_task + 1)
    money = {
        "executors": hours * executors * place.executor_hour,
        "driver": hours * place.driver_hour,
        "requests": (writes * place.thousand_writes + reads * place.thousand_reads) / 1000,
        "egress": scenes * place.scene_mb / 1000 * place.egress_gb,
    }
    return Estimate(scenes, executors, hours, limits, money)
