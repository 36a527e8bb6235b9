"""Scores of a model on the validation tiles of its shards, by site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from inference.evaluate.samples import SCORES_FILE, score_table, with_metrics, write_samples
from inference.predict.decision import read_decision
from inference.predict.predict import open_for_tiles, open_model
from inference.studies.folds import percent
from inference.studies.out_of_fold import predicted, tile_labels
from polynya.errors import ShardError
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.recipe.metrics import MetricName, MetricsOptions
from polynya.report.tables import Table
from polynya.shards.dataset import ShardSet, StoredTile, open_shards
from polynya.splits.groups import site_of, site_pattern
from polynya.splits.split_file import TileSplit
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free
from training.metrics.base import Sample
from training.metrics.tally import Tally
from training.model_folder.folder import training_scenes
from training.splits.subsets import hold_out

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


TABLE, PAGE, TILES_FILE = "sites.csv", "sites.md", "tiles.csv"


@dataclass
class SiteScore:
    """Tiles of one site."""

    site: str
    tally: Tally
    """All metrics."""
    tiles: int = 0
    pixels: int = 0
    """Number of pixels with a label."""
    rows: list[dict[str, str]] = field(default_factory=list)
    """Cells of each tile, by column."""


def evaluate_tiles(
    shards: str, folder: Path, site: str | None, out: Path, metrics: Sequence[MetricName] = ()
) -> None:
    """Score a model on its validation tiles, print tables and write them as CSV and Markdown.

    A file has a row for each tile.

    Args:
        shards: Folder or URI of the shards of its training.
        folder: Folder of the model.
        site: See `score_sites`.
        out: Folder to write into.
        metrics: Further metrics; none for those of the model's recipe.

    Raises:
        PolynyaError: See `score_sites`; or the folder can't be written.
    """
    pattern = None if site is None else site_pattern(site, "--site")
    data, model = open_shards(shards), open_model(folder)
    options = with_metrics(model.recipe.training.metrics, metrics)
    sites = score_sites(model, data, pattern, options)
    table = site_table(sites, model.classes)
    scores = score_table({"model": Tally.sum([one.tally for one in sites])}, "tiles")
    with open_output(out, "evaluation") as place:
        check_free(place / name for name in (TABLE, PAGE, TILES_FILE, SCORES_FILE))
        table.print()
        scores.print()
        table.write_csv(place / TABLE)
        scores.write_csv(place / SCORES_FILE)
        write_samples(place / TILES_FILE, [row for one in sites for row in one.rows])
        write_text(place / PAGE, f"{table.markdown()}\n{scores.markdown()}")
    typer.echo(f"Table: {out / TABLE}; single tiles: {out / TILES_FILE}")


def score_sites(
    model: TrainedModel,
    shards: ShardSet,
    pattern: str | None,
    metrics: MetricsOptions | None = None,
) -> list[SiteScore]:
    """Predict the tiles that the model's recipe holds out, and count right and wrong by site.

    Tiles are seen as in validation during training: alone, padded to the size of the model.

    Args:
        model: The model.
        shards: The tiles of its training.
        pattern: Regular expression with one (group), the site, on the scene's id; None: the groups
            of the split.
        metrics: What is measured in addition to the confusion matrix.

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
            score = found.setdefault(site, SiteScore(site, Tally(classes, metrics)))
            labels = tile_labels(tile, probabilities, decision, classes)
            own = Tally(classes, metrics)
            own.add(Sample(tile.label, labels, classes, probabilities))
            score.tally = Tally.sum([score.tally, own])
            score.rows.append(
                {
                    "scene": tile.scene_id,
                    "row": str(tile.row),
                    "col": str(tile.col),
                    "site": site,
                    **own.cells(),
                }
            )
            score.tiles += 1
            score.pixels += int((tile.label != classes.nodata).sum())
    return [found[site] for site in sorted(found)]


def site_table(sites: Sequence[SiteScore], classes: ClassScheme) -> Table:
    """Table of scores in percent: a row for each site, then of all together.

    Dice of a class is 2 TP / (2 TP + FP + FN) over the pixels of the site; the mean is over the
    classes that truth or prediction have there.
    """
    rows = [_row(one.site, one.tiles, one.pixels, one.tally) for one in sites]
    together = Tally.sum([one.tally for one in sites])
    rows.append(
        _row("all", sum(one.tiles for one in sites), sum(one.pixels for one in sites), together)
    )
    dice = (f"Dice {title}" for title in classes.titles)
    columns = ("site", "tiles", "labelled pixels", "right", "mean Dice", *dice)
    return Table("Validation tiles by site, %", columns, tuple(rows))


def _row(site: str, tiles: int, pixels: int, tally: Tally) -> tuple[str, ...]:
    found = tally.together()
    shares = (found["accuracy"], found["mean_f1"], *found["f1"])
    return (site, str(tiles), str(pixels), *map(percent, shares))


def _tiles(shards: ShardSet, scenes: Sequence[str], split: TileSplit) -> Iterator[StoredTile]:
    for tile in shards.tiles(shards.row_groups(scenes)):
        if split.tiles[tile.scene_id, tile.row, tile.col].fold == 0:
            yield tile
