"""The one format of results: what was measured, by which command, where and when."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

from benchmarks.common.commands import ROOT
from polynya.errors import PolynyaError
from polynya.machine import processor_model
from polynya.report.tables import Table
from polynya.storage.files import write_text

FORMAT = 1
"""Version of the format; readers refuse other versions."""
KEPT = ROOT / "benchmarks" / "results"
"""Folder of the results that README and docs cite."""

_MEMINFO = Path("/proc/meminfo")
_PACKAGES = {
    "OpenCV": "opencv-python-headless",
    "NumPy": "numpy",
    "Keras": "keras",
    "TensorFlow": "tensorflow-cpu",
    "Horovod": "horovod",
    "PySpark": "pyspark",
}
"""Packages of which a result keeps the version: name in tables, name of the package."""


class ResultError(PolynyaError):
    """A file isn't a result that this version reads."""


@dataclass(frozen=True)
class Baseline:
    """What a measurement is compared with, measured in the same run."""

    name: str
    values: tuple[float, ...]
    """As many as the measurement has, in the same order; or repeats of its own."""


@dataclass(frozen=True)
class Measurement:
    """One measured quantity."""

    name: str
    """Unique in a result: "PART: what"."""
    unit: str
    values: tuple[float, ...]
    """One value for each repeat, at least one."""
    better: Literal["lower", "higher"]
    baseline: Baseline | None = None
    paper: float | None = None
    """The paper's figure for the same quantity, in the same unit."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the repeats, by linear interpolation."""
        return spread(self.values)

    @property
    def baseline_median(self) -> float | None:
        return None if self.baseline is None else median(self.baseline.values)

    @property
    def times_baseline(self) -> float | None:
        """How many times better than the baseline: ratio of the medians; more than 1 is better."""
        if self.baseline_median is None:
            return None
        ratio = self.median / self.baseline_median
        return ratio if self.better == "higher" else 1 / ratio


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return first and third quartile of values, by linear interpolation."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third


@dataclass(frozen=True)
class Result:
    """Everything that one run of a benchmark found."""

    name: str
    command: str
    """Command line that makes this result."""
    about: str = ""
    origin: str = "measured"
    """"measured", or from where figures were copied that no kept output of the command has."""
    revision: str = ""
    """Git revision of the clone; with "+" if files differ from it."""
    date: str = ""
    """Time of the result, ISO 8601, UTC."""
    machine: dict[str, str] = field(default_factory=dict)
    """Processor, cores, memory, and versions of software."""
    measurements: tuple[Measurement, ...] = ()
    tables: tuple[Table, ...] = ()
    statements: tuple[str, ...] = ()
    """Sentences with further figures."""

    def write(self, path: Path) -> None:
        """Write the result as JSON."""
        content = {"format": FORMAT, **asdict(self)}
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def new_result(name: str, command: str, about: str = "", **parts: Any) -> Result:
    """Make a result of this machine, this revision and this moment; `parts` are further fields."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(
        name, command, about, revision=revision(), date=now, machine=machine_facts(), **parts
    )


def read_result(path: Path) -> Result:
    """Read a result.

    Raises:
        ResultError: The file is missing, is no result, or has another version of the format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format")
    except OSError as error:
        raise ResultError(f"{path} can't be read ({error.strerror}): name a result") from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ResultError(f"{path} is no result: name a JSON file of a benchmark") from error
    if found != FORMAT:
        raise ResultError(f"{path} has format {found}, not {FORMAT}: run its command again")
    try:
        measurements = tuple(_measurement(**one) for one in content.pop("measurements"))
        tables = tuple(
            Table(one["title"], tuple(one["columns"]), tuple(map(tuple, one["rows"])))
            for one in content.pop("tables")
        )
        statements = tuple(content.pop("statements"))
        return Result(**content, measurements=measurements, tables=tables, statements=statements)
    except (TypeError, KeyError, ValueError) as error:
        raise ResultError(
            f"{path} is no complete result ({error}): run its command again"
        ) from error


def _measurement(*, values: Sequence[float], baseline: Any, **rest: Any) -> Measurement:
    of = None if baseline is None else Baseline(baseline["name"], tuple(baseline["values"]))
    return Measurement(values=tuple(values), baseline=of, **rest)


def revision() -> str:
    """Return the git revision of the clone, with "+" if files differ; "" if there is no git."""
    words = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def machine_facts() -> dict[str, str]:
    """Describe the machine: processor, cores, memory, and versions of software."""
    facts = {"processor": processor_model(), "cores": str(os.cpu_count())}
    if _MEMINFO.is_file():
        kibibytes = int(_MEMINFO.read_text(encoding="utf-8").split()[1])
        facts["memory"] = f"{kibibytes / 2**20:.0f} GiB"
    facts |= {"system": platform.system(), "Python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            facts[name] = version(package)
        except PackageNotFoundError:  # Labels need no TensorFlow.
            continue
    return facts


def describe(machine: dict[str, str]) -> str:
    """Describe a machine in one line."""
    facts = dict(machine)
    begin = f"{facts.pop('processor', 'unknown')}, {facts.pop('cores', '?')} cores"
    memory = facts.pop("memory", "")
    rest = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "; ".join(filter(None, (f"{begin}, {memory}".rstrip(", "), rest)))
