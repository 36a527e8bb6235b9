"""Masks of cloud structures from labels to a submission: what the search for decisions gains.

A generated set in the form of Kaggle's "Understanding Clouds from Satellite Images" goes through
import, training, search, maps and submission by the commands that a user gives. The search sees the
validation images of the training; scores are of a second set that nothing has seen.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.importers.prepare import Placement, fit_nearest
from benchmarks.common.cli import QuickOption
from benchmarks.common.commands import ROOT, run
from benchmarks.common.report import Report, percent, table_of
from data_samples.clouds import IMAGES, SHAPE, TABLE, write_clouds
from inference.predict.resize import Size
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.run_length import decode
from polynya.sizes import parse_size
from polynya.storage.files import output_folder
from polynya.storage.output_folder import open_output
from training.metrics.confusion import confusion_of, image_dice
from training.model_folder.folder import TUNING_FILE

_LONGEST_CODE = 2**26


def clouds(
    report: Report,
    images: Annotated[
        int, typer.Option(min=5, help="Pictures to learn from and to search on.")
    ] = 72,
    test: Annotated[int, typer.Option(min=1, help="Pictures to score on.")] = 16,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the training.")] = 40,
    seen: Annotated[
        int, typer.Option(min=16, help="Edge of the images that the model sees.")
    ] = 256,
    size: Annotated[str, typer.Option(help="Size of the metric, rows x columns.")] = "350x525",
    quick: QuickOption = False,
) -> None:
    """Take generated cloud pictures from run-length codes to a submission; mean Dice by class."""
    if quick:
        plan = Plan(shape=(140, 210), size=(70, 105), seen=64, images=10, test=3, epochs=3)
    else:
        plan = Plan(SHAPE, parse_size(size), seen, images, test, epochs)
    run_plan(plan, report.folder / "clouds")
    before, after = (
        submission_dice(report.folder / "clouds", name, plan) for name in ("before", "after")
    )
    tables = {
        "clouds": dice_table(before, after, plan),
        "clouds_search": read_table(report.folder / "clouds" / "model" / TUNING_FILE),
    }
    about = (
        f"{plan.images} pictures of {plan.shape[0]} x {plan.shape[1]} pixels to learn from, a fifth"
        f" of them to search on; {plan.test} others to score on; {plan.epochs} epochs at"
        f" {plan.seen} x {plan.seen}; metric at {plan.size[0]} x {plan.size[1]}."
    )
    report.write("clouds", "Maps: masks of cloud structures", about, tables)


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    shape: Size
    """Rows and columns of the pictures."""
    size: Size
    """Rows and columns at which the metric is taken."""
    seen: int
    """Edge of the images that the model sees."""
    images: int
    """Pictures to learn from and to search on."""
    test: int
    """Pictures to score on."""
    epochs: int

    @property
    def recipe(self) -> Recipe:
        """The shipped recipe with the batches, epochs and general U-Net of a small set."""
        shipped = load_recipe("cloud_structures")
        content = shipped.model_dump(mode="json", exclude_unset=True)
        content["imports"]["size"] = content["inference"]["size"] = [self.seen, self.seen]
        content["tiles"]["size"] = content["inference"]["window"] = self.seen
        del content["features"]
        filters = [8, 16, 32, 64, 128]
        content["model"] = {"filters": filters, "dropout": [0.2] * 5, "batch_norm": "local"}
        content["training"] |= {
            "epochs": self.epochs,
            "batch_size": 4,
            "learning_rate": 0.002,
            "schedule": "cosine",
            "monitor": "loss",
            "augment": {"dihedral": True},
        }
        return Recipe.model_validate(content)


def run_plan(plan: Plan, folder: Path) -> None:
    """Make the pictures and give all commands; the folder has the results, old ones are replaced.

    Raises:
        CommandFailedError: A command failed.
        OutputError: A file can't be written.
    """
    for name, seed, count in (("labelled", 0, plan.images), ("test", 1, plan.test)):
        with open_output(folder / name, "samples") as place:
            write_clouds(place, seed, count, plan.shape)
    recipe, model, shards = folder / "recipe.yaml", str(folder / "model"), str(folder / "shards")
    labels, logs = str(folder / "labelled" / TABLE), output_folder(folder / "logs")
    plan.recipe.save(recipe)

    def give(name: str, *words: str) -> None:
        run(["polynya", *words], logs / f"{name}.txt")

    give("import", "import", "rle", labels, "--out", shards, "--recipe", str(recipe), "--overwrite")
    train = [sys.executable, str(ROOT / "training/train.py"), "--shards", shards, "--out", model]
    run([*train, "--overwrite"], logs / "train.txt")
    size = f"{plan.size[0]}x{plan.size[1]}"
    for name in ("before", "after"):
        if name == "after":
            give("tune", "tune", model, "--labels", labels, "--score", "mean_dice", "--size", size)
        maps, table = str(folder / f"maps-{name}"), str(folder / f"{name}.csv")
        give(f"predict-{name}", "predict", model, str(folder / "test" / IMAGES), "--out", maps)
        give(f"submission-{name}", "submission", model, maps, "--out", table, "--size", size)


def submission_dice(folder: Path, name: str, plan: Plan) -> NDArray[np.float64]:
    """Dice of each test picture and structure in a submission: float64 (N, C).

    Args:
        folder: Folder of `run_plan`.
        name: Name of the submission.
        plan: Its plan.

    Raises:
        LabelError: A code is wrong.
    """
    classes = plan.recipe.classes
    truth = _labels(folder / "test" / TABLE, plan.shape, classes)
    found = _labels(folder / f"{name}.csv", plan.size, classes)
    place = Placement.stretched(*plan.size)
    return image_dice(
        [confusion_of(fit_nearest(truth[i], place), found[i], classes) for i in sorted(truth)]
    )


def _labels(path: Path, shape: Size, classes: ClassScheme) -> dict[str, NDArray[np.uint8]]:
    """Read a table of run-length codes: labels, uint8 (H, W), by image."""
    csv.field_size_limit(_LONGEST_CODE)
    masks: dict[str, dict[str, NDArray[np.bool_]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            image, _, title = row["Image_Label"].rpartition("_")
            code = decode(row["EncodedPixels"], *shape, f"{path}, {row['Image_Label']},")
            masks.setdefault(image, {})[title] = code
    everywhere = np.ones(shape, np.bool_)
    return {
        image: classes.labels_of([of_image[title] for title in classes.titles], everywhere)
        for image, of_image in masks.items()
    }


def dice_table(before: NDArray[np.float64], after: NDArray[np.float64], plan: Plan) -> Table:
    """One row per structure and one for all: Dice before and after the search, in percent."""
    rows = zip(
        (*plan.recipe.classes.titles, "mean"),
        (*before.mean(axis=0), before.mean()),
        (*after.mean(axis=0), after.mean()),
        strict=True,
    )
    size = f"{plan.size[0]} x {plan.size[1]}"
    return table_of(
        f"Mean Dice of {len(before)} test pictures, submission at {size}, %",
        rows,
        {
            "structure": lambda row: row[0],
            "0.5, all regions": lambda row: percent(row[1]),
            "by polynya tune": lambda row: percent(row[2]),
            "gain": lambda row: f"{100 * (row[2] - row[1]):+.2f}",
        },
    )


def read_table(path: Path) -> Table:
    """The trials of `polynya tune`, as it wrote them."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return Table(
        "The search, on validation pictures", tuple(columns), tuple(tuple(row) for row in rows)
    )
