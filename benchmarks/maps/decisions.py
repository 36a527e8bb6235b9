"""Benefit of test-time augmentation, an ensemble, weights of classes and tidying.

No setting is chosen on the scored scenes: settings are fixed here, or `polynya tune` finds them on
the validation scenes of the model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.common.cli import ModelOption
from benchmarks.common.commands import ROOT, run_measured
from benchmarks.common.models import DEMO
from benchmarks.common.report import Report, table_of
from inference.predict.decision import Decision
from inference.predict.ensemble import combine
from inference.predict.predict import open_model, predict_scene
from inference.tune.known import Known, known_scenes
from inference.tune.search import Trial, find_decision, trials_table
from polynya.progress import track
from polynya.report.tables import Table
from polynya.scenes.truth import SKIES
from polynya.storage.files import output_folder
from training.metrics.confusion import confusion_matrix, scores
from training.model_folder.folder import CARD_FILE, TrainedModel

VALIDATION = (
    *(f"data_samples/scenes/train/*_{sky}.tif" for sky in SKIES),
    *(f"{DEMO}/scenes/*_{sky}.tif" for sky in SKIES if sky != "clear"),
)
"""The scenes that the demo labels; scenes that trained the model are removed later."""
HELDOUT = tuple(f"data_samples/scenes/heldout/*_{sky}.tif" for sky in SKIES)

_BASE = "most probable class"


def decisions(
    report: Report,
    model: ModelOption = DEMO / "model",
    shards: Annotated[
        Path, typer.Option(help="Shards of the model; a second model is trained on them.")
    ] = DEMO / "shards",
    validation: Annotated[
        list[str] | None, typer.Option(help="Pattern of scenes with truth for the search.")
    ] = None,
    heldout: Annotated[
        list[str] | None, typer.Option(help="Pattern of scenes with truth to score.")
    ] = None,
) -> None:
    """Measure the gain of turns, an ensemble, class weights and tidying on held-out scenes."""
    work = report.folder / "work"
    opened = open_model(model.absolute())
    second = train_second(opened, shards.absolute(), work / "second")
    patterns = validation or list(VALIDATION), heldout or list(HELDOUT)
    runs, trials = measure_decisions(opened, second, *patterns, work / "ensemble")
    tables = {
        "decisions": decisions_table(runs, "From probabilities to classes, on held-out scenes"),
        "search": trials_table(trials, "mean_iou"),
    }
    about = f"Model: {model}, and a second one of the same recipe with another seed."
    report.write("decisions", "Maps: decisions and ensembles", about, tables)


@dataclass(frozen=True)
class DecisionRun:
    """One way from probabilities to classes, over all held-out scenes."""

    name: str
    accuracy: float
    """Share of correct pixels among the valid ones."""
    mean_iou: float
    """Mean over classes of intersection over union."""
    seconds: float
    """Time to predict all scenes."""


def fixed_decisions(n_classes: int) -> dict[str, Decision]:
    """Return decisions that change one setting each, with usual values and without a search."""

    def every(number: int) -> tuple[int, ...]:
        return (number,) * n_classes

    return {
        _BASE: Decision(),
        "mean over 4 flips": Decision(tta="flips"),
        "mean over 8 flips and turns": Decision(tta="dihedral"),
        "probabilities smoothed, sigma 1": Decision(smooth=1.0),
        "closing, radius 1": Decision(closing=every(1)),
        "opening, radius 1": Decision(opening=every(1)),
        "holes under 16 pixels filled": Decision(least_hole=every(16)),
        "regions under 16 pixels removed": Decision(least_region=every(16)),
    }


def train_second(model: TrainedModel, shards: Path, folder: Path) -> TrainedModel:
    """Train a second model with the same recipe and shards and another seed, unless it exists."""
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
    """Score fixed settings, the settings that the search finds, and an ensemble.

    Decisions in the model's folder are ignored. Returns the runs, first the base, and the trials of
    the search.
    """
    known = known_scenes(model, heldout)
    found, trials = find_decision(model, known_scenes(model, validation))
    settings = fixed_decisions(model.recipe.classes.n_classes)
    settings["weights of classes, by polynya tune"] = Decision(weights=found.weights)
    settings["all that polynya tune keeps"] = found
    combine([model.folder, second.folder], [1.0, 1.0], folder, overwrite=True)
    both = open_model(folder)
    pairs = [(name, model, decision) for name, decision in settings.items()]
    pairs.append(("two models", both, Decision()))
    pairs.append(("two models, and all that polynya tune keeps", both, found))
    # Compile and read files once before, so that their time doesn't count for the first setting.
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
    """One row per setting; gains are over the first row, in percentage points."""
    base = runs[0]
    return table_of(
        title,
        runs,
        {
            "setting": lambda run: run.name,
            "pixels right %": lambda run: f"{100 * run.accuracy:.2f}",
            "gain": lambda run: f"{100 * (run.accuracy - base.accuracy):+.2f}",
            "mean IoU %": lambda run: f"{100 * run.mean_iou:.2f}",
            "gain of it": lambda run: f"{100 * (run.mean_iou - base.mean_iou):+.2f}",
            "times the time": lambda run: f"{run.seconds / base.seconds:.1f}",
        },
    )
