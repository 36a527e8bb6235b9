"""`polynya label`: labelling on this machine, without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolabel.run import processes, run_labelling

Scenes = Annotated[
    list[str],
    typer.Option(
        "--scenes",
        metavar="PATTERN...",
        help="Scenes: files, folders, globs or URIs; as many as you like.",
    ),
]
MoreScenes = Annotated[list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)]
"""What follows the first value of --scenes, as when the shell expands a glob."""
Out = Annotated[Path, typer.Option("--out", help="Folder for the shards.")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="Recipe (YAML); default: all of its defaults.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace finished shards.")]


def label(
    scenes: Scenes,
    out: Out,
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    overwrite: Overwrite = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
) -> None:
    """Label scenes by colour thresholds into shards, on this machine."""
    patterns = [*scenes, *(more_scenes or [])]
    run_labelling(patterns, out, recipe, overwrite, processes(workers))
