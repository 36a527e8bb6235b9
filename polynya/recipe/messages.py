"""Error messages for wrong values in a recipe, with keys as written in the file."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from polynya.names import printable
from polynya.recipe.base import tag_of

_LONGEST_VALUE = 80
_TAGS = ("source", "name", "kind")
"""Keys that choose one of several option classes (`Tagged`)."""


def describe_errors(error: ValidationError, content: object, model: type[BaseModel]) -> str:
    """Describe the first error of a validation, as the end of a sentence 'The recipe X ...'.

    Args:
        error: Error of pydantic.
        content: The validated content.
        model: The class that the content was validated for.

    Returns:
        The end of the sentence, with the name of the key.
    """
    # A misspelt key is also reported as missing, under its correct name.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    keys = _keys(first, content)
    key = _dotted(keys)
    if first["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1], content, model)
        near = get_close_matches(str(keys[-1]), known, n=1)
        meant = f" (perhaps '{near[0]}' is meant)" if near else ""
        return f"has the unknown key '{key}'; known there: {', '.join(known)}{meant}"
    if first["type"] == "missing":
        return f"lacks the key '{key}'; add it"
    # A key with several possible types has one error for each type.
    told = [e["msg"] for e in error.errors() if _keys(e, content) == keys]
    message = " or ".join(dict.fromkeys(text.removeprefix("Value error, ") for text in told))
    value = repr(first["input"])
    shown = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "..."
    where = f"a wrong value for '{key}'" if key else "wrong values"
    return f"has {where}: {printable(message)} (received {printable(shown)})"


def _keys(error: Any, content: Any) -> list[int | str]:
    """Keys and list positions of an error, without the names that pydantic adds for unions."""
    keys: list[int | str] = []
    location = error["loc"]
    for number, part in enumerate(location):
        last_missing = error["type"] == "missing" and number == len(location) - 1
        in_list = isinstance(content, (list, tuple)) and isinstance(part, int)
        if part in content if isinstance(content, dict) else in_list and part < len(content):
            content = content[part]
        elif not last_missing:
            continue
        keys.append(part)
    return keys


def _dotted(keys: Sequence[int | str]) -> str:
    return printable(".".join(str(key)[:_LONGEST_VALUE] for key in keys))


def _known_keys(keys: Sequence[int | str], content: Any, model: type[BaseModel]) -> list[str]:
    """Names of all keys in the section at the path `keys`."""
    members: list[type[BaseModel]] = [model]
    for key in keys:
        content = content[key]
        inside_key = [
            inside
            for member in members
            for name, field in member.model_fields.items()
            if key in (name, field.alias)
            for inside in _models_in(field.annotation)
        ]
        # The model of an element of a sequence or of a mapping with free names is already known.
        members = inside_key or members
    tags = {key: content.get(key) for key in _TAGS} if isinstance(content, dict) else {}
    chosen = [m for m in members if any(tag and tag_of(m, key) == tag for key, tag in tags.items())]
    of = next(iter(chosen or members), None)
    return sorted(f.alias or name for name, f in of.model_fields.items()) if of else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Models in an annotation, such as X, X | Y | None or tuple[X, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
