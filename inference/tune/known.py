"""Scenes with their truth: with a raster beside each, or as a data set that an importer reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from autolabel.importers.importer import ImportedScene
from autolabel.importers.rasters import read_raster
from autolabel.importers.registry import importer_of
from autolabel.importers.samples import find_samples, open_sample, read_own_labels
from inference.evaluate.scenes import open_scenes
from inference.predict.windows import Codes
from polynya.attempt import Failure, attempt
from polynya.errors import RecipeError, SceneError
from polynya.progress import console, track
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, truth_path
from training.model_folder.folder import RECIPE_FILE, trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """A scene with its truth."""

    scene: Scene
    truth: Codes
    """uint8 (H, W), labels."""


def known_scenes(model: TrainedModel, patterns: list[str]) -> list[Known]:
    """Open scenes with their truth, without the scenes that the model was trained on.

    Raises:
        SceneError: No scene is left.
    """
    opened = open_scenes(patterns, model.recipe)
    trained = _trained(model, opened)
    scenes = [scene for scene in opened if scene.id not in trained]
    classes = model.recipe.classes
    return [Known(scene, read_truth(truth_path(scene.uri), scene, classes)) for scene in scenes]


def known_samples(model: TrainedModel, sources: list[str]) -> tuple[list[Known], int]:
    """Open the images of a data set with their labels, without those that trained the model.

    A sample that can't be used is reported and left out.

    Images and labels have their own size, before `imports.size`.

    Args:
        model: Model of imported labels; its recipe says how the data set is read.
        sources: Sources as `polynya import` takes them.

    Returns:
        Images with labels, and how many samples can't be used.

    Raises:
        RecipeError: The model's recipe has no section `imports`.
        SceneError: No sample is left.
    """
    recipe = model.recipe
    if recipe.imports is None:
        raise RecipeError(
            f"{model.folder / RECIPE_FILE} has no section 'imports', which says how --labels are"
            " read; give --scenes with a truth raster beside each."
        )
    if importer_of(recipe).read_pixels is not read_raster:
        raise RecipeError(
            f"Images of the kind '{recipe.imports.kind}' can't be mapped, as they are no rasters;"
            " give --scenes with a truth raster beside each."
        )
    found = find_samples(sources, recipe)
    samples = _usable([attempt(partial(open_sample, s, recipe), s.uri, "opened") for s in found])
    trained = _trained(model, [sample.raw for sample in samples]) if samples else set()
    others = [sample for sample in samples if sample.id not in trained]

    def read(sample: ImportedScene) -> Known:
        return Known(sample.raw, read_own_labels(sample, recipe))

    known = _usable(
        [attempt(partial(read, s), s.uri, "read") for s in track(others, "Reading labels")]
    )
    if not known:
        raise SceneError(
            f"No sample of {', '.join(sources)} can be used; the reasons are above, correct them."
        )
    return known, len(found) - len(samples) + len(others) - len(known)


def _usable(tried: Sequence[T | Failure]) -> list[T]:
    """Leave out what failed, and print the reasons."""
    for one in tried:
        if isinstance(one, Failure):
            console.print(f"Failed: {one.reason}", style="red", markup=False, soft_wrap=True)
    return [one for one in tried if not isinstance(one, Failure)]


def _trained(model: TrainedModel, scenes: list[Scene]) -> set[str]:
    """Find the scenes that trained the model; SceneError if these are all scenes."""
    trained = trained_on(model.folder, scenes)
    if all(scene.id in trained for scene in scenes):
        raise SceneError(
            f"The model in {model.folder} was trained on all {len(scenes)} scenes, so they can't"
            " show its quality on other scenes; give other scenes, such as those under 'validation'"
            " in its split.json."
        )
    return trained
