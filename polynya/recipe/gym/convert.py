"""Makes a recipe of a Segmentation Gym configuration, with an answer to each of its keys."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.classes import OKABE_ITO
from polynya.recipe.gym.config import Config, Data, Fate
from polynya.recipe.gym.keys import KEYS
from polynya.recipe.gym.reading import read_config
from polynya.recipe.overrides import put_settings
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.yaml_files import write_yaml


@dataclass(frozen=True)
class Row:
    """What became of one key of a configuration."""

    key: str
    value: str
    """As JSON; in brackets if the file lacks the key."""
    fate: Fate
    recipe: str
    """Keys of the recipe with their values, as YAML."""
    reason: str

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        recipe = f" -> {self.recipe}" if self.recipe else ""
        return f"{self.fate.value:<12} {self.key} {self.value}{recipe}{reason}"


@dataclass(frozen=True)
class Converted:
    """A recipe that trains as a configuration of the Gym."""

    recipe: Recipe
    content: dict[str, Any]
    """Keys of the recipe that are not left at their defaults."""
    rows: tuple[Row, ...]
    source: str

    def text(self) -> str:
        """The recipe as YAML, below comments that say what became of each key."""
        return "".join([*self._comments(), write_yaml(self.content, short_ones_on_one_line=True)])

    def _comments(self) -> Iterator[str]:
        yield f"# From {self.source}, a configuration of Segmentation Gym (docs/gym.md).\n#\n"
        yield from (f"# {row}\n" for row in self.rows)


def from_gym(path: str | Path, data: Data = "npz", settings: Sequence[str] = ()) -> Converted:
    """Make a recipe of a configuration.

    Args:
        path: JSON file of Segmentation Gym.
        data: What will be imported: the Gym's npz files, those without copies, or images and
            labels.
        settings: Values of `--set`, put into the recipe at the end.

    Raises:
        RecipeError: The configuration can't be used, or no recipe can do what it says.
    """
    config, several = read_config(path, data)
    shown = printable(path)
    content: dict[str, Any] = {"classes": _classes(config), "label": {"method": "none"}}
    content["imports"] = _imports(config)
    rows = []
    for key in KEYS.values():
        if key.name not in config.values:
            continue
        try:
            answer = key.answer(config)
        except RecipeError as error:
            raise RecipeError(f"The Gym configuration {shown} can't be used: {error}.") from None
        for name, value in answer.keys.items():
            _put(content, name, value)
        reason = answer.reason
        if key.name in several:
            again = f"the key is there {several[key.name]} times, and the last one counts"
            reason = f"{reason}; {again}" if reason else again
        value = json.dumps(config.values[key.name])
        keys = ", ".join(
            f"{name}: {write_yaml(value, on_one_line=True).strip()}"
            for name, value in answer.keys.items()
        )
        given = value if config.is_given(key.name) else f"({value})"
        rows.append(Row(key.name, given, answer.fate, keys, reason))
    put_settings(content, settings)
    content = {name: content[name] for name in Recipe.model_fields if name in content}
    recipe = parse_recipe(content, source=f"of the Gym configuration {shown}")
    return Converted(recipe, content, tuple(rows), printable(Path(path).name))


def _imports(config: Config) -> dict[str, Any]:
    if config.has_npz:
        return {"kind": "gym"}
    # JPEG changes numbers, and the Gym's labels often are JPEG files.
    return {"kind": "folder", "images": "images/{stem}.*", "nearest": True}


def _classes(config: Config) -> dict[str, Any]:
    colors = _colors(config.n_classes)
    classes = [
        {"code": code, "name": name, "title": f"Class {code}", "color": list(colors[code])}
        for code, name in enumerate(config.classes)
    ]
    return {"name": "gym", "classes": classes}


def _colors(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: those that everybody can tell apart, or all hues if there are more."""
    if count <= len(OKABE_ITO):
        return list(OKABE_ITO[:count])
    found = []
    for place in range(count):
        red, green, blue = colorsys.hsv_to_rgb(place / count, 1.0, 1.0 - 0.4 * (place % 2))
        found.append((round(255 * red), round(255 * green), round(255 * blue)))
    return found


def _put(content: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    section = content
    for part in above:
        section = section.setdefault(part, {})
    section[last] = value
