"""Time and money of thousands of scenes on many executors: a simulation and its limits.

For each resource, the estimate counts the seconds that a run would take if everything else took no
time. The resource with the most seconds saturates first. The user gives sizes, speeds and prices;
the costs of the work are measured.
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
"""Number of scenes in the plan; more scenes give more units of the same kind."""
_REQUESTS_AT_ONCE = 16
"""Requests at once: `autolabel.run` reads headers, `polynya.storage.folder` removes notes."""
_LISTED = 1000
"""Names that an object store lists in one request."""
_HOUR = 3600.0


@dataclass(frozen=True)
class Place:
    """Speeds, sizes and prices of a place; options of the command. All values are examples."""

    cores: Annotated[int, typer.Option(help="Cores of an executor.")] = 4
    scene_mb: Annotated[float, typer.Option(help="Size of a stored scene, MB.")] = 300.0
    shard_mb: Annotated[float, typer.Option(help="Size of a scene's shards, MB.")] = 250.0
    latency_s: Annotated[float, typer.Option("--latency", help="Seconds of a request.")] = 0.05
    reads_per_task: float = field(default=20.0, init=False)
    """Requests with which a task reads its pixels; not an option of the command."""
    executor_gbit: Annotated[float, typer.Option(help="Network of an executor, Gbit/s.")] = 5.0
    store_gbit: Annotated[float, typer.Option(help="Object store, Gbit/s.")] = 400.0
    store_requests: Annotated[
        float, typer.Option(help="Requests per second to a folder of the store.")
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
        """Name of the resource that saturates first."""
        return max(self.limits, key=lambda name: self.limits[name])

    @property
    def total_money(self) -> float:
        return sum(self.money.values())


def satellite_scenes(count: int, size: int) -> list[Scene]:
    """Make descriptions of square scenes; the files need not exist."""
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
    """Estimate time, money and limits of a run; a multiple of 64 scenes is simulated."""
    sample = satellite_scenes(min(_SAMPLE, scenes), size)
    times = max(round(scenes / len(sample)), 1)
    workers = executors * place.cores
    run = simulate(sample, recipe, costs, workers, times=times, dispatch_s=dispatch_s)
    alone = simulate(sample, recipe, costs, 1)
    units, skies = run.units.tasks, run.skies.tasks
    # A scene that needs a sky is read twice: for its sky, and by its strips.
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
    # Workers read pixels while others label, so the slower of both counts.
    hours = before_and_after + max((run.total_s / _HOUR), network)
    # A unit writes a file and a note, a sky one file. A unit of a strip also reads the sky.
    writes, reads = 2 * units + skies, scenes + notes * (place.reads_per_task + 1)
    money = {
        "executors": hours * executors * place.executor_hour,
        "driver": hours * place.driver_hour,
        "requests": (writes * place.thousand_writes + reads * place.thousand_reads) / 1000,
        "egress": scenes * place.scene_mb / 1000 * place.egress_gb,
    }
    return Estimate(scenes, executors, hours, limits, money)
