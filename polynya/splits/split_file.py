"""The file of a split: which fold each tile is in, and how it was made.

It is JSON with one line for each tile, so that a person can read it and compare two of them:

    {"format": 1, "by": ["scene"], "seed": 0, "folds": 5, ..., "tiles": [
    ["scene1", 0, 256, "scene1", 3, []],

A tile has scene id, row, column, group, fold (-1: it always trains), and the folds for which it
doesn't train, because it is too close to their tiles. The same tiles, options and seed give the
same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polynya.errors import ShardError, reason_of
from polynya.names import printable
from polynya.splits.folds import TRAINS_ONLY
from polynya.storage.files import write_text

FORMAT = 1
RANDOM = "random"
"""Way to split by tile: it shows what a leak does to the scores."""

Key = tuple[str, int, int]
"""Scene id, row and column of a tile."""


@dataclass(frozen=True)
class TileFold:
    """A tile in a split."""

    group: str
    fold: int
    """Fold in which it validates, from 0; `TRAINS_ONLY` for none."""
    left_out: tuple[int, ...] = ()
    """Folds for which it doesn't train."""


@dataclass(frozen=True)
class TileSplit:
    """A split of all tiles of a data set into folds."""

    by: tuple[str, ...]
    """Ways in which tiles were grouped."""
    folds: int
    """Number of folds that can validate: 1 for a hold-out."""
    tiles: Mapping[Key, TileFold]
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else it was made with."""

    @property
    def is_random(self) -> bool:
        """Whether it was made by tile, so that neighbours are on both sides."""
        return RANDOM in self.by

    def trains(self, key: Key, fold: int) -> bool:
        """Whether a tile trains the model that a fold validates."""
        tile = self.tiles[key]
        return tile.fold != fold and fold not in tile.left_out

    def text(self) -> str:
        """The content of the file."""
        about = {"format": FORMAT, "by": list(self.by), "folds": self.folds, **self.options}
        head = json.dumps(about, sort_keys=True, ensure_ascii=False)[:-1]
        lines = [
            json.dumps([*key, tile.group, tile.fold, list(tile.left_out)], ensure_ascii=False)
            for key, tile in self.tiles.items()
        ]
        return head + ', "tiles": [\n' + ",\n".join(lines) + "\n]}\n"


def write_split(split: TileSplit, path: Path) -> None:
    """Write the file of a split.

    Raises:
        OutputError: It can't be written, or a file that isn't ours is in its place.
    """
    write_text(path, split.text())


_Number = Annotated[int, Field(ge=0)]


class _Content(BaseModel):
    """What a file must hold; other keys tell how it was made."""

    model_config = ConfigDict(extra="allow", strict=False)

    by: tuple[str, ...]
    folds: Annotated[int, Field(ge=1)]
    tiles: list[
        tuple[str, _Number, _Number, str, Annotated[int, Field(ge=TRAINS_ONLY)], tuple[int, ...]]
    ]


def read_split(path: Path, *, may_cross: bool = False) -> TileSplit:
    """Read the file of a split.

    Args:
        path: The file.
        may_cross: Whether groups may have tiles in different folds.

    Raises:
        ShardError: The file is missing, damaged or of another version; it has a tile twice or a
            fold that it doesn't count; or tiles of one group are in different folds.
    """
    again = "make it again with 'polynya split'"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ShardError(
            f"The split {printable(path)} can't be read ({reason_of(error)}); {again}."
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ShardError(
            f"{printable(path)} is no split that this version of Polynya reads (format {FORMAT});"
            f" {again}."
        )
    try:
        known = _Content.model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ShardError(
            f"The split {printable(path)} is damaged (at '{where}': {error.errors()[0]['msg']});"
            f" {again}."
        ) from None
    tiles = {
        (scene, row, col): TileFold(group, fold, left_out)
        for scene, row, col, group, fold, left_out in known.tiles
    }
    if len(tiles) != len(known.tiles) or any(t.fold >= known.folds for t in tiles.values()):
        raise ShardError(
            f"The split {printable(path)} has a tile twice, or more folds than it says; {again}."
        )
    options = {k: v for k, v in content.items() if k not in ("format", *_Content.model_fields)}
    split = TileSplit(known.by, known.folds, tiles, options)
    if not may_cross:
        check_groups({key: tile.group for key, tile in tiles.items()}, split, path, again)
    return split


def check_groups(groups: Mapping[Key, str], split: TileSplit, path: Path, remedy: str) -> None:
    """Make sure that no group has tiles in different folds.

    Args:
        groups: Group of each tile to check.
        split: The split.
        path: Its file.
        remedy: What to do, for the message.

    Raises:
        ShardError: A group crosses the split.
    """
    folds: dict[str, int] = {}
    for key, group in groups.items():
        fold = split.tiles[key].fold
        first = folds.setdefault(group, fold)
        if first != fold:
            raise ShardError(
                f"The group '{printable(group)}' crosses the split {printable(path)}: it has tiles"
                f" in {_fold_text(first)} and in {_fold_text(fold)}, so a model would be validated"
                f" on what it has learnt; {remedy}."
            )


def _fold_text(fold: int) -> str:
    return "the tiles that only train" if fold == TRAINS_ONLY else f"fold {fold}"
