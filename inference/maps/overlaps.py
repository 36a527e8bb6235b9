"""Which of several maps decides where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.maps.made_map import MadeMap

Rule = Literal["newest", "oldest", "most-confident", "majority", "first"]
"""newest, oldest: the map of the last or first time. most-confident: the map whose model is surest
of the pixel. majority: the label that most maps have. first: the first map by name."""

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def in_order(maps: Sequence[MadeMap], rule: Rule) -> list[MadeMap]:
    """Sort maps so that the one that decides comes first, whatever the order of the arguments.

    For `majority` and `most-confident`, it decides among equals. Maps of one time are sorted by
    name, then by content.
    """
    by_name = sorted(maps, key=lambda made: (made.id, made.digest))
    if rule == "first":
        return by_name
    return sorted(by_name, key=_time, reverse=rule != "oldest")


def _time(made: MadeMap) -> datetime:
    return made.when.start if made.when else _LONG_AGO


def combine(
    labels: NDArray[np.uint8],
    rule: Rule,
    nodata: int,
    confidence: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Make one map of several on the same grid.

    Args:
        labels: uint8 (N, h, w), the maps in the order of `in_order`.
        rule: What happens where more than one has data.
        nodata: Label without data; such pixels never decide.
        confidence: uint8 (N, h, w), greater is surer; only for `most-confident`.

    Returns:
        Labels, uint8 (h, w), and for each pixel the position in N of the map that decided, int64
        (h, w); -1 where no map has data. For `majority` it is the first map with that label.
    """
    known = labels != nodata
    if rule == "most-confident":
        assert confidence is not None
        score = np.where(known, confidence.astype(np.int64), -1)
    elif rule == "majority":
        score = np.where(known, _votes(labels), -1)
    else:
        score = np.where(known, 0, -1)
    which = score.argmax(axis=0)  # The first of equals.
    which[~known.any(axis=0)] = -1
    taken = np.take_along_axis(labels, np.maximum(which, 0)[None], axis=0)[0]
    return np.where(which < 0, np.uint8(nodata), taken), which


def _votes(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count for each map and pixel the maps that have the same label there: int64 (N, h, w)."""
    votes = np.zeros(labels.shape, np.int64)
    for one in labels:
        votes += labels == one
    return votes
