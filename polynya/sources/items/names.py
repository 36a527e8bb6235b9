"""Names of scene files: safe on every file system, and never another scene's."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence

from polynya.names import scene_id
from polynya.sources.items.item import Item

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever their ending."""
_LONGEST = 120
"""Characters: products of a scene add to its name."""
_DIGITS = 8


def scene_names(items: Sequence[Item], owner: Callable[[str], str | None]) -> list[str]:
    """Names of scene files without ending, in the order of the items, no two alike.

    The same item gets the same name in every run into a folder. Where two have the same id, or
    another scene has the name already, a digest of where the item is stands behind it.

    Args:
        items: Of one run.
        owner: Gives the address of the item that a name in the folder belongs to; None if nobody
            has it, or nobody can say.
    """
    names = [_safe(item.id) for item in items]
    # File systems of macOS and Windows take X.tif and x.tif for one file.
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
    """A name that is no hidden, reserved, too long or empty one; others stay as `scene_id` says."""
    name = scene_id(identifier + ".item")
    kept = name.lstrip("._-").rstrip(".")[:_LONGEST]
    if kept == name and not _RESERVED.fullmatch(name):
        return name
    return f"{'scene' if _RESERVED.fullmatch(kept) or not kept else kept}-{_digest(identifier)}"


def _digest(text: str) -> str:
    content = text.encode("utf-8", "backslashreplace")
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
