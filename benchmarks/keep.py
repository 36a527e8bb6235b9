"""Keep a result for README and docs, in `benchmarks/results`.

python -m benchmarks.keep short runs/bench/suite/short.json
python -m benchmarks.keep demo runs/demo/evaluation/accuracy.md --command "make demo"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.pages import tables_of
from benchmarks.common.results import (
    KEPT,
    Result,
    ResultError,
    machine_facts,
    read_result,
)
from polynya.cli import run_script
from polynya.storage.files import output_folder
from polynya.storage.ledger import compact
from polynya.storage.locks import locked


def result_of_page(name: str, path: Path, command: str) -> Result:
    """Make a result of the tables on a page that a command of Polynya wrote on this machine.

    Raises:
        ResultError: The page can't be read or has no table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path} can't be read: name a result or a page of tables") from error
    tables = tables_of(text)
    if not tables:
        raise ResultError(f"{path} has no table: name a result or a page of tables")
    return Result(
        name,
        command,
        date=written.isoformat(timespec="seconds"),
        machine=machine_facts(),
        tables=tables,
    )


def merged(name: str, results: Sequence[Result]) -> Result:
    """Return one result with all tables and measurements; the rest is that of the first."""
    if len(results) == 1:
        # The benchmark keeps its own name, because results of one benchmark are compared.
        return results[0]
    first = results[0]
    return replace(
        first,
        name=name,
        command="; ".join(dict.fromkeys(one.command for one in results)),
        about=" ".join(one.about for one in results),
        measurements=tuple(m for one in results for m in one.measurements),
        tables=tuple(table for one in results for table in one.tables),
    )


def keep(
    name: Annotated[str, typer.Argument(help="Name that documents cite: small letters, 0-9, -.")],
    sources: Annotated[
        list[Path], typer.Argument(help="Results of benchmarks (.json), or pages of tables (.md).")
    ],
    command: Annotated[
        str, typer.Option(help="Command that wrote the pages; results know theirs.")
    ] = "",
    folder: Annotated[Path, typer.Option(help="Folder of kept results.")] = KEPT,
) -> None:
    """Keep a result under a name, so that README and docs can cite it; see CONTRIBUTING.md.

    Several sources become one result, for figures that a document shows together.
    """
    if not re.fullmatch("[a-z0-9-]+", name):
        raise ResultError(f'"{name}" is no name for a result: use small letters, 0-9 and -')
    found = []
    for source in sources:
        if source.suffix != ".md":
            found.append(read_result(source))
        elif command:
            found.append(result_of_page(name, source, command))
        else:
            raise ResultError(f"a page doesn't say what wrote it: give --command for {source}")
    result = merged(name, found)
    with locked(output_folder(folder)):
        replace(result, command=command or result.command).write(folder / f"{name}.json")
        compact(folder)
    typer.echo(f"Kept: {folder / name}.json")


if __name__ == "__main__":
    run_script(keep)
