"""`polynya report`: a run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.report.page import make_report
from polynya.errors import OutputError
from polynya.names import printable
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of a model, of maps, of an evaluation, of shards, of a sweep or of a"
        " benchmark; or a folder with several of these, such as runs/demo.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="HTML file to write; default: RUN-report.html beside RUN."),
]
Scenes = Annotated[
    int,
    typer.Option(
        "--scenes",
        min=0,
        help="Scenes to show of each folder of maps, evenly from the worst to the best.",
    ),
]


def report(run: Run, out: Out = None, scenes: Scenes = 6) -> None:
    """Show a run as one HTML page that needs no network: scenes, places, scores, curves, recipe.

    What the folders hold is recognised by the files in them. All numbers come from these files; the
    page says where they contradict each other, and which parts are missing or damaged.
    """
    whole = run.absolute()
    page = (out or whole.with_name(f"{whole.name}-report.html")).absolute()
    if page.is_dir():
        raise OutputError(f"{printable(page)} is a folder; give the name of an HTML file as --out.")
    text = make_report(run, scenes)
    make_folder(page.parent)
    write_text(page, text)
    typer.echo(f"{len(text.encode()) / 1e6:.1f} MB; open {printable(page)}")
