"""Scores by site and by tile; scoring the tiles of shards against their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from inference.evaluate.scenes import tell_missed
from inference.evaluate.scores import Evaluation, SceneScore, TileScore, TileScorer
from inference.evaluate.sources import Found, ModelSource, Source
from inference.evaluate.summary import tally_of
from inference.studies.folds import percent
from polynya.attempt import Failure
from polynya.errors import ScenesFailedError, ShardError
from polynya.grid import Tile
from polynya.progress import track
from polynya.recipe.metrics import MetricsOptions
from polynya.report.tables import Table
from polynya.scenes.truth import sky_of
from polynya.shards.dataset import ShardSet, StoredTile
from polynya.splits.groups import site_of
from training.input.split import tile_keys
from training.metrics.tally import Tally, cell
from training.model_folder.folder import training_scenes

SITES_FILE, SITES_PAGE, TILES_FILE = "sites.csv", "sites.md", "tiles.csv"

Key = tuple[str, int, int]


@dataclass(frozen=True)
class TilePlan:
    """Which tiles of a data set are scored, and how."""

    shards: ShardSet
    groups: dict[Key, str]
    """Site of each tile that is scored, by scene, row and column."""
    batch_size: int
    metrics: MetricsOptions
    wants_probabilities: bool = False


def choose_tiles(
    shards: ShardSet, sources: Sequence[Source], pattern: str | None
) -> dict[Key, str]:
    """Find the tiles to score, with their sites: what the first model holds out, else all.

    Args:
        shards: The data set; without models all of its tiles are scored.
        sources: Sources of labels.
        pattern: Regular expression with one (group), the site, on the scene's id; None: the groups
            of the split, or the scenes.

    Raises:
        ShardError: The shards have other classes, no tile validates, or a model has learnt from a
            scene that would.
    """
    from training.splits.subsets import hold_out  # It imports Keras: seconds.

    models = [source for source in sources if isinstance(source, ModelSource)]
    if not models:
        return {key: site_of(key[0], pattern) for key in tile_keys(shards)}
    recipe = models[0].model.recipe
    shards.check_scheme(recipe.classes)
    split = hold_out(shards, recipe)
    chosen = {
        key: tile.group if pattern is None else site_of(key[0], pattern)
        for key, tile in split.tiles.items()
        if tile.fold == 0
    }
    if not chosen:
        raise ShardError(
            f"No tile of {shards.folder} validates by the model's recipe (key 'split'); give the"
            " shards of its training, or scenes with their truth (--scenes)."
        )
    scenes = {key[0] for key in chosen}
    for source in models:
        folder, own = source.model.folder, source.model.recipe
        # With a file of single tiles, a scene may be on both sides.
        known = scenes & training_scenes(folder) if own.split.file is None else set()
        if known:
            raise ShardError(
                f"The model in {folder} has learnt from the scene {min(known)}, which would"
                f" validate among those of {shards.folder}; give the shards of its training."
            )
    return chosen


def evaluate_tiles(plan: TilePlan, sources: Sequence[Source]) -> Evaluation:
    """Compare every source with the labels of tiles, and sum up by scene.

    Tiles are seen as in validation during training: alone, padded to the size of the model. One
    batch is in memory at a time. A scene of which one source lacks a tile is left out.

    Raises:
        ScenesFailedError: No scene is left.
        ModelError: A model's numbers are not finite.
    """
    classes = plan.shards.classes
    about = tuple(source.about for source in sources)
    evaluation = Evaluation(classes, tuple(one.name for one in about), about=about)
    scorer = TileScorer(classes, plan.metrics)
    found: dict[str, list[TileScore]] = {}
    wanted = track(_tiles(plan), "Scoring tiles", total=len(plan.groups))
    while batch := list(islice(wanted, plan.batch_size)):
        made = [source.of_tiles(batch, plan.wants_probabilities) for source in sources]
        for tile, *results in zip(batch, *made, strict=True):
            failures = [one.reason for one in results if isinstance(one, Failure)]
            if failures:
                if tile.scene_id not in evaluation.missed:
                    tell_missed(failures[0])
                evaluation.missed.setdefault(tile.scene_id, failures[0])
                continue
            labels = {
                name: one
                for name, one in zip(evaluation.methods, results, strict=True)
                if isinstance(one, Found)
            }
            place = Tile(tile.row, tile.col, *tile.label.shape)
            site = plan.groups[tile.scene_id, tile.row, tile.col]
            score = scorer.score(place, site, tile.label, labels, tile.veiled_share)
            found.setdefault(tile.scene_id, []).append(score)
    for scene, tiles in found.items():
        if scene not in evaluation.missed:
            evaluation.scenes.append(_scene(scene, tiles, scorer.tallies))
    if not evaluation.scenes:
        reason = next(iter(evaluation.missed.values()), "no tile has a label.")
        raise ScenesFailedError(f"No scene could be evaluated: {reason}")
    return evaluation


def _tiles(plan: TilePlan) -> Iterator[StoredTile]:
    scenes = sorted({key[0] for key in plan.groups})
    for tile in plan.shards.tiles(plan.shards.row_groups(scenes)):
        if (tile.scene_id, tile.row, tile.col) in plan.groups:
            yield tile


def _scene(scene: str, tiles: list[TileScore], like: dict[str, Tally]) -> SceneScore:
    tallies = {
        method: tally_of(np.sum([tile.numbers[method] for tile in tiles], axis=0), tally)
        for method, tally in like.items()
    }
    pixels = sum(tile.pixels for tile in tiles)
    covers = [tile.cover for tile in tiles]
    cover = None
    if None not in covers and pixels:
        cover = sum(t.pixels * t.cover for t in tiles if t.cover is not None) / pixels
    return SceneScore(scene, sky_of(scene), pixels, tallies, tiles[0].site, cover, tiles)


def site_table(evaluation: Evaluation) -> Table:
    """Table of scores in percent: rows for each site, then of all together.

    Dice of a class is 2 TP / (2 TP + FP + FN) over the pixels of the site; the mean is over the
    classes that truth or prediction have there.
    """
    sites: dict[str, list[TileScore]] = {}
    for scene in evaluation.scenes:
        for tile in scene.tiles:
            sites.setdefault(tile.site, []).append(tile)
    every = [tile for tiles in sites.values() for tile in tiles]
    parts = [*((site, sites[site]) for site in sorted(sites)), ("all", every)]
    several = len(evaluation.methods) > 1
    like = evaluation.scenes[0].tallies
    rows = []
    for site, tiles in parts:
        for method in evaluation.methods:
            tally = tally_of(np.sum([t.numbers[method] for t in tiles], axis=0), like[method])
            found = tally.together()
            shares = (found["accuracy"], found["mean_f1"], *found["f1"])
            name = (site, method) if several else (site,)
            pixels = sum(tile.pixels for tile in tiles)
            rows.append((*name, str(len(tiles)), str(pixels), *map(percent, shares)))
    dice = (f"Dice {title}" for title in evaluation.classes.titles)
    names = ("site", "method") if several else ("site",)
    columns = (*names, "tiles", "labelled pixels", "right", "mean Dice", *dice)
    return Table("Tiles by site, %", columns, tuple(rows))


def tile_rows(evaluation: Evaluation) -> Iterator[dict[str, str]]:
    """Rows of tiles.csv: one for each tile and method, with every metric of the tile alone."""
    like = evaluation.scenes[0].tallies
    for scene in evaluation.scenes:
        for tile in scene.tiles:
            for method in evaluation.methods:
                tally = tally_of(tile.numbers[method], like[method])
                yield {
                    "scene": scene.scene_id,
                    "row": str(tile.row),
                    "col": str(tile.col),
                    "site": tile.site,
                    "cover": "" if tile.cover is None else cell(tile.cover),
                    "method": method,
                    **tally.cells(),
                }
