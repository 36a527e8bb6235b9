"""Compare two results of the same benchmark: what got better, what got worse.

python -m benchmarks.compare benchmarks/results/short.json runs/bench/suite/short.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmarks.common.report import table_of
from benchmarks.common.results import Measurement, Result, ResultError, describe, read_result
from polynya.cli import run_script
from polynya.report.tables import Table

LEAST_CHANGE = 0.15
"""Smallest change of a median, as a share of the old one, that counts."""

Verdict = Literal["worse", "better", "same", "only old", "only new"]


@dataclass(frozen=True)
class Change:
    """A measurement in two results."""

    name: str
    old: Measurement | None
    new: Measurement | None
    verdict: Verdict

    @property
    def change(self) -> float | None:
        """Change of the median as a share of the old one; None if one of them is missing."""
        if self.old is None or self.new is None:
            return None
        return self.new.median / self.old.median - 1


def compare_results(old: Result, new: Result, least: float = LEAST_CHANGE) -> list[Change]:
    """Compare the measurements of two results, in the order of the old one.

    A change counts if the medians differ by at least `least` of the old one, and if the ranges
    between first and third quartile do not overlap.

    Raises:
        ResultError: The results are of different benchmarks or have no measurements.
    """
    if old.name != new.name:
        raise ResultError(
            f"the results are of different benchmarks ({old.name}, {new.name}): compare two of one"
        )
    olds, news = ({one.name: one for one in result.measurements} for result in (old, new))
    if not olds or not news:
        raise ResultError("a result has no measurements: name results of benchmarks.suite")
    names = dict.fromkeys([*olds, *news])
    pairs = [(name, olds.get(name), news.get(name)) for name in names]
    return [Change(name, a, b, _verdict(a, b, least)) for name, a, b in pairs]


def _verdict(old: Measurement | None, new: Measurement | None, least: float) -> Verdict:
    if old is None:
        return "only new"
    if new is None:
        return "only old"
    (old_low, old_high), (new_low, new_high) = old.spread, new.spread
    if old_low <= new_high and new_low <= old_high:
        return "same"
    # A limit of 15 % is reached at 15 %, whatever binary fractions make of it.
    if abs(new.median - old.median) < (least - 1e-9) * abs(old.median):
        return "same"
    return "better" if (new.median > old.median) == (new.better == "higher") else "worse"


def changes_table(changes: Sequence[Change]) -> Table:
    """One row for each measurement: medians, quartiles, change and verdict."""

    def shown(one: Measurement | None) -> str:
        if one is None:
            return ""
        low, high = one.spread
        return f"{one.median:.4g} ({low:.4g} to {high:.4g})"

    def change(one: Change) -> str:
        return "" if one.change is None else f"{100 * one.change:+.1f}"

    def unit(one: Change) -> str:
        measurement = one.old or one.new
        return measurement.unit if measurement else ""

    return table_of(
        "Medians (quartiles)",
        changes,
        {
            "what": lambda one: one.name,
            "unit": unit,
            "old": lambda one: shown(one.old),
            "new": lambda one: shown(one.new),
            "change %": change,
            "verdict": lambda one: one.verdict,
        },
    )


def compare(
    old: Annotated[Path, typer.Argument(help="Result to compare with (JSON).")],
    new: Annotated[Path, typer.Argument(help="Newer result of the same benchmark (JSON).")],
    least: Annotated[
        float,
        typer.Option(min=0, help="Smallest change that counts, as a share of the old median."),
    ] = LEAST_CHANGE,
) -> None:
    """Compare two results of one benchmark; the exit code is 1 if something got worse.

    A change counts if the medians differ by at least --least, and the ranges between the quartiles
    of the repeats do not overlap. Times of two machines, or of a busy and a quiet one, say nothing.
    """
    before, after = read_result(old), read_result(new)
    changes = compare_results(before, after, least)
    changes_table(changes).print()
    if before.machine != after.machine:
        machines = describe(before.machine), describe(after.machine)
        typer.echo("The machines or versions differ:\n  old: {}\n  new: {}".format(*machines))
    counts = {
        verdict: sum(one.verdict == verdict for one in changes) for verdict in ("worse", "better")
    }
    missing = sum(one.verdict == "only old" for one in changes)
    typer.echo(
        f"{len(changes)} measurements: {counts['worse']} worse, {counts['better']} better,"
        f" {missing} missing in the new result"
    )
    if counts["worse"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(compare)
