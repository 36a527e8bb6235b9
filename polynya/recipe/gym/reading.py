"""Reads a Segmentation Gym configuration: JSON from anybody, with keys given twice or misspelt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.gym.config import Config, Data
from polynya.recipe.gym.keys import KEYS

_LONGEST = 256 * 1024
"""Greatest size of a file in bytes."""
_SHOWN = 60
"""Greatest number of characters of a value in an error message."""


def read_config(path: str | Path, data: Data = "npz") -> tuple[Config, dict[str, int]]:
    """Read and check a configuration.

    Args:
        path: The JSON file.
        data: What will be imported.

    Returns:
        The configuration, and how often each key that is given several times is there. As in the
        Gym, the last value of a key counts.

    Raises:
        RecipeError: The file can't be read or is no JSON object, lacks a key, or has an unknown key
            or a wrong value.
    """
    shown = printable(path)
    pairs = _pairs(path, shown)
    given = dict(pairs)
    for name in given:
        if name not in KEYS:
            near = get_close_matches(name.upper(), KEYS, n=1)
            meant = f"perhaps '{near[0]}' is meant" if near else f"known: {', '.join(KEYS)}"
            raise RecipeError(
                f"The Gym configuration {shown} has the unknown key '{printable(name[:_SHOWN])}'"
                f" ({meant}); correct or remove it."
            )
    values = {key.name: key.default for key in KEYS.values() if key.default is not None}
    for key in KEYS.values():
        if key.name in given:
            values[key.name] = _checked(key.name, given[key.name], shown)
        elif key.is_required:
            raise RecipeError(f"The Gym configuration {shown} lacks the key '{key.name}'; add it.")
    names = [name for name, _ in pairs]
    several = {name: names.count(name) for name in given if names.count(name) > 1}
    return Config(values, frozenset(given), data), several


def _checked(name: str, value: Any, shown: str) -> Any:
    try:
        return KEYS[name].read(value)
    except ValueError as error:
        text = json.dumps(value)
        text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        raise RecipeError(
            f"The Gym configuration {shown} has a wrong value for '{name}' ({printable(text)});"
            f" give {error}."
        ) from None


def _pairs(path: str | Path, shown: str) -> Sequence[tuple[str, Any]]:
    """Keys and values of the object in a file, in order, with those that are given again."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(
            f"Can't read the Gym configuration {shown}: {reason}; give a JSON file."
        ) from None
    if len(content) > _LONGEST:
        raise RecipeError(
            f"The Gym configuration {shown} has more than {_LONGEST // 1024} KiB; give a shorter"
            " file."
        )
    outermost: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Objects end from the inside to the outside.
        outermost[:] = pairs
        return dict(pairs)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"has the number {constant}, which JSON doesn't know")

    try:
        found = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=keep, parse_constant=refuse
        )
    except json.JSONDecodeError as error:
        raise RecipeError(
            f"The Gym configuration {shown} is not valid JSON at line {error.lineno}: {error.msg};"
            " fix it there."
        ) from None
    except UnicodeDecodeError:
        raise RecipeError(
            f"The Gym configuration {shown} is not a text file in UTF-8; save it with that"
            " encoding."
        ) from None
    except RecursionError:
        raise RecipeError(
            f"The Gym configuration {shown} has too many brackets within each other; remove some."
        ) from None
    except ValueError as error:
        raise RecipeError(f"The Gym configuration {shown} {error}; write a number there.") from None
    if not isinstance(found, dict):
        raise RecipeError(
            f"The Gym configuration {shown} is no JSON object; write keys and values in braces."
        )
    return outermost
