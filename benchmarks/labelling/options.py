"""Options of the labelling benchmark's commands, and the folders that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.report import Report
from benchmarks.labelling.measured.programs import BenchMethod
from polynya.storage.files import output_folder

DISPATCH_FILE = "dispatch.json"
"""Name of the file with the seconds in which the driver sends a task."""

ScenesOption = Annotated[int, typer.Option(min=2, help="Scenes to label.")]
SizeOption = Annotated[int, typer.Option(min=64, help="Height and width of a scene in pixels.")]
LargeOption = Annotated[int, typer.Option(min=64, help="Height and width of the scene.")]
TileOption = Annotated[int, typer.Option(min=16, help="Height and width of a tile in pixels.")]
MethodOption = Annotated[BenchMethod, typer.Option(help="Filter of Polynya's job.")]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder that keeps the scenes; default: data in --out.")
]


def data_folder(report: Report, data: Path | None) -> Path:
    """Return the folder that keeps the scenes."""
    return data or report.folder / "data"


def work_folder(report: Report) -> Path:
    """Return an existing folder for the files that runs write."""
    return output_folder(report.folder / "work")


def costs_file(report: Report, kind: str, engine: str) -> Path:
    """Return the file of an engine's unit costs; `kind` is the command, 'scale' or 'large'."""
    return report.folder / f"costs-{kind}-{engine.replace(' ', '-')}.json"
