"""Options of a command that replace keys of a recipe for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from polynya.recipe.base import Options
from polynya.recipe.recipe import Recipe

Overrides = Mapping[str, object]
"""Values by key, such as {"inference.overlap": 0.25}; None if an option wasn't given."""

_Section = TypeVar("_Section", bound=Options)


def resolve(recipe: Recipe, overrides: Overrides) -> Recipe:
    """Put the options of a command into the recipe, so that all code finds them in one place.

    So provenance and digests of a run are the same, whether a value comes from the recipe or from
    the command line.

    Args:
        recipe: Gives the values that the command doesn't set.
        overrides: Checked values by dotted key of the recipe.

    Returns:
        The changed recipe, or `recipe` itself if no option was given.

    Raises:
        ValueError: There is no such key.
    """
    for key, value in overrides.items():
        if value is not None:
            recipe = _changed(recipe, key.split("."), value, key)
    return recipe


def _changed(section: _Section, keys: list[str], value: object, whole: str) -> _Section:
    first, *rest = keys
    if first not in type(section).model_fields:
        raise ValueError(f"`overrides` must have keys of the recipe. Received: {whole!r}")
    if rest:
        value = _changed(getattr(section, first), rest, value, whole)
    return section.model_copy(update={first: value})
