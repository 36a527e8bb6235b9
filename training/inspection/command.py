"""`polynya inspect`: a page about labelled tiles, and a list of tiles to leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polynya.errors import OutputError, ShardError
from polynya.progress import console
from polynya.recipe.split import SplitOptions
from polynya.report.tables import Table
from polynya.shards.dataset import ShardSet, open_shards
from polynya.shards.dropped import (
    DROPPED_FILE,
    Dropped,
    read_dropped,
    restore_dropped,
    write_dropped,
)
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder
from training.inspection.checks.registry import CHECKS, find_checks
from training.inspection.page.page import make_page
from training.inspection.survey import Survey, drop_list, survey

Shards = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Folder or URI of a data set of labelled tiles.")
]
More = Annotated[list[str] | None, typer.Argument(metavar="[FINDING...]", hidden=True)]
"""Further values of --drop."""
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="HTML file to write; default: SHARDS-inspection.html beside SHARDS."
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="FINDING...",
        help="Leave the tiles of these findings out of trainings from now on. Shards are not"
        f" changed: {DROPPED_FILE} beside them lists the tiles. Findings:"
        f" {', '.join(check.name for check in CHECKS)}.",
    ),
]
Restore = Annotated[
    bool, typer.Option("--restore", help="First bring back all tiles that were dropped before.")
]
Samples = Annotated[int, typer.Option("--samples", min=0, help="Tiles to show on the page.")]

SplitFile = Annotated[
    Path | None,
    typer.Option("--split", help="File of `polynya split`; default: the split of the recipe."),
]
Fold = Annotated[int | None, typer.Option("--fold", min=0, help="Fold of the file that validates.")]


def inspect(
    shards: Shards,
    more: More = None,
    out: Out = None,
    drop: Drop = None,
    restore: Restore = False,
    samples: Samples = 8,
    split: SplitFile = None,
    fold: Fold = None,
) -> None:
    """Show what is in labelled tiles and what is wrong with them, as one HTML page."""
    if more and not drop:
        raise ShardError(f"{more[0]}: one data set at a time; findings go after --drop.")
    checks = find_checks([*(drop or []), *(more or [])])
    every = open_shards(shards, with_dropped=True)
    page = out or _beside(every)
    if page.is_dir():
        raise OutputError(f"{page} is a folder; give the name of an HTML file as --out.")
    if restore and restore_dropped(every.folder):
        typer.echo(f"All tiles of {every.folder} are back.")
    before = read_dropped(every.folder)
    if fold is not None and split is None and every.recipe.split.file is None:
        raise ShardError("--fold is a fold of a split's file; name the file with --split.")
    options = _split_options(every, split, fold)
    found = survey(open_shards(every.folder), split=options)
    new = drop_list(found, checks)
    after = Dropped((*before.tiles, *new), before.manifest)
    if new:
        write_dropped(every.folder, after.tiles)
    make_folder(page.absolute().parent)
    write_text(page.absolute(), make_page(found, after, samples, is_new=bool(new)))
    _tell(found)
    if new:
        typer.echo(f"Left out: {Dropped(tuple(new)).describe()}, see {every.folder}/{DROPPED_FILE}")
    elif checks:
        console.print("Nothing to drop: there are no such tiles.")
    typer.echo(f"{len(found.facts.places)} tiles looked at; open {page}")


def _split_options(data: ShardSet, file: Path | None, fold: int | None) -> SplitOptions:
    """Find the split to show: the recipe's, but for what the command says."""
    options = data.recipe.split
    if file is None and options.file is not None and not Path(options.file).exists():
        # Tiles are looked at before they are split.
        console.print(
            f"The split {options.file} of the recipe isn't there, so none is shown; 'polynya"
            " split' makes it.",
            markup=False,
            soft_wrap=True,
        )
        return SplitOptions(validation=0)
    changes = {"file": None if file is None else str(file), "fold": fold}
    known = {key: value for key, value in changes.items() if value is not None}
    return options.model_copy(update=known)


def _beside(data: ShardSet) -> Path:
    """Page beside shards on a disk; for shards in a store, in the working folder."""
    place = Path(f"{data.folder}-inspection.html")
    return place if data.folder.is_local else Path(place.name)


def _tell(found: Survey) -> None:
    rows = [
        (finding.check.name, f"{len(finding.found):,}", finding.check.title)
        for finding in found.findings
    ]
    if rows:
        Table("Findings", ("Finding", "Count", "What"), tuple(rows)).print()
    else:
        typer.echo("No findings.")
