"""`polynya doctor`: shows which tasks this machine is ready for, and how to fix the others.

A task is ready if a small version of it could be started, with the command of a user and in the
user's environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from polynya.doctor.components import Check, all_checks
from polynya.doctor.starts import TASKS, Answer, answers_of
from polynya.errors import EXIT_CODE, PolynyaError
from polynya.progress import print_table

_STYLES = {"not ready": "red", "missing": "red", "not installed": "yellow", "optional": "yellow"}
_STYLES |= dict.fromkeys(("ready", "installed", "ok"), "green")


def doctor(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASK...]",
            help=f"Tasks that you want to do: {', '.join(TASKS)}; default: all installed tasks.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only check what is installed, and start nothing.")
    ] = False,
) -> None:
    """Show which tasks this machine is ready for, and how to fix the others."""
    asked = tasks or []
    unknown = [name for name in asked if name not in TASKS]
    if unknown:
        raise PolynyaError(f"There is no task {unknown[0]}; the tasks are: {', '.join(TASKS)}.")
    checks = all_checks()
    _print_components(checks)
    answers = answers_of(asked or list(TASKS), checks, start=not quick)
    if not asked:
        # A task that is not installed is not wanted, except labelling, which everybody needs.
        wanted = {n: a for n, a in answers.items() if a.state != "not installed" or n == "label"}
    else:
        wanted = answers
    _print_tasks(answers)
    typer.echo(_verdict(wanted, answers, quick))
    if any(not answer.good for answer in wanted.values()):
        raise typer.Exit(EXIT_CODE)


def _verdict(wanted: Mapping[str, Answer], answers: Mapping[str, Answer], quick: bool) -> str:
    bad = [name for name, answer in wanted.items() if not answer.good]
    good = ", ".join(name for name in wanted if name not in bad)
    absent = ", ".join(name for name in answers if name not in wanted)
    rest = f" Not installed: {absent}." if absent else ""
    if bad:
        also = f"; ready: {good}" if good and not quick else ""
        return f"Not ready: {', '.join(bad)}{also}. Run the command beside each.{rest}"
    if quick:
        return f"Installed, but not started: {good}.{rest}"
    return f"Ready: {good}.{rest}"


def _print_components(checks: Mapping[str, Check]) -> None:
    rows = []
    for name, check in checks.items():
        needed = any(name in task.needs for task in TASKS.values())
        state = "ok" if check.ok else "missing" if needed else "optional"
        rows.append((name, state, check.found, "" if check.ok else check.remedy))
    _print(("", "state", "found", "to fix it, run"), rows)


def _print_tasks(answers: Mapping[str, Answer]) -> None:
    rows = [
        (name, TASKS[name].title, ", ".join(TASKS[name].needs), a.state, a.found, a.remedy)
        for name, a in answers.items()
    ]
    _print(("task", "", "needs", "state", "started, or what is wrong", "to fix it, run"), rows)


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    print_table(table)
