"""Scores of a model on the validation tiles of its shards, by site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray

from inference.predict.decision import read_decision
from inference.predict.predict import open_for_tiles, open_model
from inference.studies.folds import percent
from inference.studies.out_of_fold import predicted, tile_labels
from polynya.errors import ShardError
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.report.tables import Table
from polynya.shards.dataset import ShardSet, StoredTile, open_shards
from polynya.splits.groups import site_of, site_pattern
from polynya.splits.split_file import TileSplit
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free
from training.metrics.confusion import confusion_of, empty_confusion, scores
from training.model_folder.folder import training_scenes
from training.splits.subsets import hold_out

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


TABLE, PAGE = "sites.csv", "sites.md"


@dataclass
class SiteScore:
    """Tiles of one site."""

    site: str
    confusion: NDArray[np.int64]
    """See `training.metrics.confusion.confusion_of`."""
    tiles: int = 0
    pixels: int = 0
    """Number of pixels with a label."""


def evaluate_tiles(shards: str, folder: Path, site: str | None, out: Path) -> None:
    """Score a model on its validation tiles, print the table and write it as CSV and Markdown.

    Args:
        shards: Folder or URI of the shards of its training.
        folder: Folder of the model.
        site: See `score_sites`.
        out: Folder to write into.

    Raises:
        PolynyaError: See `score_sites`; or the folder can't be written.
    """
    pattern = None if site is None else site_pattern(site, "--site")
    data, model = open_shards(shards), open_model(folder)
    table = site_table(score_sites(model, data, pattern), model.classes)
    with open_output(out, "evaluation") as place:
        check_free((place / TABLE, place / PAGE))
        table.print()
        table.write_csv(place / TABLE)
        write_text(place / PAGE, table.markdown())
    typer.echo(f"Table: {out / TABLE}")


def score_sites(model: TrainedModel, shards: ShardSet, pattern: str | None) -> list[SiteScore]:
    """Predict the tiles that the model's recipe holds out, and count right and wrong by site.

    Tiles are seen as in validation during training: alone, padded to the size of the model.

    Args:
        model: The model.
        shards: The tiles of its training.
        pattern: Regular expression with one (group), the site, on the scene's id; None: the groups
            of the split.

    Raises:
        ShardError: The shards have other classes, no tile validates, or the model has learnt from
            a scene that would.
        ModelError: The model's numbers are not finite.
    """
    recipe, classes = model.recipe, model.classes
    shards.check_scheme(classes)
    split = hold_out(shards, recipe)
    keys = {key for key, tile in split.tiles.items() if tile.fold == 0}
    scenes = sorted({key[0] for key in keys})
    if not scenes:
        raise ShardError(
            f"No tile of {shards.folder} validates by the model's recipe (key 'split'); give the"
            " shards of its training, or scenes with their truth (--scenes)."
        )
    known = set(scenes) & training_scenes(model.folder) if recipe.split.file is None else set()
    if known:
        raise ShardError(
            f"The model in {model.folder} has learnt from the scene {min(known)}, which would"
            f" validate among those of {shards.folder}; give the shards of its training."
        )
    decision = read_decision(model.folder, recipe)
    forward = open_for_tiles(model, decision)
    found: dict[str, SiteScore] = {}
    wanted = track(_tiles(shards, scenes, split), "Scoring tiles", total=len(keys))
    while batch := list(islice(wanted, recipe.training.batch_size)):
        for tile, probabilities in zip(batch, predicted(batch, forward, recipe), strict=True):
            key = (tile.scene_id, tile.row, tile.col)
            group = split.tiles[key].group
            site = group if pattern is None else site_of(tile.scene_id, pattern)
            score = found.setdefault(site, SiteScore(site, empty_confusion(classes)))
            labels = tile_labels(tile, probabilities, decision, classes)
            score.confusion += confusion_of(tile.label, labels, classes)
            score.tiles += 1
            score.pixels += int((tile.label != classes.nodata).sum())
    return [found[site] for site in sorted(found)]


def site_table(sites: Sequence[SiteScore], classes: ClassScheme) -> Table:
    """Table of scores in percent: a row for each site, then of all together.

    Dice of a class is 2 TP / (2 TP + FP + FN) over the pixels of the site; the mean is over the
    classes that truth or prediction have there.
    """
    rows = [_row(one.site, one.tiles, one.pixels, one.confusion) for one in sites]
    together = np.sum([one.confusion for one in sites], axis=0)
    rows.append(
        _row("all", sum(one.tiles for one in sites), sum(one.pixels for one in sites), together)
    )
    dice = (f"Dice {title}" for title in classes.titles)
    columns = ("site", "tiles", "labelled pixels", "right", "mean Dice", *dice)
    return Table("Validation tiles by site, %", columns, tuple(rows))


def _row(site: str, tiles: int, pixels: int, confusion: NDArray[np.int64]) -> tuple[str, ...]:
    found = scores(confusion)
    shares = (found["accuracy"], found["mean_f1"], *found["f1"])
    return (site, str(tiles), str(pixels), *map(percent, shares))


def _tiles(shards: ShardSet, scenes: Sequence[str], split: TileSplit) -> Iterator[StoredTile]:
    for tile in shards.tiles(shards.row_groups(scenes)):
        if split.tiles[tile.scene_id, tile.row, tile.col].fold == 0:
            yield tile
