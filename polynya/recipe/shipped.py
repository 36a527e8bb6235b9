"""Recipes that come with Polynya, and finding the file of a recipe."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import as_file, files
from pathlib import Path

from polynya.errors import RecipeError

_SHIPPED = files("polynya") / "recipes"
_NAME = re.compile(r"[\w-]+")


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Polynya; a command accepts a name instead of a file."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir()))


def recipe_text(path: str | Path | None) -> str:
    """Text of a recipe that `load_recipe` can read, with its comments; "" for None."""
    if path is None:
        return ""
    with recipe_file(path) as file:
        return Path(file).read_bytes().decode("utf-8-sig")


def recipe_file(path: str | Path) -> AbstractContextManager[str | Path]:
    """Find the file of a recipe by its path or name; the file is there within the block.

    Raises:
        RecipeError: There is neither such a file nor a recipe of that name.
    """
    # A file has precedence over a recipe with the same name, so a user's file is never ignored.
    if not _NAME.fullmatch(str(path)) or os.path.isfile(path):
        return nullcontext(path)
    if str(path) not in shipped_recipes():
        raise RecipeError(
            f"There is neither a file {path} nor a recipe of that name; give a YAML file or one of:"
            f" {', '.join(shipped_recipes())}."
        )
    return as_file(_SHIPPED / f"{path}.yaml")
