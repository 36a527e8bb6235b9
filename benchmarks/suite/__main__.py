"""Command line of `make bench`: `python -m benchmarks.suite --help`."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks.common.cli import make_app, names_of
from benchmarks.common.report import Report, table_of
from benchmarks.common.results import Measurement
from benchmarks.suite.parts import PARTS, Part
from benchmarks.suite.pictures import draw_beside_paper
from polynya.errors import PolynyaError
from polynya.report.tables import Table

_ABOUT = (
    "Medians of the repeats, and their quartiles. *Baseline* was measured in the same run, in turn"
    " with Polynya; *times better* is the ratio of the medians. The paper's figures come from other"
    " machines and other scenes."
)


def suite(
    report: Report,
    full: Annotated[
        bool, typer.Option("--full", help="Full sizes, over an hour; default: a few minutes.")
    ] = False,
    parts: Annotated[
        str, typer.Option(help=f"Names, separated by commas; default: all of {', '.join(PARTS)}.")
    ] = "",
) -> None:
    """Measure every part against its baseline, and show it beside the paper's figures.

    Results are in --out: short.json or full.json, with a page (.md) and a picture (.png). Compare
    two of them by `python -m benchmarks.compare OLD.json NEW.json`.
    """
    chosen = [PARTS[name] for name in names_of(parts, "part", list(PARTS))]
    name = "full" if full else "short"
    found: list[Measurement] = []
    tables, failed = dict[str, Table](), []
    costs: list[tuple[Part, float, float]] = []
    for number, part in enumerate(chosen):
        typer.echo(f"== {number + 1}/{len(chosen)} {part.title}", err=True)
        wall, cpu = time.monotonic(), _cpu_s()
        try:
            measured = part.measure(not full, report.folder)
        except PolynyaError as error:
            typer.echo(f"Error: part {part.name}: {error}", err=True)
            failed.append(part.name)
            continue
        costs.append((part, time.monotonic() - wall, _cpu_s() - cpu))
        found += measured
        tables[f"{name}-{part.name}"] = measurements_table(part.title, measured)
        tables[f"{name}-costs"] = costs_table(costs)
        # After each part, so that a run that is cut leaves what it has.
        _write(report, name, tables, found)
    if found:
        for table in tables.values():
            table.print()
        draw_beside_paper(report.folder / f"{name}.png", found)
        typer.echo(f"Result, page and picture: {report.folder / name}.json, .md, .png")
    if failed:
        raise PolynyaError(
            f"{len(failed)} parts have no figures ({', '.join(failed)}): fix what they say above,"
            f" then run them alone with --parts {','.join(failed)}"
        )


def _write(
    report: Report, name: str, tables: dict[str, Table], found: Sequence[Measurement]
) -> None:
    report.write(name, "Benchmarks", _ABOUT, tables, measurements=found, printed=False)


def measurements_table(title: str, measurements: Sequence[Measurement]) -> Table:
    """Median, quartiles, baseline, ratio and the paper's figure: one row for each measurement."""

    def name(one: Measurement) -> str:
        return one.name.partition(": ")[2] + (f", {one.unit}" if one.unit else "")

    def times(one: Measurement) -> str:
        return "" if one.times_baseline is None else f"{one.times_baseline:.2f}"

    return table_of(
        title,
        measurements,
        {
            "what": name,
            "median": lambda one: number_of(one.median),
            "quartiles": lambda one: " to ".join(map(number_of, one.spread)),
            "repeats": lambda one: str(len(one.values)),
            "baseline": lambda one: one.baseline.name if one.baseline else "",
            "its median": lambda one: number_of(one.baseline_median),
            "times better": times,
            "paper": lambda one: number_of(one.paper),
        },
    )


def number_of(value: float | None) -> str:
    """Write a number with three significant digits, all digits before the point; "" for None."""
    if value is None:
        return ""
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def costs_table(costs: Sequence[tuple[Part, float, float]]) -> Table:
    """Wall and processor seconds of each part, and of all."""
    rows = [(part.name, f"{wall:.0f}", f"{cpu:.0f}") for part, wall, cpu in costs]
    walls, cpus = (sum(row[i] for row in costs) for i in (1, 2))  # type: ignore[misc]
    rows.append(("all", f"{walls:.0f}", f"{cpus:.0f}"))
    return Table("What the parts took", ("part", "wall s", "CPU s"), tuple(rows))


def _cpu_s() -> float:
    """Processor seconds of this process and of all children that were waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


app = make_app("suite", default=suite)

if __name__ == "__main__":
    app()
