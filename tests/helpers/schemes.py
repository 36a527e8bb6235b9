"""Schemes of classes that are not the ice's."""

from __future__ import annotations

from typing import Any

from polynya.recipe.classes import ClassScheme, LabelClass

_COLORS = ((200, 0, 0), (0, 100, 0), (0, 0, 50), (90, 90, 0), (0, 90, 90), (90, 0, 90), (9, 9, 9))


def scheme_of(n: int, kind: Any = "exclusive", **rest: Any) -> ClassScheme:
    """A scheme of some classes, or of masks that may overlap."""
    word = "mask" if kind == "masks" else "class"
    colors = [*_COLORS, *((250, 250, number) for number in range(n))]
    classes = tuple(
        LabelClass(code=code, name=f"{word}_{code}", title=f"{word.title()} {code}", color=color)
        for code, color in enumerate(colors[:n])
    )
    return ClassScheme(name=f"some-{kind}", kind=kind, classes=classes, **rest)
