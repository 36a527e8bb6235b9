"""What test-time augmentation, an ensemble, weights of classes and tidying are worth.

Everything is chosen without the scenes that it is scored on: settings are fixed here or found by
`polynya tune` on the validation scenes of the model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common.commands import ROOT, run_measured
from inference.predict.decision import Decision
from inference.predict.ensemble import combine
from inference.predict.predict import open_model, predict_scene
from inference.tune.command import Known, Trial, find_decision, known_scenes
from polynya.progress import track
from polynya.report.tables import Table
from polynya.storage.files import output_folder
from training.metrics.confusion import confusion_matrix, scores
from training.model_folder.folder import CARD_FILE, TrainedModel

_BASE = "most probable class"


@dataclass(frozen=True)
class DecisionRun:
    """One way from probabilities to classes, over all held-out scenes."""

    name: str
    accuracy: float
    """Share of the valid pixels that are right."""
    mean_iou: float
    """Mean over classes of intersection over union."""
    seconds: float
    """To predict all scenes."""


def fixed_decisions(n_classes: int) -> dict[str, Decision]:
    """One thing at a time, as anyone would set it without a search."""

    def every(number: int) -> tuple[int, ...]:
        return (number,) * n_classes

    return {
        _BASE: Decision(),
        "mean over 4 flips": Decision(turns="flips"),
        "mean over 8 flips and turns": Decision(turns="dihedral"),
        "probabilities smoothed, sigma 1": Decision(smooth=1.0),
        "closing, radius 1": Decision(closing=every(1)),
        "opening, radius 1": Decision(opening=every(1)),
        "holes under 16 pixels filled": Decision(least_hole=every(16)),
        "regions under 16 pixels removed": Decision(least_region=every(16)),
    }


def train_second(model: TrainedModel, shards: Path, folder: Path) -> TrainedModel:
    """The same recipe with another seed, trained on the same shards, unless that was done before.

    Args:
        model: The first one.
        shards: What it was trained on.
        folder: For the second.

    Raises:
        CommandFailedError: Training failed.
    """
    recipe = model.recipe.model_copy(update={"seed": model.recipe.seed + 1})
    out, path = folder / "model", output_folder(folder) / "recipe.yaml"
    if not (out / CARD_FILE).is_file() or open_model(out).recipe.digest() != recipe.digest():
        recipe.save(path)
        script = [sys.executable, str(ROOT / "training/train.py"), "--recipe", str(path)]
        run_measured(
            [*script, "--shards", str(shards), "--out", str(out), "--overwrite"], folder / "cost"
        )
    return open_model(out)


def measure_decisions(
    model: TrainedModel,
    second: TrainedModel,
    validation: list[str],
    heldout: list[str],
    folder: Path,
) -> tuple[list[DecisionRun], list[Trial]]:
    """Score fixed settings, what the search finds, and an ensemble.

    Args:
        model: A trained one; what its folder says of decisions isn't used.
        second: Another of the same recipe.
        validation: Patterns of scenes for the search; those that trained the model are left out.
        heldout: Patterns of scenes to score.
        folder: For the ensemble.

    Returns:
        The runs, the first of which is the base, and the trials of the search.
    """
    known = known_scenes(model, heldout)
    found, trials = find_decision(model, known_scenes(model, validation))
    decisions = fixed_decisions(model.recipe.classes.n_classes)
    decisions["weights of classes, by polynya tune"] = Decision(weights=found.weights)
    decisions["all that polynya tune keeps"] = found
    combine([model.folder, second.folder], [1.0, 1.0], folder, overwrite=True)
    both = open_model(folder)
    pairs = [(name, model, decision) for name, decision in decisions.items()]
    pairs.append(("two models", both, Decision()))
    pairs.append(("two models, and all that polynya tune keeps", both, found))
    # Compiling and reading files for the first time are no cost of the first setting.
    for warmed in (model, both):
        score_decision(_BASE, warmed, known, Decision())
    runs = [
        score_decision(name, of_model, known, decision)
        for name, of_model, decision in track(pairs, "Scoring settings")
    ]
    return runs, trials


def score_decision(
    name: str, model: TrainedModel, known: Sequence[Known], decision: Decision
) -> DecisionRun:
    """Predict scenes with one decision and compare them with their truth."""
    classes = model.recipe.classes
    started = time.perf_counter()
    codes = [predict_scene(model, scene.scene, decision=decision).codes for scene in known]
    seconds = time.perf_counter() - started
    confusions = [
        confusion_matrix(scene.truth, found, classes.n_classes, classes.nodata)
        for scene, found in zip(known, codes, strict=True)
    ]
    numbers = scores(np.sum(confusions, axis=0))
    return DecisionRun(name, float(numbers["accuracy"]), float(numbers["mean_iou"]), seconds)


def decisions_table(runs: Sequence[DecisionRun], title: str) -> Table:
    """One row a setting; gains are over the first row, in points of per cent."""
    base = runs[0]
    rows = tuple(
        (
            run.name,
            f"{100 * run.accuracy:.2f}",
            f"{100 * (run.accuracy - base.accuracy):+.2f}",
            f"{100 * run.mean_iou:.2f}",
            f"{100 * (run.mean_iou - base.mean_iou):+.2f}",
            f"{run.seconds / base.seconds:.1f}",
        )
        for run in runs
    )
    columns = ("setting", "pixels right %", "gain", "mean IoU %", "gain of it", "times the time")
    return Table(title, columns, rows)
