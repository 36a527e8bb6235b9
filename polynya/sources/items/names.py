"""Names of scene files: safe on every file system, and different for each scene."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence

from polynya.names import scene_id
from polynya.sources.items.item import Item

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices, with any extension."""
_LONGEST = 120
"""Greatest number of characters; products of a scene have longer names."""
_DIGITS = 8


def scene_names(items: Sequence[Item], owner: Callable[[str], str | None]) -> list[str]:
    """Unique names of scene files without extension, in the order of items.

    In every run into a folder, the same item gets the same name. If two items have the same id, or
    if the name belongs to another scene, a digest of the item's address is added to the name.

    Args:
        items: Items of one run.
        owner: Returns the address of the item to which a name in the folder belongs; None if the
            name is free or its owner is unknown.
    """
    names = [_safe(item.id) for item in items]
    # On file systems of macOS and Windows, X.tif and x.tif are the same file.
    repeated = {name for name, count in Counter(map(str.lower, names)).items() if count > 1}
    taken: set[str] = set()
    result = []
    for item, name in zip(items, names, strict=True):
        theirs = owner(name)
        if theirs != item.uri and (theirs is not None or name.lower() in repeated):
            name = f"{name}-{_digest(item.uri)}"
        if name.lower() in taken:
            name = f"{name}-{_digest(repr(item))}"
        taken.add(name.lower())
        result.append(name)
    return result


def _safe(identifier: str) -> str:
    """Make a safe name: hidden, reserved, long and empty names change, others are `scene_id`."""
    name = scene_id(identifier + ".item")
    kept = name.lstrip("._-").rstrip(".")[:_LONGEST]
    if kept == name and not _RESERVED.fullmatch(name):
        return name
    return f"{'scene' if _RESERVED.fullmatch(kept) or not kept else kept}-{_digest(identifier)}"


def _digest(text: str) -> str:
    content = text.encode("utf-8", "backslashreplace")
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
