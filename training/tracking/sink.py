"""What a tracker takes of a run; one module of this room for each tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polynya.errors import reason_of

State = Literal["finished", "stopped", "failed"]
"""How a run ended: to its end, because it was told to stop, or by an error."""


class Point(NamedTuple):
    """A point of a curve."""

    name: str
    """Name of the curve, such as step/loss."""
    value: float
    """Finite."""
    step: int
    """Number of the step or of the epoch, from 1."""
    time_ms: int
    """Milliseconds since 1970, UTC."""


@dataclass(frozen=True)
class Sent:
    """What a tracker has of a run: numbers of steps and epochs."""

    steps: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Picture:
    """A tile after an epoch."""

    name: str
    epoch: int
    image: NDArray[np.uint8]
    """(H, W, 3)."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run before its first step."""

    key: str
    """Key that no other run has; a training that goes on has the same one again."""
    title: str
    """Name for people."""
    group: str | None = None
    """Key of the run above this one, such as a sweep's; None if it stands alone."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Content of small text files by name."""
    tags: Mapping[str, str] = field(default_factory=dict)


class Sink(ABC):
    """A tracker that takes one run.

    Methods are called one after the other, by one thread. They may raise any error: then nothing
    more is given to the tracker until `open` succeeds again, which says what is still missing.
    """

    place: str
    """The tracker and where runs go, for messages."""

    @abstractmethod
    def open(self) -> Sent:
        """Begin the run, or go on with the one of the same key; return what the tracker has."""

    @abstractmethod
    def write(self, points: Sequence[Point], sent: Sent | None = None) -> None:
        """Take points of curves, at most `LARGEST_BATCH`.

        Args:
            points: The points.
            sent: What the tracker has afterwards; `open` of a later start returns it. None leaves
                it as it is.
        """

    @abstractmethod
    def draw(self, picture: Picture) -> None:
        """Take a picture."""

    @abstractmethod
    def attach(self, paths: Sequence[Path]) -> None:
        """Take files as they are."""

    @abstractmethod
    def take_model(self, folder: Path) -> None:
        """Take the model of a finished model folder, with its signature."""

    @abstractmethod
    def close(self, state: State) -> None:
        """End the run."""


def trouble_of(error: BaseException) -> str:
    """What is wrong, in a few words: of a chain of errors, the first one says it best."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    # Errors of connections hold the first one as an argument.
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    return reason_of(error) or type(error).__name__


LARGEST_BATCH = 900
"""Greatest number of points in a call; MLflow's servers take 1000 values in a request."""
