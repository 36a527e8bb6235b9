"""A recipe in full, as YAML with an explanation of each key."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from pydantic import BaseModel

from polynya.recipe.yaml_files import write_yaml

_WIDTH = 100


def commented(options: BaseModel) -> str:
    """YAML of a recipe with all its keys, each below a comment that explains it."""
    return "\n".join(_lines(options, "")) + "\n"


def _lines(options: BaseModel, indent: str) -> Iterator[str]:
    notes = _notes(type(options))
    content = options.model_dump(mode="json")
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        key = field.alias or name
        nested = isinstance(value, BaseModel)
        if nested and not indent:
            yield ""
        note = notes.get(name) or (inspect.getdoc(type(value)) if nested else None)
        yield from _comment(note, indent)
        if nested:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, tuple) and any(isinstance(part, BaseModel) for part in value):
            yield f"{indent}{key}:"
            for part in content[name]:
                yield f"{indent}- {write_yaml(part, on_one_line=True).rstrip()}"
        else:
            yield f"{indent}{key}: {write_yaml(content[name], on_one_line=True).rstrip()}"


def _comment(note: str | None, indent: str) -> Iterator[str]:
    # Paragraphs after the first one are for programmers.
    text = " ".join((note or "").split("\n\n")[0].split())
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 2):
        yield f"{indent}# {line}"


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """Docstrings of the keys of a section, by key."""
    notes: dict[str, str] = {}
    for cls in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for key, text in pairwise(statements):
            if (
                isinstance(key, ast.AnnAssign)
                and isinstance(key.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                notes[key.target.id] = inspect.cleandoc(str(text.value.value))
    return notes
