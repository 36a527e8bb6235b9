"""Changing keys of a recipe's text: everything else, comments too, stays as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from polynya.errors import RecipeError
from polynya.recipe.yaml_files import compose_yaml, parse_text, write_yaml


def with_keys(text: str, section: str, keys: Mapping[str, Any], source: str) -> str:
    """Give keys of a section other values.

    Lines that hold other keys stay byte for byte. Comments inside a value that is replaced go with
    it.

    Args:
        text: YAML text of a recipe; "" for a new one.
        section: Key at the top of the recipe, such as "label".
        keys: New values by their keys in the section.
        source: Name of the recipe, for error messages.

    Returns:
        The new text.

    Raises:
        RecipeError: The text is no recipe, or is written in a way that can't be changed in place.
    """
    before = parse_text(text, f"recipe {source}")
    old = before.get(section)
    if old is not None and not isinstance(old, dict):
        raise RecipeError(
            f"The recipe {source} has a '{section}' that is no mapping; fix it first."
        )
    wanted = before | {section: (old or {}) | dict(keys)}
    changed = text
    try:
        for key, value in keys.items():
            changed = _with_key(changed, section, key, value)
    except (yaml.YAMLError, RecipeError):
        changed = ""  # A change has broken the text.
    if not _says(changed, wanted):
        shown = write_yaml({section: dict(keys)}, on_one_line=True).rstrip()
        raise RecipeError(
            f"The recipe {source} is written in a way that can't be changed in place; put this into"
            f" it by hand, or choose another --out: {shown}"
        )
    return changed


def _with_key(text: str, section: str, key: str, value: Any) -> str:
    """Change one key; the caller checks what comes out."""
    root = compose_yaml(text)
    found = None if root is None else _find(root, section)
    if found is None:
        return _joined(text, _block({section: {key: value}}, 0))
    name, node = found
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        content = (parse_text(text, section)[section] or {}) | {key: value}
        return _replaced(text, name, _last(node), _block({section: content}, 0))
    inner = _find(node, key)
    indent = node.value[0][0].start_mark.column
    block = _block({key: value}, indent)
    if inner is None:
        end = _line_end(text, _last(node))
        return text[:end] + "\n" + " " * indent + block + text[end:]
    return _replaced(text, inner[0], _last(inner[1]), block)


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return parse_text(text, "") == wanted
    except RecipeError:
        return False


def _find(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((name, value) for name, value in pairs if name.value == key), None)


def _last(node: yaml.Node) -> int:
    """Position after the last character of a value; blocks end after blank lines and comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        part = node.value[-1]
        return _last(part[1] if isinstance(part, tuple) else part)
    return int(node.end_mark.index)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _replaced(text: str, name: yaml.Node, end: int, block: str) -> str:
    return text[: name.start_mark.index] + block + text[end:]


def _joined(text: str, block: str) -> str:
    body = text if not text or text.endswith("\n") else text + "\n"
    return f"{body}\n{block}\n" if body.strip() else f"{block}\n"


def _block(content: dict[str, Any], indent: int) -> str:
    """YAML whose first line is not indented, without a line break at its end."""
    return textwrap.indent(_lines(content), " " * indent).strip()


def _lines(content: Any) -> str:
    """YAML in blocks, with lists of numbers and ranges of colours on one line each."""
    lines: list[str] = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            lines += [f"{key}:", textwrap.indent(_lines(value), "  ")]
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            lines.append(f"{key}:")
            lines += [f"  - {write_yaml(part, on_one_line=True).rstrip()}" for part in value]
        else:
            lines.append(write_yaml({key: value}, on_one_line=True).strip()[1:-1])
    return "\n".join(lines)
