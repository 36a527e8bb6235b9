"""Values that a Segmentation Gym configuration may have.

Each reader returns the value, or raises ValueError with what the value must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Reader = Callable[[Any], Any]


_MOST = 2**31 - 1


def whole(least: int, most: int = _MOST) -> Reader:
    """A whole number, also written as 10.0 as some published configurations do."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(about)
        if not math.isfinite(value) or value != int(value) or not least <= value <= most:
            raise ValueError(about)
        return int(value)

    about = f"a whole number from {least}" + (f" to {most}" if most < _MOST else "")
    return read


def number(least: float, most: float, about: str) -> Reader:
    """A number between two limits, both included."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(about)
        if not least <= value <= most:
            raise ValueError(about)
        return float(value)

    return read


def truth(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def one_of(*names: str) -> Reader:
    """One of several names."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return str(value)

    return read


def size(value: Any) -> tuple[int, int]:
    """Rows and columns."""
    about = "a list of rows and columns, such as [512, 512]"
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(about)
    try:
        rows, columns = (whole(1, 16384)(part) for part in value)
    except ValueError:
        raise ValueError(about) from None
    return rows, columns


def loss(value: Any) -> str:
    """Name of a loss in the recipe. The Gym looks at the beginning of the name for two of them."""
    if value in ("dice", "hinge"):
        return str(value)
    if isinstance(value, str) and value.startswith("cat"):
        return "crossentropy"
    if isinstance(value, str) and value.startswith("k"):
        return "kullback_leibler"
    raise ValueError("dice, cat (categorical cross-entropy), kld (Kullback-Leibler) or hinge")


def loss_weights(value: Any) -> bool | tuple[float, ...]:
    """Whether classes have weights, or a number for each class."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and value:
        weights = [number(0.0, 1e12, "")(part) for part in value if _is_number(part)]
        if len(weights) == len(value) and sum(weights) > 0:
            return tuple(weights)
    raise ValueError("true, false or a list of numbers from 0, one for each class")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def remap(value: Any) -> dict[int, int]:
    """New class by the number in the labels."""
    about = 'an object of numbers, such as {"0": 0, "1": 0, "2": 1}'
    if not isinstance(value, dict) or not value:
        raise ValueError(about)
    try:
        return {whole(0, 255)(int(key)): whole(0, 255)(new) for key, new in value.items()}
    except ValueError:
        raise ValueError(about) from None


def devices(value: Any) -> str:
    """Numbers of GPUs, or -1 for none, as a text or a number."""
    shown = str(value)
    parts = shown.split(",")
    if isinstance(value, bool) or not all(part.strip().lstrip("-").isdigit() for part in parts):
        raise ValueError('numbers of GPUs such as 0 or "0,1", or -1 for none')
    return shown
