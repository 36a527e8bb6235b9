"""Options of a command that replace keys of a recipe for one run: checked values, or `--set`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Any, TypeVar

import typer

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.base import Options
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.yaml_files import read_value

Overrides = Mapping[str, object]
"""Values by key, such as {"inference.overlap": 0.25}; None if an option wasn't given."""

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Give a key of the recipe another value, such as training.batch_size=16; may be"
        " repeated.",
    ),
]
"""The option --set of every command that has it."""

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


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Put values of `--set` into a recipe; the whole is checked like a file.

    Args:
        recipe: Gives the values that are not set.
        settings: Texts 'KEY=VALUE': a dotted key and a value as YAML.

    Raises:
        RecipeError: A text has another form, or the recipe can't have such a key or value.
    """
    if not settings:
        return recipe
    content = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    put_settings(content, settings)
    return parse_recipe(content, source=settings_source(settings))


def settings_source(settings: Sequence[str]) -> str:
    """How error messages name a recipe with values of `--set`."""
    return f"with --set {' --set '.join(map(printable, settings))}"


def put_settings(content: dict[str, Any], settings: Sequence[str]) -> None:
    """Put values of `--set` into the content of a recipe, which is not checked yet.

    Args:
        content: Changed in place.
        settings: See `with_settings`.

    Raises:
        RecipeError: A text has another form, or sets a part of what has no parts.
    """
    put_values(content, read_settings(settings), settings_source(settings))


def read_settings(
    settings: Sequence[str], option: str = "--set", example: str = "training.batch_size=16"
) -> dict[str, Any]:
    """Read texts of `--set`, or of an option like it.

    Args:
        settings: See `with_settings`.
        option: The option, for messages.
        example: A text that is right, for messages.

    Returns:
        Values by dotted key, in the order of the texts.

    Raises:
        RecipeError: A text has another form.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, is_there, text = setting.partition("=")
        if not is_there or not all(key.split(".")):
            raise RecipeError(
                f"{option} {printable(setting)} has another form than KEY=VALUE; write, for"
                f" example, {option} {example}."
            )
        values.pop(key, None)  # The last one counts, also in the order.
        values[key] = read_value(text, f"value of {option} {printable(key)}")
    return values


def with_values(recipe: Recipe, values: Mapping[str, Any], source: str) -> Recipe:
    """Put plain values into a recipe; the whole is checked like a file.

    Args:
        recipe: Gives the values that are not set.
        values: See `put_values`.
        source: What the changed recipe is called in messages.

    Raises:
        RecipeError: The recipe can't have such a key or value.
    """
    content = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    put_values(content, values, source)
    return parse_recipe(content, source)


def put_values(content: dict[str, Any], values: Mapping[str, Any], source: str) -> None:
    """Put plain values into the content of a recipe, which is not checked yet.

    Args:
        content: Changed in place.
        values: Values, as read from YAML, by dotted key; later ones may be parts of earlier ones.
        source: What the changed recipe is called in messages.

    Raises:
        RecipeError: A value is a part of what has no parts.
    """
    for key, value in values.items():
        *above, last = key.split(".")
        section = content
        for name in above:
            inside = section.setdefault(name, {})
            if not isinstance(inside, dict):
                raise RecipeError(
                    f"The recipe {source} can't be used: '{printable(key)}' is a part of '{name}',"
                    f" which is {printable(repr(inside))} and has no parts; set '{name}' as a"
                    " whole."
                )
            section = inside
        # A copy, because a later value may be a part of this one.
        section[last] = deepcopy(value)
