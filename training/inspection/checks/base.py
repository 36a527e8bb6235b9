"""What a check is: a question asked of each tile, and a verdict over all answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from polynya.shards.scan import TilePixels, TilePlace

Role = Literal["image", "elevation", "mask"]

_ELEVATION = ("elevation", "dem", "height", "altitude", "bathymetry", "topography")
_MASK = ("mask", "qa", "scl", "clouds", "cloud")


@dataclass(frozen=True)
class TileSide:
    """Where a split puts a tile."""

    name: Literal["training", "validation", "neither", "unknown"]
    """Whether it trains or validates; "unknown" if the split's file lacks it."""
    groups: tuple[str, ...] = ()
    """Names of the groups it is in, of which each must stay on one side."""


@dataclass(frozen=True)
class Facts:
    """What is known of all tiles without their pixels."""

    classes: ClassScheme
    bands: tuple[str, ...]
    """Names of the B bands."""
    places: Sequence[TilePlace]
    """Places of the N tiles."""
    damage: Sequence[str]
    """Why a tile can't be read; "" for a tile that can."""
    class_pixels: NDArray[np.int64]
    """int64 (N, C), labelled pixels of each class."""
    sees_colors: bool = False
    """Whether the bands are 8-bit colours, where black means nodata but may also be black."""
    size: int = 0
    """Edge of a tile in pixels; tiles at the borders of scenes may be smaller."""
    sides: Sequence[TileSide] = ()
    """Side of each of the N tiles in the split; empty without one."""
    failed: Sequence[tuple[str, str]] = ()
    """Scenes that the manifest calls failed: id and reason, without a full stop."""


@dataclass(frozen=True)
class Found:
    """Something that a check found."""

    tile: int | None
    """0-based number of the tile; None if it concerns the whole data set."""
    reason: str
    """What is wrong with it, in a few words without a full stop."""


@dataclass(frozen=True)
class Check:
    """A check. Modules of this folder each have one, named `CHECK`."""

    name: str
    """Name of the finding, as in `--drop NAME`."""
    title: str
    """Heading in the report."""
    meaning: str
    """What the finding means and why it matters, one or two sentences."""
    remedy: str
    """What to do about it, one sentence."""
    judge: Callable[[Facts, Sequence[Any]], list[Found]]
    """Verdict from the facts and the N measures. A measure is None for a damaged tile."""
    measure: Callable[[TilePixels, Facts], Any] | None = None
    """Small summary of one tile that `judge` needs; None if `judge` needs no pixels. It is called
    for one tile after another; of the facts, only classes, bands and size are known then."""


def role_of(band: str) -> Role:
    """What a band shows, by its name: light ("image"), elevation, or a mask such as clouds."""
    words = band.lower().replace("-", "_").split("_")
    if any(word in _ELEVATION for word in words):
        return "elevation"
    return "mask" if any(word in _MASK for word in words) else "image"


def bands_of(facts: Facts, role: Role) -> list[int]:
    """0-based numbers of the bands of a role; all bands are the image if none shows light."""
    found = [number for number, band in enumerate(facts.bands) if role_of(band) == role]
    return found if found or role != "image" else list(range(len(facts.bands)))


def reported(measures: Sequence[str | None]) -> list[Found]:
    """Verdict of checks that look at each tile alone: a measure is the reason, or "" or None."""
    return [Found(tile, reason) for tile, reason in enumerate(measures) if reason]
