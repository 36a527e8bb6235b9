"""The recipes that come with Polynya, by name."""

from __future__ import annotations

import os
import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from polynya.errors import RecipeError
from polynya.recipe.yaml_files import read_yaml

_SHIPPED = files("polynya") / "recipes"
_NAME = re.compile(r"[\w-]+")
_OTHER_NAMES = {"landcover": "land_cover"}
"""Shipped recipes by further names, such as the kind of import that takes them by default."""


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Polynya; a command accepts a name instead of a file."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir()))


def shipped_as(name: str) -> str | None:
    """Name of the shipped recipe that goes by this or another name; None if there is none."""
    name = _OTHER_NAMES.get(name, name)
    return name if name in shipped_recipes() else None


def read_named(path: str | Path) -> dict[str, Any]:
    """Content of a recipe's file, or of the shipped recipe of that name.

    Raises:
        RecipeError: There is neither, or the file is no YAML mapping.
    """
    # A file has precedence over a recipe with the same name, so a user's file is never ignored.
    if not _NAME.fullmatch(str(path)) or os.path.isfile(path):
        return read_yaml(path)
    name = shipped_as(str(path))
    if name is None:
        raise RecipeError(
            f"There is neither a file {path} nor a recipe of that name; give a YAML file or one of:"
            f" {', '.join(shipped_recipes())}."
        )
    with as_file(_SHIPPED / f"{name}.yaml") as file:
        return read_yaml(file)
