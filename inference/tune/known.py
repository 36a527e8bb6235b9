"""Scenes with their truth: with a raster beside each, or as a data set that an importer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autolabel.importers.rasters import read_raster
from autolabel.importers.registry import importer_of
from autolabel.importers.samples import find_samples, open_sample, read_own_labels
from inference.evaluate.command import open_scenes
from inference.predict.windows import Codes
from polynya.errors import RecipeError, SceneError
from polynya.progress import track
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, truth_path
from training.model_folder.folder import RECIPE_FILE, trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


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


def known_samples(model: TrainedModel, sources: list[str]) -> list[Known]:
    """Open the images of a data set with their labels, without those that trained the model.

    Images and labels have their own size, before `imports.size`.

    Args:
        model: Model of imported labels; its recipe says how the data set is read.
        sources: Sources as `polynya import` takes them.

    Raises:
        RecipeError: The model's recipe has no section `imports`.
        SceneError: A sample can't be used, or none is left.
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
    samples = [open_sample(sample, recipe) for sample in find_samples(sources, recipe)]
    trained = _trained(model, [sample.raw for sample in samples])
    return [
        Known(sample.raw, read_own_labels(sample, recipe))
        for sample in track(samples, "Reading labels")
        if sample.id not in trained
    ]


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
