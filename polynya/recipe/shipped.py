"""The recipes and studies that come with Polynya, by name."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from polynya.errors import RecipeError
from polynya.recipe.yaml_files import read_yaml

Kind = Literal["recipe", "study"]

_NAME = re.compile(r"[\w-]+")
_SUFFIX = ".yaml"
_OTHER_NAMES = {"landcover": "land_cover"}
"""Shipped recipes by further names, such as the kind of import that takes them by default."""


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Polynya; a command accepts a name instead of a file."""
    return _names("recipe")


def shipped_studies() -> tuple[str, ...]:
    """Names of the studies that come with Polynya (docs/sweeps.md)."""
    return _names("study")


def shipped_as(name: str) -> str | None:
    """Name of the shipped recipe that goes by this or another name; None if there is none."""
    name = _OTHER_NAMES.get(name, name)
    return name if name in shipped_recipes() else None


def read_named(path: str | Path, kind: Kind = "recipe") -> dict[str, Any]:
    """Content of a file, or of the shipped recipe or study of that name.

    Raises:
        RecipeError: There is neither, or the file is no YAML mapping.
    """
    with _file_of(path, kind) as file:
        return read_yaml(file, kind)


def recipe_text(path: str | Path | None) -> str:
    """Text of a recipe that `read_named` can read, with its comments; "" for None."""
    if path is None:
        return ""
    with _file_of(path, "recipe") as file:
        return Path(file).read_bytes().decode("utf-8-sig")


def _file_of(path: str | Path, kind: Kind) -> AbstractContextManager[str | Path]:
    """File of a recipe or study; it is there within the block."""
    # A file has precedence over a recipe with the same name, so a user's file is never ignored.
    if not _NAME.fullmatch(str(path)) or os.path.isfile(path):
        return nullcontext(path)
    name = _OTHER_NAMES.get(str(path), str(path))
    if name not in _names(kind):
        raise RecipeError(
            f"There is neither a file {path} nor a {kind} of that name; give a YAML file or one of:"
            f" {', '.join(_names(kind))}."
        )
    return as_file(_folder(kind) / f"{name}{_SUFFIX}")


def _names(kind: Kind) -> tuple[str, ...]:
    names = (file.name for file in _folder(kind).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def _folder(kind: Kind) -> Traversable:
    recipes = files("polynya") / "recipes"
    return recipes if kind == "recipe" else recipes / "studies"
