"""Data types of the light over a scene: the solution, weights of the evidence, limits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WATER, BETWEEN, THICK = 0, 1, 2
"""Kind of a segment: open water, something between, or thick ice."""

MIN_GAIN, MAX_HAZE = 0.25, 0.75
"""Limits of the fields: under deeper shadow or denser cloud nothing can be seen."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Small = NDArray[np.int8]


class Weights(NamedTuple):
    """Weights of the evidence; deviations are in grey levels.

    The values were found on generated scenes of development seeds. Small changes of a value make
    little difference.
    """

    rounds: int = 40
    """Rounds: each finds the classes from the fields, then the fields from the classes."""
    sweeps: int = 30
    """Relaxation sweeps over the grid in a round."""
    relaxation: float = 1.6
    """Factor of successive over-relaxation."""
    settled: float = 0.0005
    """Change of g and h below which sweeps end; rounds end below ten times this value."""
    smooth: float = 1000.0
    """Inverse variance of the difference of g, or of h, between neighbouring cells."""
    clear: float = 3.0
    """Pull of the fields towards a clear sky, divided by their size."""
    level: float = 16.0
    """Deviation of a surface from the range of its class."""
    early_level: float = 5.0
    """Additional factor on `level` at the start, when classes are doubtful: first it is 1 +
    `early_level` times as large."""
    early_rounds: float = 4.0
    """Rounds in which the additional factor falls to a third."""
    middle: float = 80.0
    """Deviation from the middle of the class, where there is shadow or haze."""
    slope: float = 3.0
    """Deviation of a segment's change between cells; `texture` times its brightness is added."""
    texture: float = 0.015
    level_pixels: float = 64.0
    """Most pixels of a part that count: neighbouring pixels say the same."""
    slope_pixels: float = 32.0
    outlier: float = 3.0
    """Evidence that errs by more than this many deviations loses weight (Huber)."""
    doubt_thick: float = 80.0
    """How far below its range, per unit of lost gain, a segment may still be thick ice."""
    doubt_water: float = 80.0
    """How far above its range, per unit of haze, a segment may still be open water."""
    least: float = 12.0
    """Smallest segment, in segment pixels, that is evidence for its class: in smaller segments
    most pixels are mixed."""


class Light(NamedTuple):
    """The solution: shadow and haze of the cells, classes of the segments, quality of the fit."""

    gain: Floats
    """(cells,), g in 0.25..1; 1 is no shadow."""
    haze: Floats
    """(cells,), h in 0..0.75; 0 is no cloud."""
    code: Small
    """(S,), WATER, BETWEEN or THICK for each segment."""
    brightness: Floats
    """(S,), V of each segment under a clear sky; 0 for segments without pixels."""
    misfit: Floats
    """(cells,), how far changes of segments differ from changes of the light: the sum of squared
    deviations times the pixels that count. Each deviation is relative to the expected one and at
    most 5."""
    evidence: Floats
    """(cells,), sum of the pixels that count."""
