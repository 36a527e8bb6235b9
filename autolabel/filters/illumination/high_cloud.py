"""Thin high cloud from the cirrus band.

At 1.38 um water vapour hides the ground and all that lies low, and only high cloud of ice is bright
(Gao, Goetz & Wiscombe 1993, Geophys. Res. Lett. 20, 301). So a picture in this band is a picture of
this cloud's haze h. What it takes is W_c, the brightness of opaque cloud there. As for the short
waves (`autolabel.filters.illumination.veil`), each scene tells its own by the changes inside dark
segments, and W is taken to be the least V of thick ice.

In very dry air some light of the ground comes through. Then bright ice is brighter in this band
than water is, as if cloud of a very low W_c lay over it. Such a W_c is not taken for cloud.
"""

from __future__ import annotations

import numpy as np

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import MAX_HAZE, Floats
from autolabel.filters.illumination.segments import CellParts
from autolabel.filters.illumination.weighted import percentile

_DARK = 100.0
"""Greatest V of surfaces that tell W_c."""
_LEAST_PIXELS, _MOST_PIXELS = 8, 64
"""A change between two cells needs the first number of pixels in both; more than the second say
nothing more."""
_LEAST_CHANGE = 0.002
"""Least change in the cirrus band that tells something, reflectance: less is noise."""
_LEAST_CHANGES = 10
"""Fewer changes than this give no estimate."""
_CLOUD = (0.04, 0.9)
"""Least and greatest W_c of cloud, reflectance."""
_LEAST_SHARE = 0.65
"""Share of the changes over dark surfaces that must look like cloud."""
_INVERSE_PERCENT = 45.0
"""Percentile of the estimates of 1 / W_c that is taken. It is below the middle, because too much
haze makes water of dark ice, and too little only leaves some light in the image."""
_BACKGROUND_PERCENT = 5.0
"""Percentile of the cells that stands for no cloud."""


def solve_high_cloud(parts: CellParts, cirrus: Floats, levels: Levels) -> Floats | None:
    """Find the haze of high cloud in each cell: float64 (cells,), 0..0.75.

    Args:
        parts: Brightness of segments by cell.
        cirrus: (cells,), reflectance in the cirrus band; NaN without data.
        levels: Brightness of the classes.

    Returns:
        None if too few changes look like cloud.
    """
    if np.isnan(cirrus).all():
        return None
    above = np.nan_to_num(cirrus - np.nanpercentile(cirrus, _BACKGROUND_PERCENT))
    here, there, pixels = parts.adjoining(_LEAST_PIXELS, _MOST_PIXELS)
    cell, mean = parts.cell, parts.mean
    value = 0.5 * (mean[here] + mean[there])
    change = above[cell[here]] - above[cell[there]]
    used = (value < _DARK) & (np.abs(change) > _LEAST_CHANGE)
    here, there, value, change = here[used], there[used], value[used], change[used]
    middle = 0.5 * (above[cell[here]] + above[cell[there]])
    # Inside a segment V changes by (W - V) dh / (1 - h), and the cirrus band by W_c dh. What is
    # looked for is 1 / W_c, because only the change of V has noise.
    slope = (mean[here] - mean[there]) / (change * (levels.bright - value))
    weight = pixels[used] * np.abs(change) * (levels.bright - value)
    if len(slope) < _LEAST_CHANGES:
        return None
    inverse = 0.0
    for _ in range(4):  # 1 - h depends on W_c.
        estimate = slope * (1.0 - np.minimum(middle * inverse, MAX_HAZE))
        inverse = percentile(estimate, weight, _INVERSE_PERCENT)
    like = (estimate > 1.0 / _CLOUD[1]) & (estimate < 1.0 / _CLOUD[0])
    if weight[like].sum() < _LEAST_SHARE * weight.sum():
        return None
    return np.asarray(np.clip(above * inverse, 0.0, MAX_HAZE), np.float64)
