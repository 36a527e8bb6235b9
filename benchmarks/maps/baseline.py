"""Decision trees on single pixels beside a U-Net: how right, how fast, how much memory.

Both learn from the same tiles of generated scenes under cloud and shadow, and are scored on others
against their truth. Each step is the command that a user gives, measured from start to end.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.cli import QuickOption
from benchmarks.common.commands import ROOT, run, run_measured
from benchmarks.common.meter import Cost
from benchmarks.common.report import Report, table_of
from polynya.recipe.recipe import Recipe
from polynya.report.tables import Table
from polynya.storage.files import output_folder
from training.model_folder.folder import IMPORTANCES_FILE

_UNET: dict[str, Any] = {
    "name": "unet",
    "filters": [16, 32, 64, 96],
    "dropout": [0.0, 0.0, 0.0, 0.0],
    "stem": 2,
    "brightness_filters": 12,
}
_TREES: dict[str, Any] = {"name": "xgboost"}
_INDICES = ["NGRDI", "VARI", "ExG", "RGRI"]
"""Indices of three colours; what trees learn from beside the bands."""


def baseline(
    report: Report,
    scenes: Annotated[int, typer.Option(min=4, help="Scenes to learn from.")] = 16,
    test: Annotated[int, typer.Option(min=1, help="Scenes to score on.")] = 6,
    size: Annotated[int, typer.Option(min=64, help="Edge of the scenes, pixels.")] = 512,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the U-Net.")] = 16,
    quick: QuickOption = False,
) -> None:
    """Train decision trees and a U-Net on the same tiles, and score both on other scenes."""
    if quick:
        scenes, test, size, epochs = 4, 1, 128, 1
    place = report.folder / "baseline"
    patterns = make_scenes(place, scenes, test, size)
    recipes = make_recipes(min(256, size), epochs)
    results = [measure(name, recipes[name], place, patterns[1]) for name in recipes]
    importances = read_importances(place / "trees" / "model" / IMPORTANCES_FILE)
    about = (
        f"{scenes} generated scenes of {size} x {size} pixels under cloud and shadow to learn from,"
        f" labelled by their filtered colours; {test} others to score on, against their truth. The"
        f" U-Net learns for {epochs} epochs. Whole commands, from start to end."
    )
    tables = {"baseline": baseline_table(results), "baseline_importances": importances}
    report.write("baseline", "Maps: decision trees and a network", about, tables)


@dataclass(frozen=True)
class Result:
    """A model, what it took and how right it is."""

    name: str
    accuracy: str
    """Share of right pixels of all test scenes, in percent."""
    mean_iou: str
    """In percent."""
    training: Cost
    prediction: Cost


def make_scenes(place: Path, scenes: int, test: int, size: int) -> tuple[list[str], list[str]]:
    """Make the scenes and label the first ones; returns the files of each part.

    Raises:
        CommandFailedError: A command failed.
    """
    logs = output_folder(place / "logs")
    files = []
    for name, seed, count in (("train", 5, scenes), ("test", 6, test)):
        numbers = ["--count", str(count), "--size", str(size), "--seed", str(seed)]
        made = [sys.executable, "-m", "data_samples", "--out", str(place / name), *numbers]
        run([*made, "--sky", "mixed"], logs / f"{name}.txt")
        found = (path for path in sorted((place / name).glob("*.tif")))
        skies = ("shadow", "cloud", "both")
        files.append([str(path) for path in found if path.stem.rpartition("_")[2] in skies])
    recipe = place / "recipe.yaml"
    make_recipes(min(256, size), 1)["U-Net"].save(recipe)
    words = ["--out", str(place / "shards"), "--recipe", str(recipe), "--overwrite"]
    label = ["polynya", "label", *(word for file in files[0] for word in ("--scenes", file))]
    run([*label, *words], logs / "label.txt")
    return files[0], files[1]


def make_recipes(tile: int, epochs: int) -> dict[str, Recipe]:
    """Make the recipe of each model; they differ in what learns, not in tiles or labels."""
    common: dict[str, Any] = {"tiles": {"size": tile}, "split": {"validation": 0.2}}
    training = {
        "epochs": epochs,
        "batch_size": 4,
        "learning_rate": 0.002,
        "schedule": "cosine",
        "augment": {"dihedral": True},
    }
    contents = {
        "trees": {"model": _TREES, "features": {"indices": _INDICES}},
        "U-Net": {"model": _UNET, "training": training},
    }
    return {name: Recipe.model_validate({**common, **own}) for name, own in contents.items()}


def measure(name: str, recipe: Recipe, place: Path, test: list[str]) -> Result:
    """Train, predict and score one model.

    Raises:
        CommandFailedError: A command failed.
    """
    folder = output_folder(place / name)
    recipe.save(folder / "recipe.yaml")
    model, maps, scores = (str(folder / part) for part in ("model", "maps", "scores"))
    train = [sys.executable, str(ROOT / "training/train.py"), "--shards", str(place / "shards")]
    words = ["--out", model, "--recipe", str(folder / "recipe.yaml"), "--overwrite"]
    training = run_measured([*train, *words], folder / "training")
    predict = ["polynya", "predict", model, *test, "--out", maps, "--overwrite"]
    prediction = run_measured(predict, folder / "prediction")
    scenes = [word for file in test for word in ("--scenes", file)]
    evaluate = ["polynya", "evaluate", "--model", model, "--maps", maps, "--out", scores, *scenes]
    run(evaluate, folder / "evaluate.txt")
    overall = _row(folder / "scores" / "accuracy.csv", {"method": "model"})["overall"]
    mean = _row(folder / "scores" / "classes.csv", {"method": "model", "class": "mean"})["IoU"]
    return Result(name, overall, mean, training, prediction)


def _row(path: Path, wanted: dict[str, str]) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(row for row in csv.DictReader(file) if wanted.items() <= row.items())


def baseline_table(results: list[Result]) -> Table:
    """One row per model."""
    return table_of(
        "Decision trees and a U-Net on the same tiles",
        results,
        {
            "model": lambda one: one.name,
            "right, %": lambda one: one.accuracy,
            "mean IoU, %": lambda one: one.mean_iou,
            "training s": lambda one: f"{one.training.wall_s:.1f}",
            "CPU s": lambda one: f"{one.training.cpu_s:.1f}",
            "training MiB": lambda one: _memory(one.training),
            "prediction s": lambda one: f"{one.prediction.wall_s:.1f}",
            "its CPU s": lambda one: f"{one.prediction.cpu_s:.1f}",
            "prediction MiB": lambda one: _memory(one.prediction),
        },
    )


def _memory(cost: Cost) -> str:
    return f"{max(cost.peak_by_kind.values()) / 2**20:.0f}"


def read_importances(path: Path) -> Table:
    """What bands and indices are worth for the trees."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return table_of(
        "Bands and indices by gain",
        rows,
        {
            "band or index": lambda row: row["feature"],
            "share in the gain, %": lambda row: f"{100 * float(row['gain_share']):.1f}",
            "splits": lambda row: row["splits"],
        },
    )
