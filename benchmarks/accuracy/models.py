"""The compared models: their recipes, their training scenes, their training."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.accuracy.training_scenes import Kind, write_training_scenes
from benchmarks.common.commands import ROOT, run
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.storage.files import output_folder
from training.model_folder.folder import CARD_FILE, HISTORY_FILE


@dataclass(frozen=True)
class BenchModel:
    """A model of the comparison."""

    name: str
    """Name in tables."""
    slug: str
    """Name in file names."""
    recipe_file: Path
    scenes: dict[Kind, int] = field(hash=False)
    """Number of training scenes of each kind."""
    quick_scenes: dict[Kind, int] = field(hash=False)
    """Number of training scenes of each kind in a smoke run."""
    start: BenchModel | None = None
    """Model that gives the first weights; None for random weights."""


PUBLISHED = BenchModel(
    "U-Net as published",
    "unet_published",
    ROOT / "benchmarks/accuracy/published.yaml",
    {Kind.CLOUDY: 24},
    {Kind.CLOUDY: 2},
)
THROUGH_CLOUD = BenchModel(
    "model with simulated cloud",
    "through_cloud",
    ROOT / "polynya/recipes/through_cloud.yaml",
    {Kind.CLEAR: 250, Kind.MOSAIC: 250},
    {Kind.CLEAR: 2, Kind.MOSAIC: 2},
)
AFTER_FILTER = replace(
    THROUGH_CLOUD,
    name=f"{THROUGH_CLOUD.name}, after our filter",
    slug="after_filter",
    recipe_file=ROOT / "polynya/recipes/after_filter.yaml",
    start=THROUGH_CLOUD,
)
MODELS = (PUBLISHED, THROUGH_CLOUD, AFTER_FILTER)
"""All models, in the order of training."""

SCENE_SIZE, QUICK_SCENE_SIZE = 960, 192
"""Height and width of the training scenes in pixels."""

_QUICK_TILE = 64


@dataclass(frozen=True)
class Training:
    """Time and accuracy of a finished training, from its history."""

    epochs: int
    seconds: float
    images_per_second: float
    """Training tiles per second: median over epochs, without the first epoch if there are more."""
    accuracy: float
    """Share of correct validation pixels at the best epoch, against the model's own labels."""


@dataclass(frozen=True)
class Workplace:
    """Folders of a run."""

    out: Path
    """Existing folder, absolute."""
    quick: bool
    """Whether this is a smoke run: small models, few small scenes."""

    def shards(self, model: BenchModel) -> Path:
        return self.out / "shards" / model.slug

    def model(self, model: BenchModel) -> Path:
        return self.out / "models" / model.slug

    def recipe(self, model: BenchModel) -> Path:
        """Return the path of a model's recipe; a smoke run writes a small recipe first."""
        if not self.quick:
            return model.recipe_file
        path = output_folder(self.out / "recipes") / f"{model.slug}.yaml"
        quick_recipe(load_recipe(model.recipe_file)).save(path)
        return path


def quick_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe with small tiles, a small model and one epoch: only to see that it runs."""
    levels = 3
    return recipe.model_copy(
        update={
            "tiles": recipe.tiles.model_copy(update={"size": _QUICK_TILE}),
            "model": recipe.model.model_copy(
                update={"filters": (4,) * levels, "dropout": (0.0,) * levels}
            ),
            "split": recipe.split.model_copy(update={"validation": 0.3}),
            "training": recipe.training.model_copy(update={"epochs": 1}),
            "inference": recipe.inference.model_copy(update={"window": recipe.tiles.size}),
        }
    )


def train(model: BenchModel, place: Workplace, jobs: int | None = None) -> Training:
    """Make the scenes and shards of a model and train it; skip steps that are done."""
    folder, recipe = place.model(model), place.recipe(model)
    if not (folder / CARD_FILE).is_file():
        _label(model, place, recipe, jobs)
        start = ["--start-from", str(place.model(model.start))] if model.start else []
        # An interrupted training starts from the beginning, and its old scores are removed.
        folders = ["--shards", str(place.shards(model)), "--out", str(folder), "--overwrite"]
        program = [sys.executable, str(ROOT / "training/train.py")]
        run([*program, "--recipe", str(recipe), *folders, *start])
    return read_training(folder)


def _label(model: BenchModel, place: Workplace, recipe: Path, jobs: int | None) -> None:
    scenes = place.out / "scenes"
    counts = model.quick_scenes if place.quick else model.scenes
    size = QUICK_SCENE_SIZE if place.quick else SCENE_SIZE
    write_training_scenes(scenes, counts, size, jobs)
    patterns = [str(scenes / f"{kind}-*.tif") for kind in counts]
    workers = ["--workers", str(jobs)] if jobs else []
    # Existing shards of the same recipe get missing scenes, so an interrupted run continues.
    options = ["--out", str(place.shards(model)), "--recipe", str(recipe), *workers]
    run(["polynya", "label", "--scenes", *patterns, *options])


def read_training(folder: Path) -> Training:
    """Read the history of a finished training."""
    with open(folder / HISTORY_FILE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    speeds = sorted(float(row["images_per_second"]) for row in (rows[1:] or rows))
    best = min(rows, key=lambda row: float(row["val_loss"]))
    return Training(
        epochs=len(rows),
        seconds=sum(float(row["seconds"]) for row in rows),
        images_per_second=speeds[len(speeds) // 2],
        accuracy=float(best["val_accuracy"]),
    )
