"""An engine that records, for each unit of work, how a worker spends its time.

It wraps any engine of `polynya.engines.engines`; tasks and their results stay the same. A worker
runs its task under Python's own profiler. The times of a few public functions give the phases.
These functions mostly call compiled code, which a profiler doesn't slow down.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from cProfile import Profile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from polynya.engines.engines import Engine
from polynya.progress import Advance
from polynya.storage.files import output_folder, write_text

T = TypeVar("T")
R = TypeVar("R")

_READ = {"read_scene", "read_layers"}
_LABEL = {"label_pixels"}
_ENCODE = {"tile_row", "ShardWriter.add", "ShardWriter.close"}
_STORE = {"Folder.write"}


@dataclass(frozen=True)
class UnitRecord:
    """Times of one task in its worker."""

    task: str
    """Name of the function: 'find_scene_sky' or 'label_unit'."""
    pid: int
    """Process id of the worker."""
    start: float
    """Seconds since 1970; the same for `end`."""
    end: float
    cpu_s: float
    read_s: float
    """Opening, reading and decompressing pixels; this and the next three are wall time."""
    label_s: float
    """Filter and thresholds."""
    encode_s: float
    """Rows, checksums, Parquet and its compression."""
    store_s: float
    """Writing files."""

    @property
    def wall_s(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class RunRecord:
    """Times of a run and of its units."""

    scenes: int
    tiles: int
    units: tuple[UnitRecord, ...]

    @property
    def begin(self) -> float:
        """Begin of the first task, seconds since 1970."""
        return min(unit.start for unit in self.units)

    @property
    def end(self) -> float:
        """End of the last task, seconds since 1970."""
        return max(unit.end for unit in self.units)

    @property
    def work_s(self) -> float:
        """Seconds from the begin of the first task to the end of the last."""
        return self.end - self.begin


class TimedEngine:
    """An engine that runs tasks on another engine; each task leaves a record in a folder."""

    def __init__(self, engine: Engine, records: Path) -> None:
        self._engine = engine
        self._records = output_folder(records)

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        return self._engine.run(Timed(task, self._records), items, advance)


@dataclass(frozen=True)
class Timed:
    """A task that leaves a record. Picklable if the task is picklable."""

    task: Callable[[Any], Any]
    records: Path

    def __call__(self, item: Any) -> Any:
        profile = Profile()
        start, cpu = time.time(), time.process_time()
        profile.enable()
        result = self.task(item)
        profile.disable()
        end, cpu_s = time.time(), time.process_time() - cpu
        name = self.task.func.__name__ if isinstance(self.task, partial) else self.task.__name__
        stored = _seconds(profile, _STORE)
        record = UnitRecord(
            task=name,
            pid=os.getpid(),
            start=start,
            end=end,
            cpu_s=cpu_s,
            read_s=_seconds(profile, _READ),
            label_s=_seconds(profile, _LABEL),
            # The time of encoding includes the writing of files, so subtract it.
            encode_s=max(_seconds(profile, _ENCODE) - stored, 0.0),
            store_s=stored,
        )
        write_text(self.records / f"{uuid4().hex}.json", json.dumps(asdict(record)))
        return result


def _seconds(profile: Profile, names: Iterable[str]) -> float:
    """Return the wall time in functions with these names, including the functions they call."""
    return sum(
        entry.totaltime
        for entry in profile.getstats()
        if not isinstance(entry.code, str) and entry.code.co_qualname in names
    )


def read_run(driver: Path, records: Path) -> RunRecord:
    """Read a run from the driver's record and the records of its units."""
    units = [json.loads(path.read_text(encoding="utf-8")) for path in records.glob("*.json")]
    ordered = sorted((UnitRecord(**unit) for unit in units), key=lambda unit: unit.start)
    content = json.loads(driver.read_text(encoding="utf-8"))
    return RunRecord(**content, units=tuple(ordered))
