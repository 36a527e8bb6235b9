"""What a command says in place of keys of a recipe, for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from polynya.recipe.base import Options
from polynya.recipe.recipe import Recipe

Overrides = Mapping[str, object]
"""Values by key, such as {"inference.overlap": 0.25}; None where an option wasn't given."""

_Section = TypeVar("_Section", bound=Options)


def resolve(recipe: Recipe, overrides: Overrides) -> Recipe:
    """Put the options of a command into the recipe, so that all code finds them in one place.

    So a run says the same of itself, in its provenance and digests, whether a value was in the
    recipe or on the command line.

    Args:
        recipe: What holds where a command says nothing.
        overrides: Values that have been checked, by dotted key of the recipe.

    Returns:
        The recipe itself where nothing was given.

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
