"""Pictures of the scenes on which methods are worst, and on which they help most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common.pictures import Panel, draw_thinned
from benchmarks.common.workers import for_each_scene
from benchmarks.labels.methods import THRESHOLDS, title
from benchmarks.labels.scenes import BenchScene, make_bench_scene
from benchmarks.labels.scoring import (
    Codes,
    SceneResult,
    contaminated,
    label_all,
    methods_of,
    most_harmed,
    most_helped,
    worst,
)
from benchmarks.labels.sets import SceneSpec
from polynya.report.pictures import thinning

Plan = dict[SceneSpec, list[tuple[Path, str]]]
"""File and heading of each picture of a scene."""


def draw_worst_scenes(
    results: Sequence[SceneResult], folder: Path, jobs: int | None = None
) -> list[Path]:
    """Draw the worst contaminated scene of each filter, and those that it harms and helps most.

    Returns the files, `worst_<method>.png`, `harmed_<method>.png` and `helped_<method>.png`.
    """
    chosen = contaminated(results)
    plan: Plan = {}
    for method in methods_of(results):
        if method == THRESHOLDS:
            continue
        for name, what, spec in (
            ("worst", "least right by", worst(chosen, method).spec),
            ("harmed", "most harmed by", most_harmed(chosen, method).spec),
            ("helped", "most helped by", most_helped(chosen, method).spec),
        ):
            file = f"{name}_{method.replace(', ', '_')}.png"
            picture = (folder / file, f"{spec.name}: {what} {title(method)}")
            plan.setdefault(spec, []).append(picture)
    for_each_scene(partial(_draw_planned, plan), list(plan), "Drawing scenes", jobs)
    return [path for pictures in plan.values() for path, _ in pictures]


def _draw_planned(plan: Plan, spec: SceneSpec) -> None:
    draw_scene(spec, plan[spec])


def draw_scene(spec: SceneSpec, pictures: Sequence[tuple[Path, str]]) -> None:
    """Draw a scene, its truth and the labels of every method, as files with headings."""
    scene = make_bench_scene(spec)
    found = label_all(scene, with_bands=scene.layers is not None)
    labels = {title(method): codes for method, codes in found.items()}
    for path, heading in pictures:
        draw_thinned(path, panels_of(scene, labels), heading, thinning(*scene.truth.shape))


def panels_of(scene: BenchScene, labels: Mapping[str, Codes]) -> list[Panel]:
    """Return panels of a scene, its truth, and labels with their share of correct pixels."""
    panels = [("Scene", scene.observed), ("Truth", scene.truth)]
    for name, codes in labels.items():
        right = float(np.mean((codes == scene.truth)[scene.valid]))
        panels.append((f"{name}: {right:.1%}", codes))
    return panels
