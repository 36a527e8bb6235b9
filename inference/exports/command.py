"""`polynya export`: labels of shards as a data set of another program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from inference.exports.exporter import Source
from inference.exports.registry import KINDS, find_exporter
from polynya.attempt import Failure, attempt
from polynya.errors import ScenesFailedError, failed_of
from polynya.progress import console, track
from polynya.recipe.recipe import load_recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.shards.manifest import SceneResult, read_manifest
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import remove_ours


def export(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"What is written: {', '.join(KINDS)}.")
    ],
    shards: Annotated[
        str, typer.Argument(metavar="SHARDS", help="Folder or URI of labelled tiles.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the data set.")],
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="For gym: recipe of the split; default: that of the shards."),
    ] = None,
) -> None:
    """Write labels of shards as a data set of another program (docs/import.md).

    The same command later replaces what it wrote, and removes files of its own that are out of
    date.
    """
    exporter = find_exporter(kind)
    data = open_shards(shards)
    rows = tuple(row for row in read_manifest(data.folder) if row.scene_id in data.files)
    source = Source(data, data.recipe if recipe is None else load_recipe(recipe), rows)
    data.check_scheme(source.recipe.classes)
    read = exporter.load(source)
    failures: list[str] = []
    with open_output(out, "export") as folder:
        written = exporter.write(folder, _parts(rows, read, failures), source)
        if not failures:
            remove_ours(folder, kept=written)
    if not exporter.keeps_nodata and data.classes.has_masks:
        _warn_of_nodata(data, rows)
    typer.echo(f"{len(written)} files of {len(rows) - len(failures)} images: {out}")
    for reason in failures:
        console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)
    if failures:
        raise ScenesFailedError(f"{failed_of(len(failures), len(rows))}; the reasons are above.")


def _parts(
    scenes: tuple[SceneResult, ...],
    read: Callable[[SceneResult], Iterator[Any]],
    failures: list[str],
) -> Iterator[Any]:
    """Parts of all scenes as they are read; a scene that can't be read becomes a failure."""
    for scene in track(scenes, "Exporting"):
        parts = read(scene)
        while (part := attempt(partial(next, parts, None), scene.uri, "exported")) is not None:
            if isinstance(part, Failure):
                failures.append(part.reason)
                break
            yield part


def _warn_of_nodata(data: ShardSet, rows: tuple[SceneResult, ...]) -> None:
    ids = [row.scene_id for row in rows]
    pixels = sum(row.height * row.width for row in rows)
    unlabelled = pixels - data.class_counts(ids)[1]
    if unlabelled > 0:
        console.print(
            f"Warning: {unlabelled:,} pixels without a label are under no mask now, because this"
            " kind can't tell them apart",
            style="yellow",
            soft_wrap=True,
        )
