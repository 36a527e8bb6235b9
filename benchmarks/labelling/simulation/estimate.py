"""Time and money of thousands of scenes on many executors: a simulation and its limits.

What a run needs is counted for each resource alone: the seconds that it would take if everything
else were free. The greatest is what saturates first. Sizes, speeds and prices of a place are given
by the user; costs of the work are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.labelling.simulation.costs import Costs
from benchmarks.labelling.simulation.simulate import Simulated, simulate
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
    """Where the work would be done. All values are examples to be replaced."""

    cores: int = 4
    """Of an executor."""
    scene_mb: float = 300.0
    """Red, green and blue of a scene as they are stored, megabytes."""
    shard_mb: float = 250.0
    """Shards of a scene, megabytes."""
    latency_s: float = 0.05
    """Of a request to the object store."""
    reads_per_task: float = 20.0
    """Requests in which a task gets its pixels."""
    executor_gbit: float = 5.0
    """Network of an executor, gigabits a second."""
    store_gbit: float = 400.0
    """What the object store gives all of them together."""
    store_requests: float = 3500.0
    """Requests a second that a folder of the object store takes."""
    executor_hour: float = 0.20
    """Price of an executor for an hour, as are the next: example values of January 2025."""
    driver_hour: float = 0.20
    thousand_writes: float = 0.005
    """Of a thousand requests that write or list."""
    thousand_reads: float = 0.0004
    egress_gb: float = 0.0
    """Of a gigabyte that leaves its region; nothing where scenes and executors are in one."""


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
    return [
        Scene(
            id=f"scene{index:07d}", uri=f"s3://scenes/scene{index:07d}.tif", height=size,
            width=size, crs=None, transform=None, dtype="uint8", band_indexes=(1, 2, 3),
            scale=1.0, offset=0.0, stretch=(0.0, 1.0), zero_is_nodata=True,
        )
        for index in range(count)
    ]  # fmt: skip


def estimate(
    scenes: int,
    executors: int,
    size: int,
    recipe: Recipe,
    costs: Costs,
    place: Place,
    *,
    dispatch_s: float,
) -> Estimate:
    """Time and money of a run, and what limits it.

    Args:
        scenes: Their number; a multiple of 64 is simulated, the nearest.
        executors: Their number.
        size: Height and width of a scene in pixels.
        recipe: How they are labelled.
        costs: Of one core.
        place: Where.
        dispatch_s: Of the driver, to send a task.
    """
    sample = satellite_scenes(min(_SAMPLE, scenes), size)
    times = max(round(scenes / len(sample)), 1)
    workers = executors * place.cores
    run = simulate(sample, recipe, costs, workers, times=times, dispatch_s=dispatch_s)
    units, skies = run.units.tasks, run.skies.tasks
    limits = _limits(scenes, executors, run, recipe, costs, place, sample, times)
    network = max(limits["executors' network"], limits["object store"])
    before_and_after = limits["driver: headers"] + limits["driver: notes removed"]
    # Pixels come while others are labelled, so the slower of both counts.
    hours = before_and_after + max((run.total_s / _HOUR), network)
    # A unit leaves a file and a note, a sky its own; a unit in bands reads the sky.
    writes, reads = 2 * units + skies, scenes + (units + skies) * (place.reads_per_task + 1)
    gigabytes = scenes * place.scene_mb / 1000
    money = {
        "executors": hours * executors * place.executor_hour,
        "driver": hours * place.driver_hour,
        "requests": (writes * place.thousand_writes + reads * place.thousand_reads) / 1000,
        "egress": gigabytes * place.egress_gb,
    }
    return Estimate(scenes, executors, hours, limits, money)


def _limits(
    scenes: int,
    executors: int,
    run: Simulated,
    recipe: Recipe,
    costs: Costs,
    place: Place,
    sample: list[Scene],
    times: int,
) -> dict[str, float]:
    units, skies = run.units.tasks, run.skies.tasks
    workers = executors * place.cores
    alone = simulate(sample, recipe, costs, 1)
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
    return {name: value / _HOUR for name, value in seconds.items()}
