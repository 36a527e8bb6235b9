"""Pictures of the scenes on which the model is worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.models import AFTER_FILTER, THROUGH_CLOUD, Workplace
from benchmarks.accuracy.report import GOAL_SETS
from benchmarks.accuracy.scoring import model_labels
from benchmarks.common.pictures import draw_thinned
from benchmarks.labels.methods import title
from benchmarks.labels.pictures import panels_of
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.scoring import SceneResult, contaminated, label_all, of_set, worst
from inference.predict.predict import open_model

_PANEL = 512
"""Longest side of a panel in pixels."""


def draw_worst(results: Sequence[SceneResult], place: Workplace) -> list[Path]:
    """Draw the model's worst contaminated scene of each set with a goal.

    Returns the files, `worst_<set>.png`.
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
        path = place.out / f"worst_{name}.png"
        step = -(-max(scene.truth.shape) // _PANEL)
        draw_thinned(path, panels_of(scene, labels), f"{spec.name}: least right", step, columns=3)
        paths.append(path)
    return paths
