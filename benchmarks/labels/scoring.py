"""Compare the labels of every method with the truth of a scene, and sum over scenes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autolabel import label_image
from benchmarks.labels.methods import ILLUMINATION, METHODS, THRESHOLDS, WITH_BANDS
from benchmarks.labels.scenes import BenchScene, make_bench_scene
from benchmarks.labels.sets import CONTAMINATED, SceneSpec
from polynya.recipe.classes import SEA_ICE
from training.metrics.confusion import confusion_matrix, scores

Codes = NDArray[np.uint8]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SceneResult:
    """Counts of labels of one scene by every method."""

    spec: SceneSpec
    counts: dict[str, Counts]
    """int64 (C, C + 1) by method: a row per true class, a column per label, last "no label"."""

    @property
    def pixels(self) -> int:
        """Number of pixels with data."""
        return int(self.counts[THRESHOLDS].sum())

    def right(self, method: str) -> float:
        """Return the share of correct pixels with data; a pixel without a label is not correct."""
        return float(np.trace(self.counts[method])) / self.pixels


def score_scene(spec: SceneSpec, with_bands: bool = False) -> SceneResult:
    """Make a scene, label it by every method and count; for `with_bands` see `label_all`."""
    scene = make_bench_scene(spec)
    labels = label_all(scene, with_bands)
    counts = {method: count_labels(scene.truth, codes) for method, codes in labels.items()}
    return SceneResult(spec, counts)


def label_all(scene: BenchScene, with_bands: bool = False) -> dict[str, Codes]:
    """Label a scene by every method; return class codes, uint8 (H, W), by method.

    Args:
        scene: The methods see its image.
        with_bands: Also run `WITH_BANDS`, which sees the layers of the scene too. On a scene
            without layers it is the illumination filter.
    """
    labels: dict[str, Codes] = {
        method: label_image(scene.observed, method=method, valid=scene.valid) for method in METHODS
    }
    if with_bands:
        labels[WITH_BANDS] = label_image(
            scene.observed,
            method=ILLUMINATION,
            valid=scene.valid,
            layers=scene.layers,
            stretch=scene.stretch,
        )
    return labels


def count_labels(truth: Codes, codes: Codes) -> Counts:
    """Count pixels by true class and label, where the truth is known.

    Args:
        truth: uint8 (H, W), class codes, 255 where unknown.
        codes: uint8 (H, W), class codes, 255 where there is no label.

    Returns:
        int64 (C, C + 1): a row per true class, a column per label, the last column "no label".
    """
    n = SEA_ICE.n_classes
    labels = np.where(codes == SEA_ICE.nodata, n, codes)
    return confusion_matrix(truth, labels, n + 1, SEA_ICE.nodata)[:n]


def of_set(results: Iterable[SceneResult], name: str) -> list[SceneResult]:
    """Return the results of one set; "all" means all sets."""
    return [result for result in results if name in (result.spec.set_name, "all")]


def of_sky(results: Iterable[SceneResult], *skies: str) -> list[SceneResult]:
    """Return the results under some skies."""
    return [result for result in results if result.spec.sky in skies]


def contaminated(results: Iterable[SceneResult]) -> list[SceneResult]:
    """Return the results under cloud, shadow or both."""
    return of_sky(results, *CONTAMINATED)


def mean_right(results: Sequence[SceneResult], method: str) -> float:
    """Return the mean over scenes of the share of correct pixels: every scene counts the same."""
    return float(np.mean([result.right(method) for result in results]))


def worst(results: Iterable[SceneResult], method: str) -> SceneResult:
    """Return the scene on which a method has the fewest correct pixels."""
    return min(results, key=lambda result: result.right(method))


def most_harmed(results: Iterable[SceneResult], method: str) -> SceneResult:
    """Return the scene on which a method loses most, compared with thresholds alone."""
    return max(results, key=lambda result: loss(result, method))


def most_helped(results: Iterable[SceneResult], method: str) -> SceneResult:
    """Return the scene on which a method gains most, compared with thresholds alone."""
    return min(results, key=lambda result: loss(result, method))


def loss(result: SceneResult, method: str) -> float:
    """Return the share of correct pixels by thresholds alone minus that by a method."""
    return result.right(THRESHOLDS) - result.right(method)


def total_counts(results: Sequence[SceneResult], method: str) -> Counts:
    """Sum the counts of scenes, int64 (C, C + 1): every pixel counts the same."""
    return np.asarray(sum(result.counts[method] for result in results), np.int64)


def class_scores(counts: Counts, score: Literal["recall", "f1"]) -> NDArray[np.float64]:
    """Return a score of each class, float64 (C,); NaN where it is undefined.

    Pixels without a label are misses: a row of zeros makes the matrix square.
    """
    square = np.vstack([counts, np.zeros((1, counts.shape[1]), np.int64)])
    return scores(square)[score][: len(counts)]


def methods_of(results: Sequence[SceneResult]) -> tuple[str, ...]:
    """Return the measured methods, in their order."""
    return tuple(results[0].counts)
