"""Augmented copies of scenes, which `polynya augment` adds to shards.

A copy's tiles have the row and column of their originals. An id alone may be anything that a user
has called a file, so the column `label_source` says what is a copy.
"""

from __future__ import annotations

import re

_BEGINNING = "augmented/"


def copy_id(scene_id: str, number: int) -> str:
    """Id of a copy of a scene; copies are numbered from 1."""
    return f"{scene_id}-copy{number}"


def original_of(scene_id: str) -> str:
    """Id of the scene that a copy would be of, by its id; other ids stay as they are."""
    return re.sub(r"-copy[1-9][0-9]*$", "", scene_id)


def copy_source(label_source: str) -> str:
    """`label_source` of a copy's tiles, from that of the originals."""
    return _BEGINNING + label_source


def is_copy(label_source: str) -> bool:
    """Whether a tile is an augmented copy."""
    return label_source.startswith(_BEGINNING)
