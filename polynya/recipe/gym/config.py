"""A configuration as it is carried into a recipe, and the answer to each of its keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from polynya.recipe.gym.values import Reader

Data = Literal["npz", "originals", "images"]
"""What will be imported. npz: a data set of the Gym with its augmented copies. originals: the same
without the copies; training augments. images: folders of images and labels, from which the Gym
would make a data set."""


class Fate(Enum):
    """What becomes of a key."""

    CARRIED = "carried"
    """The recipe does the same."""
    APPROXIMATED = "approximated"
    """The recipe does something like it; the reason says what differs."""
    REFUSED = "refused"
    """The recipe has nothing of it; the reason says why, and what there is instead."""


@dataclass(frozen=True)
class Config:
    """A checked configuration."""

    values: Mapping[str, Any]
    """Value of each documented key that is given or has a default."""
    given: Collection[str] = ()
    """Keys that the file has."""
    data: Data = "npz"

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def is_given(self, key: str) -> bool:
        """Whether the file has the key."""
        return key in self.given

    @property
    def has_npz(self) -> bool:
        """Whether the Gym itself made the data set, so that it has its labels already."""
        return self.data != "images"

    @property
    def has_copies(self) -> bool:
        """Whether the augmented copies in the data set are imported."""
        return self.data == "npz" and self["MODE"] != "noaug"

    @property
    def augments(self) -> bool:
        """Whether training changes the tiles, because there are no copies."""
        return self.data != "npz" and self["MODE"] != "noaug"

    @property
    def n_classes(self) -> int:
        """Number of classes; NCLASSES 1 means two."""
        return max(2, int(self["NCLASSES"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a configuration has none."""
        return tuple(f"class_{code}" for code in range(self.n_classes))


@dataclass(frozen=True)
class Answer:
    """What becomes of a key with its value."""

    fate: Fate
    reason: str = ""
    """One clause; "" if there is nothing to say."""
    keys: Mapping[str, Any] = field(default_factory=dict)
    """Values by dotted key of the recipe."""


@dataclass(frozen=True)
class Key:
    """A key that the Gym documents. This is the only place that knows of it."""

    name: str
    about: str
    """What the Gym does with it, for the table of the documentation."""
    read: Reader
    """Checks the value."""
    answer: Callable[[Config], Answer]
    recipe: str
    """Keys of the recipe that take it, for the table of the documentation."""
    note: str = ""
    """What differs, and when, for the table of the documentation."""
    usual: Fate = Fate.CARRIED
    """What becomes of it in most configurations."""
    default: Any = None
    """Value if the key is missing; None: the key doesn't count then."""
    is_required: bool = False


def carried(keys: Mapping[str, Any] | None = None, reason: str = "") -> Answer:
    """Answer that the recipe does the same with these keys."""
    return Answer(Fate.CARRIED, reason, keys or {})


def approximated(reason: str, keys: Mapping[str, Any] | None = None) -> Answer:
    """Answer that the recipe does something like it with these keys."""
    return Answer(Fate.APPROXIMATED, reason, keys or {})


def refused(reason: str) -> Answer:
    """Answer that the recipe has nothing of it."""
    return Answer(Fate.REFUSED, reason)
