"""`polynya label` and `polynya import`, on this machine or wherever an engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolabel.importers.registry import KINDS
from autolabel.run import run_import, run_labelling
from polynya.engines.engines import EngineName
from polynya.recipe.overrides import Settings

Scenes = Annotated[
    list[str],
    typer.Option(
        "--scenes",
        metavar="PATTERN...",
        help="Scenes: files, folders, globs or URIs; as many as you like.",
    ),
]
MoreScenes = Annotated[list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)]
"""Further values of --scenes, for example from a glob that the shell expanded."""
Out = Annotated[
    str,
    typer.Option(
        "--out",
        help="Folder for the shards, or s3:// or gs:// URI. A data set of the same recipe that is"
        " already there gets the scenes that it lacks.",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="Recipe: a YAML file or the name of one that ships; default: the default value of"
        " every key.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Remove the old data set first, but no other files."),
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
    int | None, typer.Option(min=1, help="Workers on this machine; default: one per core.")
]
Pictures = Annotated[
    bool,
    typer.Option(
        "--pictures",
        help="Draw an overview picture of each scene into _pictures/ of the shards: the scene, the"
        " filtered scene, the label.",
    ),
]
Retries = Annotated[int, typer.Option(min=0, help="How often to retry a scene that fails.")]


def label(
    scenes: Scenes,
    out: Out,
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    engine: EngineOption = "processes",
    workers: Workers = None,
    retries: Retries = 2,
    pictures: Pictures = False,
) -> None:
    """Label scenes into shards: by colour thresholds, or with rasters of labels that you have."""
    patterns = [*scenes, *(more_scenes or [])]
    run_labelling(
        patterns, out, recipe, overwrite, engine, workers, retries, pictures, settings or ()
    )


Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help=f"Kind of the data set: {', '.join(KINDS)} (docs/import.md).",
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...", help="Folders, files (CSV, npz, scenes), or .zip and .tar archives."
    ),
]


def import_labels(
    kind: Kind,
    sources: Sources,
    out: Out,
    recipe: RecipeFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    engine: EngineOption = "processes",
    workers: Workers = None,
    retries: Retries = 2,
) -> None:
    """Make shards from images and labels that you have, in one of the known forms.

    The recipe says what the classes are, and in its section 'imports' how the files are read.
    """
    run_import(kind, sources, out, recipe, overwrite, engine, workers, retries, settings or ())
