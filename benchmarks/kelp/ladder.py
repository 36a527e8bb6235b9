"""What each step of the kelp study gains on generated tiles, and how much a random split flatters.

The steps are those of M. Wierzbiński's ladder ("Geospatial Deep Learning: Winning Strategies for
Segmenting Kelp Forests from Satellite Imagery", Data Science Summit 2024), as far as they concern
data and training. Each step is added to those before it, trained with several seeds, and scored on
tiles of places that no training has seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from benchmarks.common.cli import QuickOption
from benchmarks.common.commands import ROOT, run
from benchmarks.common.report import Report, table_of
from benchmarks.kelp.flow import SAMPLING, group_score
from benchmarks.kelp.groups import pairs_table
from data_samples.kelp import Planted, write_kelp
from inference.studies.gains import points, verdict
from inference.studies.sweep.study import load_study
from polynya.progress import track
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.shards.dataset import open_shards
from polynya.storage.files import output_folder
from polynya.storage.output_folder import open_output
from training.metrics.confusion import confusion_of, empty_confusion, scores

SplitName = Literal["random", "duplicates"]
_BATCH = 4


@dataclass(frozen=True)
class Rung:
    """A step of the ladder."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Sections of the recipe and keys in them, in addition to those of the steps before."""
    split: SplitName = "duplicates"


def rungs(filters: Sequence[int]) -> list[Rung]:
    """List the steps; the last one doubles the filters of the model.

    Those in between are the steps of the study `kelp_ladder` that concern data and loss.
    """
    shipped = load_recipe("kelp").model_dump(mode="json", exclude_unset=True)
    values = {
        "training.loss": {"training": {"loss": shipped["training"]["loss"]}},
        "training.sampling": {"training": {"sampling": SAMPLING}},
        "features": {"features": shipped["features"]},
    }
    steps = load_study("kelp_ladder").options.parameters["ladder"].steps or {}
    return [
        Rung("baseline: random split, cross-entropy, bands by z-score", split="random"),
        Rung("+ split by near-duplicates"),
        *(Rung(name, values[keys[0]]) for name, keys in steps.items()
          if isinstance(keys, tuple) and keys[0] in values),
        Rung("+ twice the filters", {"model": {"filters": [2 * number for number in filters]}}),
    ]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    size: int
    tiles: int
    test: int
    epochs: int
    seeds: int
    filters: tuple[int, ...] = (8, 16, 32)

    def recipe(self, so_far: Sequence[Rung], split: Path, seed: int) -> Recipe:
        """Recipe of a training with all steps so far."""
        content = load_recipe("kelp").model_dump(mode="json", exclude_unset=True)
        content |= {
            "seed": seed,
            "split": {"file": str(split), "fold": 0},
            "model": {
                "filters": list(self.filters),
                "dropout": [0.0] * len(self.filters),
                # As the study's networks; without it, so rare a class is never found.
                "batch_norm": "local",
            },
            "features": {"scaling": "z_score"},
            "training": {"epochs": self.epochs, "batch_size": _BATCH, "learning_rate": 0.005,
                         "schedule": "cosine", "augment": {"dihedral": True}},
        }  # fmt: skip
        content["tiles"]["size"] = self.size
        for rung in so_far:
            for section, keys in rung.changes.items():
                content[section] = {**content[section], **keys}
        return Recipe.model_validate(content)


@dataclass(frozen=True)
class Score:
    """Dice of kelp of one training, 0..1, over all pixels of some tiles."""

    validation: float
    test: float
    """On tiles of places that no training has seen."""


def ladder(
    report: Report,
    tiles: Annotated[int, typer.Option(min=40, help="Tiles to learn from and to validate.")] = 160,
    test: Annotated[int, typer.Option(min=2, help="Tiles of other places to score on.")] = 100,
    size: Annotated[int, typer.Option(min=64, help="Edge of the tiles in pixels.")] = 96,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 16,
    seeds: Annotated[int, typer.Option(min=2, help="Trainings of each step.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 2,
    quick: QuickOption = False,
) -> None:
    """Add the steps of the kelp study one by one; Dice on unseen places, with intervals."""
    plan = Plan(64, 40, 12, 1, 2, (4, 8)) if quick else Plan(size, tiles, test, epochs, seeds)
    steps = rungs(plan.filters)[:2] if quick else rungs(plan.filters)
    folder = report.folder / "ladder"
    planted = make_data(plan, folder)
    each = [(steps[: n + 1], seed) for n in range(len(steps)) for seed in range(plan.seeds)]
    with ThreadPoolExecutor(jobs) as pool:
        models = list(
            track(pool.map(lambda one: train(plan, one[0], folder, one[1]), each), "Climbing",
                  len(each))
        )  # fmt: skip
    scored = [score_model(model, folder / "test-shards") for model in models]
    found = [scored[start : start + plan.seeds] for start in range(0, len(each), plan.seeds)]
    groups = [group_score(planted, split_file(folder, "duplicates", s)) for s in range(plan.seeds)]
    tables = {
        "ladder": ladder_table(steps, found),
        "leak": leak_table(steps[:2], found[:2]),
        "ladder_groups": pairs_table(groups[:1]),
    }
    about = (
        f"{plan.tiles} tiles of {plan.size} x {plan.size} pixels, a fifth of them validates;"
        f" {plan.test} tiles of other places to score on; {plan.epochs} epochs; {plan.seeds} seeds,"
        " each with splits and first weights of its own, the same for all steps. Dice of kelp over"
        " all pixels, with a threshold of 0.5. Intervals are Student's, of 95 %; gains are"
        " differences of trainings with the same seed."
    )
    report.write("ladder", "Kelp tiles: what each step gains", about, tables)


def split_file(folder: Path, split: SplitName, seed: int) -> Path:
    """File of a split."""
    return folder / f"{split}-{seed}.json"


def make_data(plan: Plan, folder: Path) -> list[Planted]:
    """Make and import the tiles and split them for each seed; old results are replaced."""
    logs = output_folder(folder / "logs")
    recipe = folder / "import.yaml"
    plan.recipe([], folder / "none.json", 0).save(recipe)
    planted = []
    for name, seed, count in (("tiles", 0, plan.tiles), ("test", 1, plan.test)):
        with open_output(folder / name, "samples") as place:
            planted.append(write_kelp(place, seed, count, plan.size, 0))
        words = ["--out", str(folder / f"{name}-shards"), "--recipe", str(recipe), "--overwrite"]
        run(["polynya", "import", "kelp", str(folder / name), *words], logs / f"import-{name}.txt")
    names: tuple[SplitName, ...] = ("random", "duplicates")
    for seed in range(plan.seeds):
        for split in names:
            out = split_file(folder, split, seed)
            words = ["--by", split, "--seed", str(seed), "--out", str(out)]
            command = ["polynya", "split", str(folder / "tiles-shards"), *words]
            run(command, logs / f"split-{split}-{seed}.txt")
    return planted[0]


def train(plan: Plan, so_far: Sequence[Rung], folder: Path, seed: int) -> Path:
    """Train with all steps so far; returns the model's folder.

    Raises:
        CommandFailedError: The training failed.
    """
    name = f"{len(so_far) - 1}-{seed}"
    model, recipe = folder / f"model-{name}", folder / f"recipe-{name}.yaml"
    plan.recipe(so_far, split_file(folder, so_far[-1].split, seed), seed).save(recipe)
    command = [sys.executable, str(ROOT / "training/train.py"), "--overwrite"]
    words = ["--shards", str(folder / "tiles-shards"), "--recipe", str(recipe), "--out", str(model)]
    run([*command, *words], folder / "logs" / f"train-{name}.txt")
    return model


def score_model(model: Path, unseen: Path) -> Score:
    """Read the score on validation tiles, and take the score on shards of unseen places."""
    metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    known = metrics["validation"]["classes"]["kelp"]["f1"]
    return Score(float("nan") if known is None else known, dice_on(model, unseen))


def dice_on(model_folder: Path, shards_folder: Path) -> float:
    """Dice of kelp over all pixels of a data set, with a threshold of 0.5."""
    import keras

    from inference.predict.backends import open_forward
    from inference.predict.predict import open_model
    from inference.studies.out_of_fold import predicted

    keras.utils.clear_session()
    model, shards = open_model(model_folder), open_shards(shards_folder)
    forward = open_forward(model.keras_model, model.recipe.inference, model.classes.has_masks)
    tiles = list(shards.tiles(shards.row_groups(shards.scene_ids)))
    total = empty_confusion(model.classes)
    for start in range(0, len(tiles), _BATCH):
        part = tiles[start : start + _BATCH]
        for tile, found in zip(part, predicted(part, forward, model.recipe), strict=True):
            labels = (found[..., 0] >= 0.5).astype(np.uint8)
            total += confusion_of(tile.label, labels, model.classes)
    return float(scores(total)["f1"][0])


def ladder_table(steps: Sequence[Rung], found: Sequence[Sequence[Score]]) -> Table:
    """One row per step: Dice on unseen places, and its gain over the step before."""
    tests = [np.array([score.test for score in of_step]) for of_step in found]
    gains = [None, *(after - before for before, after in pairwise(tests))]
    return table_of(
        "Dice of kelp on places that no training has seen, %",
        list(zip(steps, tests, gains, strict=True)),
        {
            "step": lambda row: row[0].name,
            "Dice": lambda row: points(row[1]),
            "each seed": lambda row: ", ".join(f"{100 * value:.2f}" for value in row[1]),
            "gain": lambda row: "" if row[2] is None else points(row[2], "+"),
            "verdict": lambda row: "" if row[2] is None else verdict(row[2]),
        },
    )


def leak_table(steps: Sequence[Rung], found: Sequence[Sequence[Score]]) -> Table:
    """One row per split: Dice on its validation tiles, on unseen places, and the difference."""
    rows = []
    for step, of_step in zip(steps, found, strict=True):
        validation = np.array([score.validation for score in of_step])
        rows.append((step, validation, np.array([score.test for score in of_step])))
    return table_of(
        "Validation against unseen places, Dice of kelp, %",
        rows,
        {
            "split": lambda row: row[0].split,
            "validation": lambda row: points(row[1]),
            "unseen places": lambda row: points(row[2]),
            "too good by": lambda row: points(row[1] - row[2], "+"),
            "verdict": lambda row: {"gain": "flatters", "loss": "too strict"}.get(
                verdict(row[1] - row[2]), "inside the noise"
            ),
        },
    )
