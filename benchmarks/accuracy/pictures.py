"""Pictures of the scenes that the model gets least right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy.models import AFTER_FILTER, THROUGH_CLOUD, Workplace
from benchmarks.accuracy.report import GOAL_SETS
from benchmarks.accuracy.scoring import model_labels
from benchmarks.labels.methods import title
from benchmarks.labels.real import use_palette
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.scoring import SceneResult, contaminated, label_all, of_set, worst
from inference.predict.predict import open_model
from polynya.recipe.classes import SEA_ICE
from polynya.report.pictures import draw_panels

_PANEL = 512
"""Longest side of a panel in pixels."""


def draw_worst(results: Sequence[SceneResult], place: Workplace) -> list[Path]:
    """Draw, of each set with a goal, the contaminated scene that the model gets least right.

    Args:
        results: All scenes.
        place: Where the model is; pictures go there.

    Returns:
        The files, `worst_<set>.png`.
    """
    label_functions = {
        model.name: model_labels(open_model(place.model(model)))
        for model in (THROUGH_CLOUD, AFTER_FILTER)
    }
    paths = []
    for name in GOAL_SETS:
        chosen = contaminated(of_set(results, name))
        if not chosen:
            continue
        spec = worst(chosen, AFTER_FILTER.name).spec
        scene = make_bench_scene(spec)
        labels = {title(method): codes for method, codes in label_all(scene).items()}
        labels |= {name: label(scene) for name, label in label_functions.items()}
        panels = [("Scene", scene.observed), ("Truth", scene.truth)]
        for method, codes in labels.items():
            right = float(np.mean((codes == scene.truth)[scene.valid]))
            panels.append((f"{method}: {right:.1%}", codes))
        step = -(-max(scene.truth.shape) // _PANEL)
        thinned = [(text, image[::step, ::step]) for text, image in panels]
        path = place.out / f"worst_{name}.png"
        draw_panels(path, thinned, SEA_ICE, f"{spec.name}: least right", columns=3)
        use_palette(path)
        paths.append(path)
    return paths
