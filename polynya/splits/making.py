"""Makes the split of a data set from a person's choices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.shards.dataset import ShardSet
from polynya.splits import folds as folds_of
from polynya.splits.blocks import (
    by_block,
    by_pixel_block,
    ground_outlines,
    near_folds,
    pixel_outlines,
)
from polynya.splits.duplicates import Described, find_duplicates, joined
from polynya.splits.groups import GROUP_COLUMN, by_date, by_site, by_table
from polynya.splits.split_file import RANDOM, TileFold, TileSplit
from polynya.splits.tiles import TileTable, read_tiles

WAYS = ("scene", "site", "date", "table", "blocks", "duplicates", RANDOM)
"""Ways to group tiles; several are joined."""

_LENGTH = re.compile(r"(\d+(?:\.\d+)?) ?(m|km|px)?")


@dataclass(frozen=True)
class Length:
    """A length on the ground in metres, or in pixels."""

    value: float
    is_pixels: bool


@dataclass(frozen=True)
class SplitChoices:
    """How to split. Choices of ways that are not taken must be None."""

    by: tuple[str, ...] = ("scene",)
    folds: int | None = None
    """Number of folds; None: hold out `validation`."""
    validation: float = 0.2
    """Share of tiles that a hold-out holds out."""
    seed: int = 0
    stratify: bool = True
    """Give all folds similar shares of tiles with each class."""
    pattern: str | None = None
    """Regular expression for the site in the scene's id, for `site`."""
    table: Path | None = None
    column: str = GROUP_COLUMN
    """Column of the table, for `table`."""
    block: Length | None = None
    """Edge of a block, for `blocks`."""
    buffer: Length | None = None
    """Least distance of training tiles from validation tiles, for `blocks`."""


def length_of(text: str, option: str) -> Length:
    """Read a length such as 5000, 5000m, 5km or 1024px.

    Args:
        text: The text.
        option: Name of its option, for the message.

    Raises:
        ShardError: It is no length.
    """
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ShardError(f"{option} is '{text}', which is no length; give 5000m, 5km or 1024px.")
    unit = match.group(2) or "m"
    return Length(float(match.group(1)) * (1000 if unit == "km" else 1), unit == "px")


def make_split(
    shards: ShardSet, choices: SplitChoices, describe: Callable[[], Described]
) -> TileSplit:
    """Split all tiles of a data set.

    Args:
        shards: The data set.
        choices: How.
        describe: Makes the descriptors of all tiles; called for `duplicates` only.

    Raises:
        ShardError: A choice is missing, or doesn't suit the tiles; or there are too few groups.
    """
    _check(choices)
    tiles = read_tiles(shards)
    outlines = _outlines(tiles, choices)
    described = describe() if "duplicates" in choices.by else None
    groups = _groups(tiles, choices, outlines, described)
    folds = _folds(tiles, choices, groups)
    near: list[tuple[int, ...]] = [()] * len(tiles)
    if outlines is not None and choices.buffer is not None:
        near = near_folds(outlines, folds, choices.buffer.value)
    found = {
        key: TileFold(group, fold, left_out)
        for key, group, fold, left_out in zip(tiles.keys, groups, folds.tolist(), near, strict=True)
    }
    return TileSplit(choices.by, choices.folds or 1, found, _told(choices, described))


def _check(choices: SplitChoices) -> None:
    by = set(choices.by)
    for way in choices.by:
        if way not in WAYS:
            raise ShardError(f"There is no way '{way}' to split; take some of {', '.join(WAYS)}.")
    for way, option, is_given, is_needed in (
        ("site", "--pattern", choices.pattern is not None, True),
        ("table", "--table", choices.table is not None, True),
        ("blocks", "--block", choices.block is not None, True),
        ("blocks", "--buffer", choices.buffer is not None, False),
    ):
        if way in by and is_needed and not is_given:
            raise ShardError(f"A split by {way} needs the option {option}; add it.")
        if is_given and way not in by:
            raise ShardError(
                f"The option {option} is for a split by {way}; add --by {way}, or leave it out."
            )
    if RANDOM in by and len(by) > 1:
        raise ShardError(
            f"A split by tile at random keeps no groups together; leave --by {RANDOM} or the other"
            " --by out."
        )
    block, buffer = choices.block, choices.buffer
    if block is not None and block.value == 0:
        raise ShardError("--block is 0, so no tile has a block; give the edge of a block.")
    if block is not None and buffer is not None and block.is_pixels != buffer.is_pixels:
        raise ShardError(
            "--block and --buffer have different units; give both in pixels or both in metres."
        )


def _outlines(tiles: TileTable, choices: SplitChoices) -> NDArray[np.object_] | None:
    if choices.block is None:
        return None
    return pixel_outlines(tiles) if choices.block.is_pixels else ground_outlines(tiles)


def _groups(
    tiles: TileTable,
    choices: SplitChoices,
    outlines: NDArray[np.object_] | None,
    described: Described | None,
) -> list[str]:
    own = [" ".join(map(str, key)) for key in tiles.keys]

    def grouping(way: str) -> list[str]:
        if way == "date":
            return by_date(tiles.scenes)
        if way == "table" and choices.table is not None:
            return by_table(tiles, choices.table, choices.column)
        if way == "blocks" and outlines is not None and choices.block is not None:
            size = choices.block.value
            is_pixels = choices.block.is_pixels
            return by_pixel_block(tiles, size) if is_pixels else by_block(outlines, size)
        if described is not None and way == "duplicates":
            numbers = find_duplicates(described)
            _, first = np.unique(numbers, return_index=True)
            return [f"like {own[first[number]]}" for number in numbers.tolist()]
        if way == RANDOM:
            return own
        return by_site(tiles.scenes, choices.pattern if way == "site" else None)

    return joined([grouping(way) for way in choices.by])


def _folds(tiles: TileTable, choices: SplitChoices, groups: list[str]) -> NDArray[np.int64]:
    held, count = 0, choices.folds or 0
    if choices.folds is None:
        held, count = folds_of.parts_of(choices.validation, len(set(groups)))
    if RANDOM in choices.by:
        found = folds_of.tile_folds(len(tiles), folds=count, seed=choices.seed)
    else:
        strata = np.zeros(len(tiles), np.int64)
        if choices.stratify:
            strata = folds_of.numbered((tiles.class_counts > 0).astype(np.int64))
            strata = folds_of.commonest(groups, strata)
        found = folds_of.group_folds(groups, strata, folds=count, seed=choices.seed)
    return found if choices.folds is not None else folds_of.held_out(found, held)


def _told(choices: SplitChoices, described: Described | None) -> dict[str, Any]:
    """What the file says of how the split was made."""
    told: dict[str, Any] = {"seed": choices.seed, "stratified": choices.stratify}
    if choices.folds is None:
        told["validation"] = choices.validation
    if choices.pattern is not None:
        told["pattern"] = choices.pattern
    if choices.table is not None:
        told |= {"table": choices.table.name, "column": choices.column}
    for name in ("block", "buffer"):
        length = getattr(choices, name)
        if length is not None:
            told[name] = f"{length.value:g}{'px' if length.is_pixels else 'm'}"
    if described is not None:
        told |= {**described.about, "threshold": described.threshold}
    return told
