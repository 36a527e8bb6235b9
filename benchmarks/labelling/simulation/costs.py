"""Unit costs for a simulation, taken from measured runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.labelling.jobs.timed import UnitRecord
from benchmarks.labelling.measured.scaling import ScalingRun, phases
from polynya.scenes.scene import Scene
from polynya.storage.files import write_text

_TASK, _SKY_TASK = "label_unit", "find_scene_sky"
_MEGA = 1e6


@dataclass(frozen=True)
class Costs:
    """Times of the parts of a run on one core of one machine."""

    start_s: float
    """Seconds from the command to the first task, including headers of scenes."""
    warm_up_s: float
    """Additional seconds of a worker's first task: imports, compiled code."""
    gap_s: float
    """Seconds between two tasks of a worker: result back, next task sent."""
    unit_s: float
    """Seconds of a unit in addition to reading, labelling and writing."""
    read_s: float
    """Seconds per megapixel; the same for the next three."""
    label_s: float
    write_s: float
    sky_s: float
    """Finding the light over a scene in strips, without reading; 0 if no scene needed it."""
    end_s: float
    """Seconds from the end of the last task to the end of the command."""

    def task_s(self, pixels: int, skies: int = 0) -> float:
        """Return the seconds of a unit that labels pixels or finds the sky over `skies` pixels."""
        each = self.read_s + self.label_s + self.write_s
        return self.unit_s + (pixels * each + skies * (self.read_s + self.sky_s)) / _MEGA

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Costs:
        """Read costs that `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def costs_of(runs: Sequence[ScalingRun], scenes: Sequence[Scene]) -> Costs:
    """Compute unit costs from runs of one set-up with one worker; medians over the runs."""
    pixels = sum(scene.height * scene.width for scene in scenes) / _MEGA
    each = [_of_run(run, pixels) for run in runs]
    middle = {name: median(costs[name] for costs in each) for name in each[0]}
    return Costs(**middle)


def _of_run(run: ScalingRun, megapixels: float) -> dict[str, float]:
    split = phases(run)
    units = [unit for unit in run.record.units if unit.task == _TASK]
    skies = [unit for unit in run.record.units if unit.task == _SKY_TASK]
    others = units[1:] or units
    seconds = {
        "read_s": [unit.read_s for unit in units],
        "label_s": [unit.label_s for unit in units],
        "write_s": [unit.encode_s + unit.store_s for unit in units],
    }
    usual = median(unit.wall_s for unit in others)
    # Workers that have found skies are warm; the time of the skies includes their warm-up.
    warm_up = 0.0 if skies else max(units[0].wall_s - usual, 0.0)
    beside = [_beside(unit) for unit in others]
    gaps = [b.start - a.end for a, b in pairwise(units)]
    # The first unit's labelling includes compiling and importing; count these once, as warm-up.
    label = sum(seconds["label_s"]) - min(warm_up, seconds["label_s"][0])
    return {
        "start_s": split.start_s,
        "warm_up_s": warm_up,
        "gap_s": sum(gaps) / max(len(gaps), 1),
        "unit_s": sum(beside) / len(beside),
        "read_s": sum(seconds["read_s"]) / megapixels,
        "label_s": label / megapixels,
        "write_s": sum(seconds["write_s"]) / megapixels,
        "sky_s": sum(unit.wall_s - unit.read_s for unit in skies) / megapixels,
        "end_s": split.end_s,
    }


def _beside(unit: UnitRecord) -> float:
    return unit.wall_s - unit.read_s - unit.label_s - unit.encode_s - unit.store_s
