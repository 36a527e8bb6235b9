"""Agreement of automatic labels with the truth, in the paper's measure and by pixel.

The paper reports the structural similarity of automatic and manual label images: 89 % for original
and 99.64 % for filtered images ("A Parallel Workflow for Polar Sea-Ice Classification using
Auto-labeling of Sentinel-2 Imagery", IV-B2). Its scenes and manual labels aren't public, so this
benchmark uses generated scenes and their truth instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.labels.methods import METHODS, THRESHOLDS
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.scoring import label_all
from benchmarks.labels.sets import SceneSpec
from data_samples import SKY_KINDS
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table
from training.metrics.ssim import structural_similarity


@dataclass(frozen=True)
class Agreement:
    """Agreement of labels with the truth of one scene, by method."""

    spec: SceneSpec
    similarity: dict[str, float]
    """Structural similarity of the colour images, at most 1."""
    right: dict[str, float]
    """Share of the pixels with data that have the same class, 0..1."""


def measure_agreement(spec: SceneSpec) -> Agreement:
    """Make a scene, label it by every method and compare label image and truth."""
    scene = make_bench_scene(spec)
    labels = label_all(scene)
    truth = SEA_ICE.paint(scene.truth)
    return Agreement(
        spec,
        {
            method: structural_similarity(SEA_ICE.paint(codes), truth, scene.valid)
            for method, codes in labels.items()
        },
        {
            method: float(np.mean((codes == scene.truth)[scene.valid]))
            for method, codes in labels.items()
        },
    )


def agreement_table(scenes: Sequence[Agreement]) -> Table:
    """Means over scenes in percent: one row per image and sky, a pair of columns per measure."""
    rows = []
    for method in METHODS:
        images = "original" if method == THRESHOLDS else f"filtered: {method}"
        for sky in (*SKY_KINDS, "all"):
            chosen = [scene for scene in scenes if sky in (scene.spec.sky, "all")]
            similarity = np.nanmean([scene.similarity[method] for scene in chosen])
            right = np.mean([scene.right[method] for scene in chosen])
            numbers = (f"{100 * similarity:.2f}", f"{100 * right:.2f}")
            rows.append((images, sky, str(len(chosen)), *numbers))
    columns = ("images", "sky", "scenes", "SSIM", "pixels right")
    return Table("Agreement of automatic labels with the truth, %", columns, tuple(rows))
