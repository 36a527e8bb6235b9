"""Reading and writing users' YAML files; unusual, large or ambiguous files are errors.

Values follow the core schema of YAML 1.2: only true and false are truth values, so `no` and `on`
are texts, and 12:30 and 1_000 are no numbers.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from polynya.errors import RecipeError
from polynya.names import printable

_LONGEST = 256 * 1024
"""Greatest size of a file in bytes."""
_DEEPEST = 32
"""Greatest number of nested brackets or levels."""
_MOST_VALUES = 100_000
"""Greatest number of values in a file, after aliases are replaced."""
_MOST_DIGITS = 40
_SHOWN = 60


class _Loader(yaml.SafeLoader):
    """Finds the type of plain values by the rules of YAML 1.2; `_value` converts them."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML declares it


_RESOLVERS = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
              r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", list("-+.0123456789")),
    ("merge", r"^(?:<<)$", ["<"]),
)  # fmt: skip
for _name, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_pattern), _first)


class _Dumper(yaml.SafeDumper):
    """Puts texts in quotes if this module or a reader of YAML 1.1 would not read them as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *_Loader.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write each value in full, because aliases are hard to read."""
        return True


class _ReadingError(Exception):
    """The problem of a file and its remedy, as the end of a sentence 'The recipe X ...'."""


def read_yaml(path: str | Path, what: str = "recipe") -> dict[str, Any]:
    """Read a YAML file that is a mapping.

    Args:
        path: Path of the file.
        what: Kind of file, for error messages.

    Returns:
        Content of the file: only mappings, lists, texts, numbers, truth values and None; {} for an
        empty file.

    Raises:
        RecipeError: The file is missing, too large, no text, no YAML, no mapping, or ambiguous (a
            key given twice).
    """
    shown = printable(path)
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(f"Can't read the {what} {shown}: {reason}; give a YAML file.") from None
    try:
        return parse_yaml(_decoded(content))
    except _ReadingError as error:
        raise RecipeError(f"The {what} {shown} {error}.") from None


def parse_text(text: str, what: str) -> dict[str, Any]:
    """Content of a YAML text that is in memory; see `read_yaml`.

    Args:
        text: YAML text.
        what: What it is and its name, for error messages.

    Raises:
        RecipeError: The text is no YAML, no mapping, or ambiguous.
    """
    try:
        return parse_yaml(text)
    except _ReadingError as error:
        raise RecipeError(f"The {what} {error}.") from None


def compose_yaml(text: str) -> yaml.Node | None:
    """Nodes of a text that `parse_text` has read, with their positions; None for an empty text."""
    node: yaml.Node | None = _Loader(text).get_single_node()
    return node


def read_value(text: str, what: str) -> Any:
    """Read one value, such as '16', 'true' or '[4, 8]', by the same rules as a file's.

    Args:
        text: YAML on one line.
        what: What it is, for error messages.

    Raises:
        RecipeError: It is no value, or more than one.
    """
    try:
        content = parse_yaml(f"value: {text}")
    except _ReadingError as error:
        raise RecipeError(f"The {what} {error}.") from None
    if list(content) != ["value"]:
        raise RecipeError(f"The {what} has several lines; write a value on one line.")
    return content["value"]


def write_yaml(
    content: Any, *, on_one_line: bool = False, short_ones_on_one_line: bool = False
) -> str:
    """Write YAML text that `read_yaml` reads back to the same content.

    Args:
        content: Mappings, lists, texts, numbers, truth values and None.
        on_one_line: Use brackets and no line breaks.
        short_ones_on_one_line: Use brackets for lists and mappings that have no others in them.
    """
    layout: dict[str, Any] = {}
    if on_one_line or short_ones_on_one_line:
        layout = {"default_flow_style": True if on_one_line else None, "width": math.inf}
    text: str = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=on_one_line, **layout
    )
    return text.removesuffix("...\n") if on_one_line else text


def parse_yaml(text: str) -> dict[str, Any]:
    """Content of a YAML text, as in `read_yaml`; raises `_ReadingError`."""
    try:
        _check_events(text)
        node = _Loader(text).get_single_node()
        if node is None:
            return {}
        _count(node, {}, ())
        content = _value(node)
    except yaml.YAMLError as error:
        raise _ReadingError(_what_yaml_says(error, text)) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _ReadingError("must be a mapping of keys, such as 'seed: 0'")
    return content


def _decoded(content: bytes) -> str:
    if len(content) > _LONGEST:
        raise _ReadingError(f"has more than {_LONGEST // 1024} KiB; give a shorter file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _ReadingError(
            f"is not a text file in UTF-8 (line {line}); save it with that encoding"
        ) from None


def _what_yaml_says(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, int(error.position)) + 1
        return f"has a character at line {line} that no text has; remove it there"
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}" if mark else ""
    if "'\\t'" in str(getattr(error, "problem", "")):
        return f"is not valid YAML{where} (a tab); indent with blanks there"
    return f"is not valid YAML{where}; fix it there"


def _check_events(text: str) -> None:
    """Check nesting and number of documents before any value is created."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        line = event.start_mark.line + 1 if event.start_mark else 0
        if depth > _DEEPEST:
            raise _ReadingError(
                f"has more than {_DEEPEST} brackets or levels within each other at line {line};"
                " remove some"
            )
        if documents > 1:
            raise _ReadingError(f"has a second document at line {line}; remove '---' there")


def _count(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Number of values in a node, after aliases are replaced."""
    if id(node) in above:
        raise _ReadingError(f"refers to itself at line {_line(node)}; write the values out")
    if id(node) not in known:
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inside = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = node.value
        known[id(node)] = 1 + sum(_count(part, known, (*above, id(node))) for part in inside)
        if known[id(node)] > _MOST_VALUES:
            raise _ReadingError(
                f"has more than {_MOST_VALUES:,} values at line {_line(node)}, as its aliases"
                " stand for others; write them out"
            )
    return known[id(node)]


def _value(node: yaml.Node) -> Any:
    """Convert a node to its Python value."""
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_value(part) for part in node.value]
    if isinstance(node, yaml.ScalarNode):
        text = node.value
        if kind in ("str", "merge"):
            return str(text)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in ("int", "float"):
            return _number(kind, text, node)
    raise _ReadingError(f"has the tag '!{_short(kind)}' at line {_line(node)}; remove it there")


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    lines: dict[str, int] = {}
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _value(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            shown = _short(str(key_node.value)) if isinstance(key_node, yaml.ScalarNode) else "["
            raise _ReadingError(
                f"has the key '{shown}' at line {_line(key_node)}, which is no text; put it in"
                " quotes or remove it"
            )
        if key in lines:
            raise _ReadingError(
                f"has the key '{_short(key)}' twice, at line {lines[key]} and line"
                f" {_line(key_node)}; put what belongs to it together under one"
            )
        lines[key] = _line(key_node)
        value = _value(value_node)
        if key_node.tag.endswith(":merge"):
            for part in value if isinstance(value, list) else [value]:
                if not isinstance(part, dict):
                    raise _ReadingError(
                        f"has '<<' without a mapping at line {_line(key_node)}; remove it there"
                    )
                merged = part | merged
        else:
            own[key] = value
    return merged | own


def _number(kind: str, text: str, node: yaml.Node) -> int | float:
    # The conversion of very long numbers takes too long.
    if len(text) > _MOST_DIGITS:
        raise _ReadingError(f"has a number of {len(text)} digits at line {_line(node)}; shorten it")
    plain = text.lower()
    try:
        if kind == "int":
            base = {"0o": 8, "0x": 16}.get(plain[:2], 10)
            return int(plain, base)
        if plain.endswith(".nan"):
            return math.nan
        if plain.endswith(".inf"):
            return -math.inf if plain.startswith("-") else math.inf
        return float(plain)
    except ValueError:
        raise _ReadingError(
            f"has '{_short(text)}' at line {_line(node)}, which is no number; fix it there"
        ) from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _short(text: str) -> str:
    return printable(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
