"""`polynya label-next`: which tiles of unlabelled scenes to label next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from inference.predict.opening import open_for_model
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, ScenesFailedError, failed_of
from polynya.progress import console, track
from polynya.report.tables import Table, write_table
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import check_free

if TYPE_CHECKING:
    from inference.studies.uncertainty import TileDoubt
    from training.model_folder.folder import TrainedModel

COLUMNS = (
    *("rank", "scene_id", "row", "col", "height", "width", "valid_share"),
    *("entropy", "disagreement", "uri"),
)
_SHOWN = 10
"""Number of scenes in the table on the terminal."""


def label_next(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model or ensemble.")],
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="Files, folders, globs or URIs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Table of tiles (CSV), most useful first.")],
    min_valid: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of pixels with data in a tile.")
    ] = 0.5,
) -> None:
    """Rank tiles of unlabelled scenes: those first that the model would learn most from.

    The measure is the mean entropy of a model, or the disagreement of the models of an ensemble.
    """
    from inference.predict.predict import open_model
    from inference.studies.uncertainty import members_of

    opened = open_model(model)
    members, weights = members_of(opened)
    refs = find_scenes(scenes, opened.recipe.companions)
    if not refs:
        raise SceneError(f"No scene among {', '.join(scenes)}; check the patterns.")
    make_folder(out.parent)
    check_free([out])
    tiles: list[TileDoubt] = []
    failed = 0
    for ref in track(refs, "Measuring scenes"):
        found = attempt(partial(_measure, ref, members, weights), ref.uri, "measured")
        if isinstance(found, Failure):
            failed += 1
            console.print(f"Failed: {found.reason}", style="red", markup=False, soft_wrap=True)
        else:
            tiles += [tile for tile in found if tile.valid_share >= min_valid]
    ranked = rank_tiles(tiles)
    if ranked:
        write_table(out, list(COLUMNS), map(_row, range(1, len(ranked) + 1), ranked))
        scene_table(ranked).print()
        typer.echo(f"{len(ranked)} tiles, most useful first: {out}")
    if failed:
        raise ScenesFailedError(f"{failed_of(failed, len(refs))}; the reasons are above.")
    if not ranked:
        raise SceneError(
            f"No tile of these scenes has data on a share of {min_valid:g} of its pixels; give"
            " other scenes, or a smaller --min-valid."
        )


def _measure(
    ref: SceneRef, members: Sequence[TrainedModel], weights: Sequence[float]
) -> list[TileDoubt]:
    from inference.studies.uncertainty import tile_doubts

    return tile_doubts(members, weights, open_for_model(ref, members[0].recipe))


def usefulness(tile: TileDoubt) -> float:
    """Disagreement of an ensemble, entropy of a single model."""
    return tile.entropy if tile.disagreement is None else tile.disagreement


def rank_tiles(tiles: Sequence[TileDoubt]) -> list[TileDoubt]:
    """Sort tiles by usefulness, greatest first; equal ones by scene, row and column."""
    return sorted(tiles, key=lambda t: (-usefulness(t), t.scene_id, t.row, t.col))


def scene_table(tiles: Sequence[TileDoubt]) -> Table:
    """Table of the scenes with the greatest mean usefulness of their tiles.

    Args:
        tiles: Tiles of all scenes, all of one kind of model.
    """
    by_scene: dict[str, list[float]] = {}
    for tile in tiles:
        by_scene.setdefault(tile.scene_id, []).append(usefulness(tile))
    means = sorted((-float(np.mean(values)), scene) for scene, values in by_scene.items())
    measure = "entropy" if tiles[0].disagreement is None else "disagreement"
    rows = [
        (scene, str(len(by_scene[scene])), f"{-mean:.4g}", f"{max(by_scene[scene]):.4g}")
        for mean, scene in means[:_SHOWN]
    ]
    title = f"Scenes to label next ({len(rows)} of {len(by_scene)})"
    return Table(title, ("scene", "tiles", f"mean {measure}", "greatest"), tuple(rows))


def _row(rank: int, tile: TileDoubt) -> dict[str, str]:
    cells = {column: str(getattr(tile, column, "")) for column in COLUMNS}
    numbers = {"valid_share": tile.valid_share, "entropy": tile.entropy}
    disagreement = "" if tile.disagreement is None else f"{tile.disagreement:.6f}"
    formatted = {key: f"{value:.6f}" for key, value in numbers.items()}
    return cells | formatted | {"rank": str(rank), "disagreement": disagreement}
