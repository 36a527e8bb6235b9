"""Which tiles train and which validate: those of whole scenes, or what the file of a split says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polynya.errors import ShardError
from polynya.provenance import file_digest
from polynya.recipe.recipe import Recipe
from polynya.recipe.split import SplitOptions
from polynya.shards.dataset import ShardSet
from polynya.splits.groups import site_of
from polynya.splits.split_file import Key, check_groups, read_split

Numbers = tuple[int, ...] | None
"""Numbers of tiles among the tiles of some scenes, in the order of the shards; None for all."""


@dataclass(frozen=True)
class Split:
    """Tiles for training and for validation."""

    training: tuple[str, ...]
    """Sorted ids of the scenes with tiles that train."""
    validation: tuple[str, ...]
    """Sorted ids of the scenes with tiles that validate."""
    training_tiles: Numbers = None
    """Tiles of `training` that train."""
    validation_tiles: Numbers = None
    """Tiles of `validation` that validate."""
    digest: str | None = None
    """Digest of the split's file; None without one."""
    is_random: bool = False
    """Whether tiles were split at random, so that scores are too good."""


def recipe_split(shards: ShardSet, recipe: Recipe) -> Split:
    """Split the tiles as a recipe says.

    Raises:
        ShardError: There are too few scenes, or the split's file can't be used.
    """
    if recipe.split.file is not None:
        return split_by_file(shards, recipe.split)
    return draw_scenes(shards.scene_ids, recipe)


def draw_scenes(scene_ids: Sequence[str], recipe: Recipe) -> Split:
    """Split scenes as a recipe without a split file says; see `split_scenes`."""
    options = recipe.split
    return split_scenes(
        scene_ids,
        validation=options.validation,
        seed=recipe.seed,
        group=options.group,
        held_out=options.held_out,
    )


def split_scenes(
    scene_ids: Sequence[str],
    *,
    validation: float,
    seed: int,
    group: str | None = None,
    held_out: str | None = None,
) -> Split:
    """Draw the groups of scenes for validation.

    Tiles of one scene resemble each other, so a split by tile would measure memory, not skill.
    The result depends only on the set of scenes and the seed, not on order or number of ranks.

    Args:
        scene_ids: All scenes.
        validation: Share of the groups, rounded, but at least one group; 0 for no validation.
        seed: Seed of the random numbers.
        group: Regular expression on the scene id; None makes each scene a group.
        held_out: Regular expression on the id of the scenes that validate; None draws some.

    Raises:
        ShardError: There is only one group, but `validation` is more than 0; or all scenes or none
            match `held_out`, or those of one group are on both sides.
    """
    if held_out is not None:
        return _held_out(sorted(scene_ids), held_out, group)
    groups = sorted({site_of(scene, group) for scene in scene_ids})
    if validation > 0 and len(groups) < 2:
        raise ShardError(
            "A split by scene needs at least two scenes (or groups of 'split.group'), the shards"
            f" have {len(groups)}; label more scenes, or set the key 'split.validation' to 0"
            " in a recipe and give that to the training (--recipe)."
        )
    drawn: set[str] = set()
    if validation > 0:
        count = min(max(round(validation * len(groups)), 1), len(groups) - 1)
        order = np.random.default_rng(seed).permutation(len(groups))
        drawn = {groups[i] for i in order[:count]}
    return Split(
        training=tuple(s for s in sorted(scene_ids) if site_of(s, group) not in drawn),
        validation=tuple(s for s in sorted(scene_ids) if site_of(s, group) in drawn),
    )


def split_by_file(shards: ShardSet, options: SplitOptions) -> Split:
    """Split the tiles of a data set by the file that the recipe's key `split.file` names.

    Raises:
        ShardError: The file can't be used, lacks a tile or the fold, leaves one side empty, or a
            group of its own or of `split.group` crosses it.
    """
    path = Path(options.file or "")
    split, again = read_split(path), f"make it again with 'polynya split {shards.folder}'"
    if options.fold >= split.folds:
        raise ShardError(
            f"The split {path} has {split.folds} fold{'s'[: split.folds != 1]}, numbered from 0,"
            f" and the recipe's key 'split.fold' is {options.fold}; set it to less."
        )
    keys = tile_keys(shards)
    for key in keys:
        if key not in split.tiles:
            raise ShardError(
                f"The split {path} lacks a tile of the shards in {shards.folder}: scene {key[0]},"
                f" row {key[1]}, column {key[2]}; {again}."
            )
    if options.group is not None:
        remedy = f"{again} --by site, or take the key 'split.group' out of the recipe"
        groups = {key: site_of(key[0], options.group) for key in keys}
        check_groups(groups, split, path, remedy)
    training, training_tiles = _side(keys, [split.trains(key, options.fold) for key in keys])
    validation, validation_tiles = _side(
        keys, [split.tiles[key].fold == options.fold for key in keys]
    )
    for side, does in ((training, "trains"), (validation, "validates")):
        if not side:
            raise ShardError(
                f"By the split {path}, no tile of the shards in {shards.folder} {does} with fold"
                f" {options.fold}; set the recipe's key 'split.fold' to another, or {again}."
            )
    return Split(
        training,
        validation,
        training_tiles,
        validation_tiles,
        file_digest(path),
        split.is_random,
    )


def tile_keys(shards: ShardSet) -> list[Key]:
    """List scene id, row and column of all tiles, in the order of the shards."""
    table = shards.columns(shards.row_groups(shards.scene_ids), ["scene_id", "row", "col"])
    return [(row["scene_id"], row["row"], row["col"]) for row in table.to_pylist()]


def _side(keys: Sequence[Key], chosen: Sequence[bool]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Find the scenes of the chosen tiles, and the tiles' numbers among those of these scenes."""
    scenes = dict.fromkeys(key[0] for key, is_own in zip(keys, chosen, strict=True) if is_own)
    own = [is_own for key, is_own in zip(keys, chosen, strict=True) if key[0] in scenes]
    return tuple(scenes), tuple(np.flatnonzero(own).tolist())


def _held_out(scene_ids: Sequence[str], pattern: str, group: str | None) -> Split:
    """Split by a regular expression on the scene id."""
    validation = tuple(scene for scene in scene_ids if re.search(pattern, scene))
    training = tuple(scene for scene in scene_ids if not re.search(pattern, scene))
    if not validation or not training:
        matching = "none" if not validation else "each"
        raise ShardError(
            f"The recipe's key 'split.held_out' is '{pattern}', and {matching} of the"
            f" {len(scene_ids)} scenes matches it; fix it, or leave it out."
        )
    on_both = {site_of(s, group) for s in training} & {site_of(s, group) for s in validation}
    if on_both:
        raise ShardError(
            f"'split.held_out' divides the group '{min(on_both)}' of 'split.group', whose scenes"
            " must stay together; change one of them."
        )
    return Split(training, validation)
