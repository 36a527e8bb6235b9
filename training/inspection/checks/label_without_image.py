"""Tiles with labels where the image has no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of, reported

_LEAST_SHARE = 0.01
"""Least share of the labelled pixels that have no image; fewer are borders of nodata."""
_LEAST_BLACK_SHARE = 0.5
"""Least share in 8-bit colours, where deep lakes and dark leads are black too."""


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the share of labelled pixels without any value in a band of light, as a reason."""
    labelled = tile.label != facts.classes.nodata
    missing = np.isnan(tile.values[bands_of(facts, "image")]).all(axis=0)
    both = np.count_nonzero(labelled & missing)
    share = both / max(int(np.count_nonzero(labelled)), 1)
    least = _LEAST_BLACK_SHARE if facts.sees_colors else _LEAST_SHARE
    return f"{share:.0%} of the labelled pixels have no image" if share > least else ""


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "label-without-image",
    "Labels without image",
    "Pixels have a label although the image has no data there, so a model learns to guess.",
    "Check that image and label are of the same place and size; make the label nodata there, or"
    " drop them.",
    judge,
    measure,
)
