"""`polynya look`: pictures and counts of the tiles in a data set of shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from autolabel.label_pictures import (
    Mosaic,
    describe,
    picture_name,
    scene_mosaic,
    tile_picture,
    title_of,
)
from polynya.attempt import Failure, attempt
from polynya.errors import ScenesFailedError, ShardError
from polynya.names import printable
from polynya.progress import console, track
from polynya.report.pictures import draw_panels
from polynya.shards.dataset import RowGroup, ShardSet, StoredTile, open_shards
from polynya.shards.manifest import SceneResult, read_manifest
from polynya.storage.output_folder import make_folder, open_output

TILES_FILE = "tiles.png"
_COLUMNS = 8
"""Panels in a row of the sheet; each tile has two, its image and its label."""

Shards = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Folder or URI that 'polynya label' has filled.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the pictures; default: SHARDS-pictures, beside SHARDS."),
]
Scenes = Annotated[
    list[str] | None,
    typer.Option("--scenes", metavar="ID...", help="Scenes to look at; default: all."),
]
MoreScenes = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", hidden=True)]
Count = Annotated[
    int,
    typer.Option(
        "--count",
        min=1,
        help="Tiles on the sheet; without --scenes also the most scenes that are drawn.",
    ),
]


def look(
    shards: Shards,
    more_scenes: MoreScenes = None,
    out: Out = None,
    scenes: Scenes = None,
    count: Count = 16,
) -> None:
    """Draw labelled scenes and tiles from shards, and count their classes."""
    data = open_shards(shards, with_dropped=True)
    wanted = [*(scenes or []), *(more_scenes or [])]
    rows = _rows_of(data, wanted)
    drawn = rows if wanted else rows[:count]
    folder = make_folder(out or _beside(data)).absolute()
    failed: list[str] = []
    with open_output(folder, "pictures"):
        for row in track(drawn, "Drawing scenes", len(drawn)):
            done = attempt(partial(_draw_scene, data, row, folder), row.scene_id, "drawn")
            if isinstance(done, Failure):
                failed.append(done.reason)
                _say_failed(done.reason)
            else:
                typer.echo(printable(f"{row.scene_id}: {describe(done, data.classes)}"))
        sheet = attempt(partial(_draw_tiles, data, rows, folder, count), TILES_FILE, "drawn")
        if isinstance(sheet, Failure):
            failed.append(sheet.reason)
            _say_failed(sheet.reason)
    typer.echo(_totals(data, rows))
    typer.echo(
        f"{len(drawn)} scenes looked at, {len(failed)} pictures failed; they are in {folder}"
    )
    if failed:
        raise ScenesFailedError(
            f"{len(failed)} pictures could not be drawn, the reasons are above; the others are"
            " done."
        )


def _rows_of(data: ShardSet, wanted: Sequence[str]) -> list[SceneResult]:
    rows = {row.scene_id: row for row in read_manifest(data.folder) if row.file_names}
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise ShardError(
            f"{data.folder} has no tiles of a scene {unknown[0]}; it has tiles of"
            f" {', '.join(list(rows)[:5])}{' ...' if len(rows) > 5 else ''}."
        )
    return [rows[name] for name in dict.fromkeys(wanted or rows)]


def _beside(data: ShardSet) -> Path:
    """Return the default folder for pictures.

    It lies beside the shards on a disk. For shards in a store it lies in the working folder.
    """
    place = Path(f"{data.folder}-pictures")
    return place if data.folder.is_local else Path(place.name)


def _draw_scene(data: ShardSet, row: SceneResult, folder: Path) -> Mosaic:
    mosaic = scene_mosaic(data, row)
    panels = [("Scene in the shards", mosaic.image), ("Label", mosaic.label)]
    target = folder / Path(picture_name(row.scene_id)).name
    draw_panels(target, panels, data.classes, title_of(row.scene_id, mosaic, data.classes))
    return mosaic


def _draw_tiles(data: ShardSet, rows: Sequence[SceneResult], folder: Path, count: int) -> None:
    """Draw a sheet of tiles, chosen evenly from all tiles, each beside its label."""
    groups = data.row_groups([row.scene_id for row in rows])
    total = sum(group.tiles for group in groups)
    wanted = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    panels = []
    for tile in _chosen(data, groups, set(wanted.tolist())):
        panels.append(
            (f"{tile.scene_id[:24]}\nrow {tile.row}, col {tile.col}", tile_picture(tile, data))
        )
        panels.append(("label", tile.label))
    title = f"{len(wanted)} of {total} tiles in {data.folder.place.rpartition('/')[2]}"
    draw_panels(folder / TILES_FILE, panels, data.classes, title, min(_COLUMNS, len(panels)))


def _chosen(data: ShardSet, groups: Sequence[RowGroup], wanted: set[int]) -> list[StoredTile]:
    """Read tiles by their numbers over all groups; skip groups without a wanted tile."""
    tiles = []
    first = 0
    for group in groups:
        inside = {number - first for number in wanted if first <= number < first + group.tiles}
        if inside:
            tiles += [t for number, t in enumerate(data.tiles([group])) if number in inside]
        first += group.tiles
    return tiles


def _totals(data: ShardSet, rows: Sequence[SceneResult]) -> str:
    """Return the shares of the classes in the tiles of scenes."""
    # From the shards: the manifest doesn't count the pixels that are labelled as under no mask.
    counts, labelled = data.class_counts([row.scene_id for row in rows])
    shares = ", ".join(
        f"{title} {pixels / max(labelled, 1):.1%}"
        for title, pixels in zip(data.classes.titles, counts.tolist(), strict=True)
    )
    tiles = sum(row.labelled for row in rows)
    of = "labelled pixels are under" if data.classes.has_masks else "labelled pixels"
    return f"{len(rows)} scenes with {tiles} tiles; of their {of}: {shares}"


def _say_failed(reason: str) -> None:
    console.print(f"Failed: {printable(reason)}", style="red", markup=False, soft_wrap=True)
