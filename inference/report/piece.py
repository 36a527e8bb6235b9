"""What one folder of a run adds to the page, and how its files are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from polynya.errors import PolynyaError, reason_of
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.report.html import Html
from polynya.report.parts import Card


class Chapter(StrEnum):
    """Chapters of the page in their order; the values are their addresses within it."""

    SCENES = "scenes"
    PLACES = "places"
    ACCURACY = "accuracy"
    TRAINING = "training"
    TRIALS = "trials"
    DATA = "data"
    SPEED = "speed"
    MEASURED = "measured"
    RECIPE = "recipe"


TITLES = {
    Chapter.SCENES: "Scenes",
    Chapter.PLACES: "Where",
    Chapter.ACCURACY: "Accuracy",
    Chapter.TRAINING: "Training",
    Chapter.TRIALS: "Trials",
    Chapter.DATA: "Data",
    Chapter.SPEED: "Speed",
    Chapter.MEASURED: "Measured",
    Chapter.RECIPE: "Recipe and provenance",
}

_UNUSABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
    PolynyaError,
)  # fmt: skip
"""What comes of files that are missing, cut, or hold something else than Polynya writes."""


@dataclass
class Piece:
    """Content of a folder, by chapters."""

    kind: str
    """What the folder is, in one or two words."""
    folder: Path
    cards: list[Card] = field(default_factory=list)
    """Numbers for the head of the page."""
    chapters: dict[Chapter, list[Html]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Sentences about numbers that contradict each other."""
    missing: list[str] = field(default_factory=list)
    """Sentences about what the page can't show."""

    @property
    def name(self) -> str:
        return self.folder.name or str(self.folder)

    @property
    def title(self) -> str:
        """Kind and name; the kind alone where both are the same."""
        kind = self.kind[0].upper() + self.kind[1:]
        return kind if self.name.lower() == self.kind else f"{kind} {self.name}"

    def add(self, chapter: Chapter, *content: Html) -> None:
        """Append to a chapter."""
        self.chapters.setdefault(chapter, []).extend(content)

    @contextmanager
    def part(self, file: str, left_out: str) -> Iterator[None]:
        """Make a part of the page; if its file can't be used, say so and go on without the part.

        Args:
            file: Name of the file, within the folder.
            left_out: What is left out then, with its verb: "the scores are".
        """
        try:
            yield
        except FileNotFoundError:
            self.missing.append(f"{self.name}/{file} isn't there, so {left_out} left out.")
        except _UNUSABLE as error:
            why = reason_of(error) if str(error) else type(error).__name__
            if isinstance(error, KeyError):
                why = f"it has no {why}"
            self.missing.append(
                f"{self.name}/{file} can't be used ({why}), so {left_out} left out."
            )

    def read_json(self, name: str) -> Any:
        """Content of a JSON file of the folder; OSError or ValueError if it can't be read."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def read_rows(self, name: str) -> list[dict[str, str]]:
        """Rows of a CSV file of the folder; OSError or ValueError if it can't be read."""
        return read_rows(self.folder / name)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; ValueError if a row has too few or too many cells."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            rows = list(reader)
        except csv.Error as error:
            raise ValueError(str(error)) from None
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has another number of cells than the first")
    if not reader.fieldnames:
        raise ValueError("it is empty")
    return rows


@dataclass
class Known:
    """What the folders of a run tell each other."""

    recipes: list[tuple[Path, Recipe]] = field(default_factory=list)
    """Recipes of the models, by their folders."""
    rights: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Share of right pixels of each scene by method, from an evaluation."""
    schemes: list[ClassScheme] = field(default_factory=list)
    """Class schemes whose colours the page switches."""

    folders: int = 0
    """Folders of maps that have been described, for addresses of their scenes."""

    def scheme(self, classes: ClassScheme) -> str:
        """Class name within the page that gives an element the colours of a scheme."""
        if classes not in self.schemes:
            self.schemes.append(classes)
        return f"scheme-{self.schemes.index(classes)}"


def number(value: Any, digits: int = 4) -> str:
    """A stored number as text; empty if it is none."""
    if value is None or isinstance(value, bool):
        return ""
    value = float(value)
    return "" if value != value else f"{value:.{digits}f}"


def percent(share: Any, digits: int = 2) -> str:
    """A stored share in percent, as text; empty if it is none."""
    text = number(share, digits + 4)
    return f"{100 * float(text):.{digits}f}" if text else ""


def pairs(content: Mapping[str, Any], names: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Keys and values of a mapping as rows of a table."""
    return [(key, str(content[key])) for key in names or sorted(content) if key in content]
