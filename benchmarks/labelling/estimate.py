"""Time and money of many scenes on many executors: the command and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks.common.cli import numbers_of
from benchmarks.common.report import Report, table_of
from benchmarks.common.scenes import LARGE_SIZE
from benchmarks.labelling.options import DISPATCH_FILE, LargeOption, costs_file
from benchmarks.labelling.simulation.costs import Costs
from benchmarks.labelling.simulation.estimate import Estimate, Place, estimate_run
from polynya.errors import PolynyaError
from polynya.recipe.recipe import Recipe
from polynya.report.tables import Table


class NoCostsError(PolynyaError):
    """Unit costs have not been measured."""


def estimate(
    report: Report,
    place: Place,
    counts: Annotated[str, typer.Option(help="Numbers of scenes.")] = "10000,1000000",
    executors: Annotated[str, typer.Option(help="Numbers of executors.")] = "10,100,1000",
    size: LargeOption = LARGE_SIZE,
) -> None:
    """Estimate time and money of many scenes on many executors, from the costs of `scale`."""
    file, dispatch = costs_file(report, "large", "spark local"), report.folder / DISPATCH_FILE
    if not file.is_file() or not dispatch.is_file():
        raise NoCostsError(
            f"{file} or {dispatch} is missing; measure them first: python -m benchmarks.labelling"
            f" scale --out {report.folder}, and the same with 'large'"
        )
    costs, dispatch_s = Costs.load(file), float(dispatch.read_text(encoding="utf-8"))
    estimates = [
        estimate_run(scenes, number, size, Recipe(), costs, place, dispatch_s=dispatch_s)
        for scenes in numbers_of(counts)
        for number in numbers_of(executors)
    ]
    about = (
        f"Scenes of {size} x {size} pixels, the default recipe. Costs of the work are from"
        f" {file.name} and {dispatch.name}; sizes, speeds and prices are options: {place}."
    )
    tables = {"estimate": estimate_table(estimates), "estimate_limits": limits_table(estimates)}
    report.write("estimate", "Many scenes on many executors", about, tables)


def estimate_table(estimates: Sequence[Estimate]) -> Table:
    """Hours, money and the resource that saturates first."""
    return table_of(
        "Time and money",
        estimates,
        {
            "scenes": lambda e: f"{e.scenes:,}",
            "executors": lambda e: f"{e.executors:,}",
            "hours": lambda e: f"{e.hours:.2f}",
            "saturates first": lambda e: e.first_limit,
            "% of the time": lambda e: f"{100 * e.limits[e.first_limit] / e.hours:.0f}",
            "executors $": lambda e: f"{e.money['executors']:.2f}",
            "driver $": lambda e: f"{e.money['driver']:.2f}",
            "requests $": lambda e: f"{e.money['requests']:.2f}",
            "egress $": lambda e: f"{e.money['egress']:.2f}",
            "all $": lambda e: f"{e.total_money:.2f}",
        },
    )


def limits_table(estimates: Sequence[Estimate]) -> Table:
    """Hours that each resource alone would need."""
    names = list(estimates[0].limits)
    rows = [
        (f"{e.scenes:,}", f"{e.executors:,}", *(f"{e.limits[name]:.2f}" for name in names))
        for e in estimates
    ]
    return Table("Hours of each resource alone", ("scenes", "executors", *names), tuple(rows))
