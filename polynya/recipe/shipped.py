"""Recipes and studies that come with Polynya, which commands know by their names."""

from __future__ import annotations

import os
import re
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from polynya.errors import RecipeError
from polynya.recipe.yaml_files import read_yaml

Kind = Literal["recipe", "study"]

_NAME = re.compile(r"[\w-]+")
_SUFFIX = ".yaml"


def shipped_names(kind: Kind) -> tuple[str, ...]:
    """Sorted names of the files of a kind that come with Polynya."""
    names = (file.name for file in _folder(kind).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def read_named(path: str | Path, kind: Kind) -> dict[str, Any]:
    """Read a YAML file, or one that comes with Polynya by its name.

    Args:
        path: File or name. A file has precedence, so a user's file is never ignored.
        kind: Kind of file.

    Raises:
        RecipeError: There is no such file or name, or it is no YAML mapping.
    """
    if not _NAME.fullmatch(str(path)) or os.path.isfile(path):
        return read_yaml(path, kind)
    if str(path) not in shipped_names(kind):
        raise RecipeError(
            f"There is neither a file {path} nor a {kind} of that name; give a YAML file or one of:"
            f" {', '.join(shipped_names(kind))}."
        )
    with as_file(_folder(kind) / f"{path}{_SUFFIX}") as file:
        return read_yaml(file, kind)


def _folder(kind: Kind) -> Traversable:
    recipes = files("polynya") / "recipes"
    return recipes if kind == "recipe" else recipes / "studies"
