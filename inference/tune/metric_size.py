"""The search in another size than that of the scenes, as competitions take their metric."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from inference.predict.decision import Decision
from inference.predict.resize import Size
from inference.tune.known import Known
from polynya.errors import SceneError

_AREAS = ("least_hole", "least_region")
_LENGTHS = ("closing", "opening")
_LONGEST = 64
"""Greatest radius of a `Decision`."""


def pixels_below(known: Sequence[Known], size: Size) -> float:
    """Find how many pixels of the scenes there are below a pixel of another size.

    Raises:
        SceneError: The scenes have different sizes, so there is no such number.
    """
    first = known[0].scene
    for scene in (one.scene for one in known):
        if (scene.height, scene.width) != (first.height, first.width):
            raise SceneError(
                f"{first.id} has {first.height} x {first.width} pixels and {scene.id}"
                f" {scene.height} x {scene.width}; with --size, give scenes of one size, as"
                " regions are found in pixels, or leave --size out."
            )
    return first.height * first.width / (size[0] * size[1])


def in_scene_pixels(key: str, value: Any, pixels: float) -> Any:
    """Bring the value of a key of a decision from pixels of the metric's size to the scenes'.

    Args:
        key: Key of `Decision`.
        value: Its value; only sizes and radii change.
        pixels: From `pixels_below`.
    """
    if key in _AREAS:
        return tuple(round(number * pixels) for number in value)
    if key in _LENGTHS:
        return tuple(min(round(radius * sqrt(pixels)), _LONGEST) for radius in value)
    return value


def decision_in_scene_pixels(decision: Decision, pixels: float) -> Decision:
    """Bring all numbers of a decision to pixels of the scenes; see `in_scene_pixels`."""
    changes = {
        key: in_scene_pixels(key, getattr(decision, key), pixels) for key in (*_AREAS, *_LENGTHS)
    }
    return decision.model_copy(update=changes)
