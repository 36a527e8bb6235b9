"""What labels would be if the light were known: the most that a filter could reach.

The true shadow, the true haze, or both, are taken out of each pixel by the image model. What is
still wrong then comes from 8 bits and noise, not from the search for the light. So the table tells
which part of the light a filter fails to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolabel import label_image
from benchmarks.common.report import percent
from benchmarks.labels.methods import title
from benchmarks.labels.scenes import BenchScene, TrueLight, make_bench_scene
from benchmarks.labels.scoring import label_all
from benchmarks.labels.sets import CONTAMINATED, SceneSpec
from polynya.errors import PolynyaError
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

HAZE, SHADOW, BOTH = "known haze", "known shadow", "known light"
"""What is known, in the order of the tables."""


@dataclass(frozen=True)
class KnownResult:
    """Labels of one scene by the methods, and with known light."""

    spec: SceneSpec
    right: dict[str, float]
    """Share of the pixels with the true class, 0..1, by method."""


def measure_known(spec: SceneSpec) -> KnownResult:
    """Make a scene; label it by every method, and after the true light is taken out.

    Raises:
        PolynyaError: The light of the scene isn't known.
    """
    scene = make_bench_scene(spec)
    if scene.light is None:
        raise PolynyaError(
            f"the light of the set {spec.set_name} isn't known in every pixel; choose sets of"
            " make_scene, or spectral ones without gamma, by --sets"
        )
    labels = label_all(scene, with_bands=scene.layers is not None)
    for known in (HAZE, SHADOW, BOTH):
        image = without_light(scene, scene.light, known != SHADOW, known != HAZE)
        labels[known] = label_image(image, method="none", valid=scene.valid)
    counted = scene.valid & (scene.truth != SEA_ICE.nodata)
    right = {name: float(np.mean((one == scene.truth)[counted])) for name, one in labels.items()}
    return KnownResult(spec, right)


def without_light(
    scene: BenchScene, light: TrueLight, haze: bool, shadow: bool
) -> NDArray[np.uint8]:
    """Take the haze, the shadow or both out of the image, uint8 (H, W, 3)."""
    seen = scene.observed - light.black
    if haze:
        seen = (seen - light.cloud * light.haze) / (1.0 - light.haze)
    if shadow:
        seen = seen / light.gain
    grey = np.clip(np.rint(seen + light.black), 1, 255)
    return np.where(scene.valid[..., None], grey, 0).astype(np.uint8)


def known_table(results: Sequence[KnownResult]) -> Table:
    """Mean and worst share of correct pixels, in percent, by set and sky; a column per method."""
    names = list(dict.fromkeys(name for one in results for name in one.right))
    names.sort(key=(HAZE, SHADOW, BOTH).__contains__)  # Not all sets have other bands.
    rows = []
    for set_name in dict.fromkeys(one.spec.set_name for one in results):
        for sky in CONTAMINATED:
            own = [r for r in results if (r.spec.set_name, r.spec.sky) == (set_name, sky)]
            rows.append((set_name, sky, *(_mean_and_worst(own, name) for name in names)))
    columns = ("set", "sky", *map(title, names))
    return Table("Correct pixels, %: mean over scenes (worst scene)", columns, tuple(rows))


def _mean_and_worst(results: Sequence[KnownResult], name: str) -> str:
    shares = [one.right[name] for one in results if name in one.right]
    return f"{percent(float(np.mean(shares)))} ({percent(min(shares), 1)})" if shares else ""
