"""The light over a scene as data: what is found, how evidence is weighed, limits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WATER, BETWEEN, THICK = 0, 1, 2
"""What a segment is: open water, thick ice, or something between."""

MIN_GAIN, MAX_HAZE = 0.25, 0.75
"""Deeper shadow and denser cloud than these leave nothing to see."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Small = NDArray[np.int8]


class Weights(NamedTuple):
    """How evidence is weighed; deviations are in grey levels.

    Found on generated scenes of development seeds; none of them is sharp.
    """

    rounds: int = 40
    """Times that classes and fields are found from each other."""
    sweeps: int = 30
    """Relaxation sweeps over the grid in a round."""
    relaxation: float = 1.6
    """Factor of successive over-relaxation."""
    settled: float = 0.0005
    """Change of g and h below which sweeps end; rounds end at ten times that."""
    smooth: float = 1000.0
    """Inverse variance of the difference of g, or of h, between neighbouring cells."""
    clear: float = 3.0
    """Pull of the fields towards a clear sky, divided by their size."""
    level: float = 16.0
    """Deviation of a surface from the range of its class."""
    early_level: float = 5.0
    """Classes are doubtful at first: `level` starts this many times larger."""
    early_rounds: float = 4.0
    """Rounds in which that falls to a third."""
    middle: float = 80.0
    """Deviation from the middle of the class, where there is shadow or haze."""
    slope: float = 3.0
    """Deviation of a segment's change between cells, plus `texture` times its brightness."""
    texture: float = 0.015
    level_pixels: float = 64.0
    """Part sizes above this count no more: neighbouring pixels say the same."""
    slope_pixels: float = 32.0
    outlier: float = 3.0
    """Deviations beyond which evidence loses weight (Huber)."""
    doubt_thick: float = 80.0
    """How far below its range, per unit of lost gain, a segment may still be thick ice."""
    doubt_water: float = 80.0
    """How far above its range, per unit of haze, a segment may still be open water."""
    least: float = 12.0
    """Smallest segment, in segment pixels, that is evidence for its class: of a smaller one most
    pixels are mixed."""


class Light(NamedTuple):
    """What was found."""

    gain: Floats
    """(cells,), g in 0.25..1; 1 is no shadow."""
    haze: Floats
    """(cells,), h in 0..0.75; 0 is no cloud."""
    code: Small
    """(S,), WATER, BETWEEN or THICK for each segment."""
    brightness: Floats
    """(S,), V of each segment under a clear sky; 0 for segments without pixels."""
    misfit: Floats
    """(cells,), how far segments change otherwise than the light: squared deviations, relative to
    the expected ones and at most 5, times the pixels that count, summed."""
    evidence: Floats
    """(cells,), those pixels, summed."""
