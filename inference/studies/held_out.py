"""The split that several trainings share, in a file beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polynya.errors import OutputError, ShardError
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet
from polynya.splits.split_file import write_split

if TYPE_CHECKING:
    from polynya.splits.split_file import TileSplit


def validating_split(shards: ShardSet, recipe: Recipe, what: str) -> TileSplit:
    """Turn a recipe's split into one with a single fold (`training.splits.subsets.hold_out`).

    Args:
        shards: All tiles.
        recipe: Says which of them validate.
        what: What needs them, to begin a message with.

    Raises:
        ShardError: Nothing validates, or the recipe's split can't be used.
    """
    from training.splits.subsets import hold_out

    split = hold_out(shards, recipe)
    if all(tile.fold != 0 for tile in split.tiles.values()):
        raise ShardError(
            f"{what} needs tiles that validate, and the recipe's key 'split.validation' is 0; set"
            " it to more, such as 0.2."
        )
    return split


def keep_split(split: TileSplit, path: Path, what: str, remedy: str, *, anew: bool = False) -> None:
    """Write the file of a split, or make sure that it is the same.

    Args:
        split: The split.
        path: Its file.
        what: What the trainings are for, for messages.
        remedy: What to do if there is another split.
        anew: Replace another split.

    Raises:
        OutputError: There is another split, or the file can't be written.
    """
    if not path.exists() or anew:
        write_split(split, path)
    elif path.read_text(encoding="utf-8") != split.text():
        raise OutputError(f"{path} is of {what} with another recipe or other shards; {remedy}.")
