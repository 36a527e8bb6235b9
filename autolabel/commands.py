"""`polynya label`: labelling on this machine, or wherever an engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolabel.run import run_labelling
from polynya.engines.engines import EngineName

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
Out = Annotated[
    str,
    typer.Option(
        "--out",
        help="Folder for the shards, or s3:// or gs:// URI. One of the same recipe that is there"
        " already gets what it lacks.",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="Recipe: a YAML file or the name of one that ships; default: all of its defaults.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Remove the data set that is there, and only that."),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="Who does the work: here (this process), processes (this machine), spark (where"
        " spark-submit says, else this machine), mpi (ranks of mpirun -n N python -m"
        " mpi4py.futures ...).",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Workers on this machine; default: one a core.")
]
Pictures = Annotated[
    bool,
    typer.Option(
        "--pictures",
        help="Draw an overview picture of each scene into _pictures/ of the shards: the scene, what"
        " the filter leaves, the label.",
    ),
]
Retries = Annotated[int, typer.Option(min=0, help="Times that a scene that fails is tried again.")]


def label(
    scenes: Scenes,
    out: Out,
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    overwrite: Overwrite = False,
    engine: EngineOption = "processes",
    workers: Workers = None,
    retries: Retries = 2,
    pictures: Pictures = False,
) -> None:
    """Label scenes into shards: by colour thresholds, or with rasters of labels that you have."""
    patterns = [*scenes, *(more_scenes or [])]
    run_labelling(patterns, out, recipe, overwrite, engine, workers, retries, pictures)
