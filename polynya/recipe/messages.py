"""What is wrong with a recipe's values, with keys as they stand in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from polynya.names import printable
from polynya.recipe.base import tag_of

_LONGEST_VALUE = 80
_TAGS = ("source", "name")
"""Keys that say which of several options a section has (`Tagged`)."""


def describe_errors(error: ValidationError, content: object, model: type[BaseModel]) -> str:
    """The first error of a validation, to follow 'The recipe X'.

    Args:
        error: What pydantic found.
        content: What was validated.
        model: For what.

    Returns:
        Half a sentence that names the key.
    """
    # A misspelt key lacks under its own name too.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    keys = _keys(first, content)
    key = _dotted(keys)
    if first["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(keys[:-1], content, model))
        return f"has the unknown key '{key}'; known there: {known}"
    if first["type"] == "missing":
        return f"lacks the key '{key}'; add it"
    # A key of several types has an error of each.
    told = [e["msg"] for e in error.errors() if _keys(e, content) == keys]
    message = " or ".join(dict.fromkeys(text.removeprefix("Value error, ") for text in told))
    value = repr(first["input"])
    shown = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "..."
    where = f"a wrong value for '{key}'" if key else "wrong values"
    return f"has {where}: {printable(message)} (received {printable(shown)})"


def _keys(error: Any, content: Any) -> list[int | str]:
    """Keys and places in lists of an error, without what pydantic adds for types of unions."""
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
    """Keys of the section that some keys lead to."""
    members: list[type[BaseModel]] = [model]
    for key in keys:
        content = content[key]
        if isinstance(key, int):  # An element of a sequence whose model is known already.
            continue
        members = [
            inside
            for member in members
            for name, field in member.model_fields.items()
            if key in (name, field.alias)
            for inside in _models_in(field.annotation)
        ]
    tags = {key: content.get(key) for key in _TAGS} if isinstance(content, dict) else {}
    chosen = [m for m in members if any(tag and tag_of(m, key) == tag for key, tag in tags.items())]
    of = next(iter(chosen or members), None)
    return sorted(f.alias or name for name, f in of.model_fields.items()) if of else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation is or has inside: X, X | Y | None, tuple[X, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
