"""Nested subsets of the training groups of a split, for learning curves."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from polynya.recipe.optimisation import PlateauOptions, StepwiseOptions
from polynya.recipe.recipe import Recipe
from polynya.recipe.training import TrainingOptions
from polynya.shards.dataset import ShardSet
from polynya.splits.folds import TRAINS_ONLY
from polynya.splits.groups import site_of
from polynya.splits.split_file import TileFold, TileSplit, read_split
from training.input.batches import steps_per_epoch
from training.input.split import draw_scenes, split_by_file, tile_keys


def hold_out(shards: ShardSet, recipe: Recipe) -> TileSplit:
    """Turn the split of a recipe into one whose only fold is what the recipe validates on.

    Args:
        shards: All tiles.
        recipe: Says which scenes or tiles validate, and what a group is: the file's own groups, or
            else `split.group`, or else scenes.

    Raises:
        ShardError: The recipe's split can't be used.
    """
    keys, options = tile_keys(shards), recipe.split
    if options.file is None:
        validating = set(draw_scenes(shards.scene_ids, recipe).validation)
        tiles = {
            key: TileFold(
                site_of(key[0], options.group), 0 if key[0] in validating else TRAINS_ONLY
            )
            for key in keys
        }
        return TileSplit(("scene" if options.group is None else "site",), 1, tiles)
    split_by_file(shards, options)
    split, fold = read_split(Path(options.file)), options.fold
    tiles = {
        key: TileFold(
            split.tiles[key].group,
            0 if split.tiles[key].fold == fold else TRAINS_ONLY,
            (0,) if fold in split.tiles[key].left_out else (),
        )
        for key in keys
    }
    return TileSplit(split.by, 1, tiles)


def training_groups(split: TileSplit) -> list[str]:
    """Sorted names of the groups with tiles that train for fold 0."""
    return sorted({tile.group for key, tile in split.tiles.items() if split.trains(key, 0)})


def training_tiles(split: TileSplit) -> int:
    """Number of tiles that train for fold 0."""
    return sum(split.trains(key, 0) for key in split.tiles)


def subset_sizes(groups: int, shares: Sequence[float]) -> list[int]:
    """Numbers of groups for shares of them: rounded, at least 1, each number once, rising."""
    return sorted({max(1, math.floor(share * groups + 0.5)) for share in shares})


def nested_subsets(groups: Sequence[str], sizes: Sequence[int], seed: int) -> list[frozenset[str]]:
    """Draw subsets of groups, of which each contains all smaller ones.

    Args:
        groups: Names of all groups; their order counts.
        sizes: Number of groups of each subset.
        seed: Seed of the order in which groups are taken.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    return [frozenset(groups[i] for i in order[:size]) for size in sizes]


def with_groups(split: TileSplit, groups: Collection[str]) -> TileSplit:
    """Leave out all training tiles of other groups; what validates stays the same."""
    tiles = {
        key: replace(tile, left_out=(0,))
        if split.trains(key, 0) and tile.group not in groups
        else tile
        for key, tile in split.tiles.items()
    }
    return replace(split, tiles=tiles, options={"learning_curve_groups": len(groups)})


def same_steps(training: TrainingOptions, all_tiles: int, tiles: int) -> TrainingOptions:
    """Give a training on fewer tiles as many steps as one on all tiles.

    With fewer tiles an epoch has fewer steps. So everything that is counted in epochs grows by the
    same factor: epochs, warm-up, drops of the learning rate, early stopping, checkpoints.

    Args:
        training: Options of the training on all tiles.
        all_tiles: Number of all training tiles.
        tiles: Number of tiles of this training.
    """
    if getattr(training.sampling, "samples", None) is not None:
        return training
    batch = training.batch_size * training.accumulate
    all_steps, steps = (
        steps_per_epoch(count, batch_size=batch, size=1) for count in (all_tiles, tiles)
    )
    factor = all_steps / steps

    def more(epochs: int | None) -> int | None:
        return None if epochs is None else math.ceil(epochs * factor)

    schedule = training.schedule
    if isinstance(schedule, PlateauOptions | StepwiseOptions):
        schedule = schedule.model_copy(update={"epochs": more(schedule.epochs)})
    every = more(training.checkpoints.every_epochs)
    return training.model_copy(
        update={
            "epochs": more(training.epochs),
            "warmup_epochs": training.warmup_epochs * factor,
            "plateau_epochs": more(training.plateau_epochs),
            "early_stopping": more(training.early_stopping),
            "schedule": schedule,
            "checkpoints": training.checkpoints.model_copy(update={"every_epochs": every}),
        }
    )
