"""Augmented copies of scenes, which `polynya augment` adds to shards.

A copy's tiles have the row and column of their originals. An id alone may be anything that a user
has called a file, so the column `label_source` says what is a copy.
"""

from __future__ import annotations

_BEGINNING = "augmented/"


def copy_id(scene_id: str, number: int) -> str:
    """Id of a copy of a scene; copies are numbered from 1."""
    return f"{scene_id}-copy{number}"


def copy_source(label_source: str) -> str:
    """`label_source` of a copy's tiles, from that of the originals."""
    return _BEGINNING + label_source


def is_copy(label_source: str) -> bool:
    """Whether a tile is an augmented copy."""
    return label_source.startswith(_BEGINNING)
