"""Calibration: of the labels that the filter calls 96 % sure, are 96 % right?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.sky import clear_brightness, confidence, estimate_sky
from autolabel.thresholds.brightness import brightness
from benchmarks.common.report import percent
from benchmarks.labels.methods import ILLUMINATION, WITH_BANDS
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.sets import SceneSpec
from data_samples import SKY_KINDS
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

BINS = (0.5, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
"""Limits of the bins of confidence; the first value of a bin belongs to it."""
SURE = 0.95
"""Confidence from which on a label counts as sure."""


@dataclass(frozen=True)
class Calibration:
    """Pixels of one scene, seen by the filter in one way."""

    spec: SceneSpec
    method: str
    """`ILLUMINATION` or `WITH_BANDS`."""
    pixels: NDArray[np.intp]
    """(bins,), pixels of each bin."""
    right: NDArray[np.intp]
    """(bins,), those with the true class."""
    said: NDArray[np.float64]
    """(bins,), sum of their confidence."""
    sure: float
    """Share of the pixels with a confidence of at least `SURE`."""


def measure_calibration(spec: SceneSpec) -> list[Calibration]:
    """Make a scene and compare the confidence with the truth, without and with other bands."""
    scene = make_bench_scene(spec)
    value, levels = brightness(scene.observed), Levels()
    counted = scene.valid & (scene.truth != SEA_ICE.nodata)
    found = []
    for method, layers in ((ILLUMINATION, None), (WITH_BANDS, scene.layers)):
        if method == WITH_BANDS and layers is None:
            continue
        sky = estimate_sky(
            scene.observed, scene.valid, layers=layers, stretch=scene.stretch, value=value
        )
        label = levels.classes(clear_brightness(value, scene.valid, sky))
        said = confidence(value, scene.valid, sky)[counted].astype(np.float64)
        right = (label == scene.truth)[counted]
        index = np.clip(np.digitize(said, BINS) - 1, 0, len(BINS) - 2)
        count = len(BINS) - 1
        pixels, correct = (np.bincount(own, minlength=count) for own in (index, index[right]))
        total = np.bincount(index, said, count).astype(np.float64)
        sure = float(np.mean(said >= SURE)) if len(said) else np.nan
        found.append(Calibration(spec, method, pixels, correct, total, sure))
    return found


def calibration_table(scenes: Sequence[Calibration]) -> Table:
    """What the confidence says and what is right, in percent, by set and method, over all skies."""
    rows = tuple((name, method, *_cells(own)) for name, method, own in _groups(scenes))
    bins = [f"{low:g} to {high:g}" for low, high in pairwise(BINS)]
    return Table("Says / right, %", ("set", "method", *bins), rows)


def sure_table(scenes: Sequence[Calibration]) -> Table:
    """Share of the pixels that are sure, in percent, by set, method and sky."""
    rows = []
    for name, method, own in _groups(scenes):
        of_sky = [[one.sure for one in own if one.spec.sky == sky] for sky in SKY_KINDS]
        rows.append((name, method, *(percent(float(np.mean(one)), 1) for one in of_sky)))
    heading = f"Confidence at least {SURE:g}, % of pixels"
    return Table(heading, ("set", "method", *SKY_KINDS), tuple(rows))


def _groups(scenes: Sequence[Calibration]) -> Iterator[tuple[str, str, list[Calibration]]]:
    """Yield set, method and scenes of each row of the tables; "all" is all sets."""
    sets = dict.fromkeys(one.spec.set_name for one in scenes)
    for name, method in product((*sets, "all"), (ILLUMINATION, WITH_BANDS)):
        own = [s for s in scenes if s.method == method and name in (s.spec.set_name, "all")]
        if own:
            yield name, method, own


def _cells(scenes: Sequence[Calibration]) -> list[str]:
    pixels, right, said = (
        np.sum([getattr(scene, name) for scene in scenes], axis=0)
        for name in ("pixels", "right", "said")
    )
    return [
        f"{100 * s / n:.1f} / {100 * r / n:.1f}" if n else ""
        for n, r, s in zip(pixels, right, said, strict=True)
    ]
