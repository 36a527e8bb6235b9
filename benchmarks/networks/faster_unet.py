"""The six networks of the study "Faster UNet" side by side on generated land cover.

The study (2023) trained each network once on LandCover.ai. Here each is trained with several seeds
on generated tiles of the same form, with the study's loss, optimizer and schedule. Accuracy is
that of networks with fewer filters, so that a run takes minutes; parameters, pass size and times
are also given for the networks as published.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.common.cli import QuickOption
from benchmarks.common.commands import ROOT, run
from benchmarks.common.report import Report
from benchmarks.networks.results import TABLE_4, Trained
from benchmarks.networks.tables import claims_table, iou_table, pairs_table, speed_table
from benchmarks.networks.timing import costs_of
from data_samples.landcover import write_landcover
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.pictures import draw_panels
from polynya.shards.dataset import open_shards
from polynya.storage.files import output_folder
from polynya.storage.output_folder import open_output
from training.metrics.confusion import confusion_of, scores

_BATCH = 8
"""Tiles in a batch, as in the study."""
_TIMED = 128
"""Edge in pixels of the images with which the networks as published are timed."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    size: int
    """Edge of the tiles in pixels."""
    tiles: int
    """Tiles to learn from; a quarter as many validate."""
    test: int
    """Tiles to score on."""
    epochs: int
    seeds: int
    divisor: int
    """By how much the filters of the networks are divided for the trainings."""
    rounds: int
    """How often the networks as published are timed."""

    def model(self, name: str) -> dict[str, Any]:
        """Section `model` of a training: the network with fewer filters."""
        section: dict[str, Any] = {"name": name}
        published = published_options(name)
        if hasattr(published, "convolutions"):
            section["filters"] = [n // self.divisor for n in published.filters]
            return section
        section["encoder_width"] = 1 / self.divisor
        if name == "unet_pp":
            section["decoder"] = [n // self.divisor for n in published.decoder]
        else:
            section["filters"] = published.filters // self.divisor
            section["fine_filters"] = published.fine_filters // self.divisor
        return section

    def recipe(self, name: str, seed: int) -> Recipe:
        """Recipe of a training: the shipped one, which has Table 1 of the study, made small."""
        content = load_recipe("land_cover").model_dump(mode="json", exclude_unset=True)
        content |= {
            "seed": seed,
            "tiles": {"size": self.size},
            "imports": {"kind": "landcover", "subsets": ["train", "val"]},
            "model": self.model(name),
            "inference": {"window": self.size},
        }
        content["training"] |= {"epochs": self.epochs, "batch_size": _BATCH}
        return Recipe.model_validate(content)


def published_options(name: str) -> Any:
    """Options of a network as published."""
    return Recipe.model_validate({"model": {"name": name}}).model


def faster_unet(
    report: Report,
    tiles: Annotated[int, typer.Option(min=8, help="Tiles to learn from.")] = 96,
    test: Annotated[int, typer.Option(min=2, help="Tiles to score on.")] = 48,
    size: Annotated[int, typer.Option(min=64, help="Edge of the tiles in pixels.")] = 64,
    epochs: Annotated[int, typer.Option(min=1, help="Greatest number of epochs.")] = 24,
    seeds: Annotated[int, typer.Option(min=2, help="Trainings of each network.")] = 3,
    divisor: Annotated[
        int, typer.Option(min=1, help="Divide the filters by this for the trainings.")
    ] = 8,
    quick: QuickOption = False,
) -> None:
    """Compare the networks of the study "Faster UNet": mIoU, times, pass size, parameters."""
    if quick:
        plan = Plan(64, 8, 4, epochs=1, seeds=2, divisor=16, rounds=1)
    else:
        plan = Plan(size, tiles, test, epochs, seeds, divisor, rounds=5)
    folder = report.folder / "faster_unet"
    make_data(plan, folder)
    found: dict[str, list[Trained]] = {name: [] for name in TABLE_4}
    # Networks take turns, so that a busy minute of the machine slows all of them.
    for seed in range(plan.seeds):
        for name in track(TABLE_4, f"Training with seed {seed}"):
            found[name].append(score(train(plan, name, folder, seed), folder / "test-shards"))
    classes = load_recipe("land_cover").classes
    costs = costs_of(
        list(TABLE_4), size=_TIMED, n_classes=classes.n_classes, batch=2, rounds=plan.rounds
    )
    tables = {
        "faster_unet_iou": iou_table(found, classes.titles),
        "faster_unet_speed": speed_table(found, costs),
        "faster_unet_pairs": pairs_table(found),
        "faster_unet_claims": claims_table(found, costs),
    }
    draw(folder, report.folder / "faster_unet.png", found, classes)
    about = (
        f"{plan.tiles} generated tiles of {plan.size} x {plan.size} pixels to learn from,"
        f" {plan.tiles // 4} to validate, {plan.test} others to score on; at most {plan.epochs}"
        f" epochs; {plan.seeds} seeds. Trained networks have 1/{plan.divisor} of the published"
        " filters. IoU of a class is the mean over the tiles that have it, as in the study."
        f" Times of the published networks are medians of {plan.rounds} rounds with two images of"
        f" {_TIMED} pixels; those of an epoch are of the trained ones, with validation."
        " Intervals are Student's, of 95 %; differences are of trainings with the same seed."
    )
    report.write("faster_unet", "Networks of Faster UNet on generated land cover", about, tables)


def make_data(plan: Plan, folder: Path) -> None:
    """Make and import tiles to learn from and tiles to score on; old results are replaced."""
    logs = output_folder(folder / "logs")
    parts = {
        "tiles": (0, {"train": plan.tiles, "val": plan.tiles // 4}),
        "test": (1, {"train": plan.test, "val": 0}),
    }
    recipe = folder / "import.yaml"
    plan.recipe("unet_skinny", 0).save(recipe)
    for name, (seed, counts) in parts.items():
        with open_output(folder / name, "samples") as place:
            write_landcover(place, seed, counts, plan.size)
        words = ["--out", str(folder / f"{name}-shards"), "--recipe", str(recipe), "--overwrite"]
        command = ["polynya", "import", "landcover", str(folder / name), *words]
        run(command, logs / f"import-{name}.txt")


def train(plan: Plan, name: str, folder: Path, seed: int) -> Path:
    """Train a network; returns the model's folder.

    Raises:
        CommandFailedError: The training failed.
    """
    model, recipe = folder / f"{name}-{seed}", folder / f"{name}-{seed}.yaml"
    plan.recipe(name, seed).save(recipe)
    command = [sys.executable, str(ROOT / "training/train.py"), "--overwrite"]
    words = ["--shards", str(folder / "tiles-shards"), "--recipe", str(recipe), "--out", str(model)]
    run([*command, *words], folder / "logs" / f"{name}-{seed}.txt")
    return model


def score(folder: Path, unseen: Path) -> Trained:
    """Take the scores of a model on the tiles of a data set."""
    import keras

    from inference.predict.backends import open_forward
    from inference.predict.predict import open_model
    from inference.studies.out_of_fold import predicted

    keras.utils.clear_session()
    model, shards = open_model(folder), open_shards(unseen)
    forward = open_forward(model.keras_model, model.recipe.inference, model.classes.has_masks)
    tiles = list(shards.tiles(shards.row_groups(shards.scene_ids)))
    found = []
    for start in range(0, len(tiles), _BATCH):
        part = tiles[start : start + _BATCH]
        found += [p.argmax(-1).astype(np.uint8) for p in predicted(part, forward, model.recipe)]
    iou = image_iou([t.label for t in tiles], found, model.classes)
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return Trained(iou, median(seconds), len(seconds), found[pictured([t.label for t in tiles])])


def image_iou(
    truths: Sequence[NDArray[np.uint8]], found: Sequence[NDArray[np.uint8]], classes: ClassScheme
) -> NDArray[np.float64]:
    """IoU of each class, mean over the images whose truth has the class (Table 2 of the study).

    Returns:
        float64 (C,); NaN for a class that no image has.
    """
    each = []
    for truth, labels in zip(truths, found, strict=True):
        confusion = confusion_of(truth, labels, classes)
        each.append(np.where(confusion.sum(axis=1) > 0, scores(confusion)["iou"], np.nan))
    known = ~np.isnan(each)
    total = np.where(known, each, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def pictured(truths: Sequence[NDArray[np.uint8]]) -> int:
    """Number of the first tile with the most classes."""
    return int(np.argmax([len(np.unique(truth)) for truth in truths]))


def draw(
    folder: Path, path: Path, found: Mapping[str, Sequence[Trained]], classes: ClassScheme
) -> None:
    """Draw a test tile, its truth and the masks of all networks, as PNG."""
    shards = open_shards(folder / "test-shards")
    tiles = list(shards.tiles(shards.row_groups(shards.scene_ids)))
    tile = tiles[pictured([t.label for t in tiles])]
    panels = [("image", tile.image), ("truth", tile.label)]
    panels += [(name, trained[0].labels) for name, trained in found.items()]
    draw_panels(path, panels, classes, "Masks of all networks on one tile", columns=4)
