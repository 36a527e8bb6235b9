"""Simulate a labelling run on any number of workers, from its real plan and measured unit costs.

The simulation uses list scheduling: tasks wait in order, and the worker that is free first gets the
next task. The driver serves one worker at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from autolabel.plan import needs_sky, plan_units
from benchmarks.labelling.simulation.costs import Costs
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene


@dataclass(frozen=True)
class Stage:
    """Tasks of one kind, from the begin of the first to the end of the last."""

    seconds: float
    driver_s: float
    """Seconds in which the driver was sending tasks."""
    tasks: int


@dataclass(frozen=True)
class Simulated:
    """A simulated run."""

    start_s: float
    skies: Stage
    units: Stage
    end_s: float

    @property
    def work_s(self) -> float:
        """Seconds of both stages."""
        return self.skies.seconds + self.units.seconds

    @property
    def total_s(self) -> float:
        return self.start_s + self.work_s + self.end_s


def schedule(
    tasks: Iterable[float],
    workers: int,
    *,
    dispatch_s: float = 0.0,
    gap_s: float = 0.0,
    warm_up_s: float = 0.0,
) -> Stage:
    """Simulate tasks on workers, in the order in which the driver sends them.

    The driver needs `dispatch_s` to send a task. A worker needs `warm_up_s` before its first task,
    and `gap_s` between two tasks.
    """
    # Before a worker's first task there is the warm-up instead of the gap.
    free = [warm_up_s - gap_s] * workers
    driver = end = 0.0
    count = 0
    for seconds in tasks:
        driver = max(driver, free[0] + gap_s) + dispatch_s
        done = driver + seconds
        heapq.heapreplace(free, done)
        end = max(end, done)
        count += 1
    return Stage(end, count * dispatch_s, count)


def simulate(
    scenes: Sequence[Scene],
    recipe: Recipe,
    costs: Costs,
    workers: int,
    *,
    times: int = 1,
    slow_down: float = 1.0,
    dispatch_s: float = 0.0,
) -> Simulated:
    """Simulate a run of the real plan.

    The same scenes occur `times` times. The plan is made for one occurrence, so there must be
    enough scenes for units of full size. Where cores share a machine, tasks take `slow_down` times
    as long.
    """
    units = plan_units(scenes, recipe)
    in_bands = [unit.parts[0].scene for unit in units if needs_sky(unit, recipe.label)]
    large = list({scene.id: scene for scene in in_bands}.values())
    sky_tasks = [costs.task_s(0, scene.height * scene.width) for scene in large]
    unit_tasks = [
        costs.task_s(sum(part.height * part.scene.width for part in unit.parts)) for unit in units
    ]
    warm_up_s = costs.warm_up_s * slow_down

    def stage(tasks: list[float], warm_up_s: float) -> Stage:
        lasting = (seconds * slow_down for seconds in chain.from_iterable(repeat(tasks, times)))
        return schedule(
            lasting, workers, dispatch_s=dispatch_s, gap_s=costs.gap_s, warm_up_s=warm_up_s
        )

    skies = stage(sky_tasks, warm_up_s)
    return Simulated(
        start_s=costs.start_s,
        skies=skies,
        # Workers are warm if they have found skies.
        units=stage(unit_tasks, 0.0 if skies.tasks else warm_up_s),
        end_s=costs.end_s,
    )
