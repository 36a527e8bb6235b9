"""What a run calls its work: it labels scenes, or imports samples that have labels."""

from __future__ import annotations

from dataclasses import dataclass

from polynya.recipe.recipe import Recipe


@dataclass(frozen=True)
class Words:
    """Words for messages and progress."""

    things: str
    """What the work is done on."""
    done: str
    """Past participle, as in "4 scenes labelled"."""
    doing: str
    """Title of the progress."""
    redo: str
    """Imperative, as in "label it again"."""


_LABELLING = Words("scenes", "labelled", "Labelling", "label")
_IMPORTING = Words("samples", "imported", "Importing", "import")


def words_of(recipe: Recipe) -> Words:
    """Find the words for a run with this recipe."""
    return _LABELLING if recipe.imports is None else _IMPORTING
