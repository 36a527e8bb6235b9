"""`polynya evaluate`: labels by every filter, and a model, against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.labels import Method as LabelMethod
from autolabel.labels import label_and_filter
from autolabel.thresholds import get_profile
from inference.evaluation import (
    Evaluation,
    SceneScore,
    accuracy_table,
    class_table,
    confusion_table,
    scene_table,
    score_scene,
)
from inference.maps import map_tags, read_map
from inference.predict import open_model, predict_scene
from inference.products import prediction_tags
from inference.truth import NO_SCENES, last_part, read_truth, sky_of, truth_path
from polynya.errors import SceneError
from polynya.files import output_folder, whole_file
from polynya.pictures import draw_confusion, draw_panels, thinning
from polynya.progress import track
from polynya.recipe import Recipe
from polynya.scenes import Scene, find_scenes, open_scene, read_layers, read_scene

if TYPE_CHECKING:
    from training.model_folder import TrainedModel

FILTERS: dict[LabelMethod, str] = {
    "none": "thresholds alone",
    "published": "published filter",
    "illumination": "illumination filter",
}
MODEL = "model"

Codes = NDArray[np.uint8]
Method = Callable[[Scene, Codes, NDArray[np.bool_]], Codes]
"""Class codes (H, W) of a scene from its image (H, W, 3) and mask (H, W)."""


def evaluate(
    scenes: Annotated[
        list[str],
        typer.Option("--scenes", metavar="PATTERN...", help="Files, folders, globs or URIs."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and pictures.")],
    more_scenes: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder of a trained model.")
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option("--maps", help="Maps of 'polynya predict', used instead of predicting again."),
    ] = None,
) -> None:
    """Measure labels by every filter, and a model, on scenes whose truth is known.

    The truth of X_Y.tif is X_truth.tif beside it; Y is the sky: clear, shadow, cloud or both.
    """
    trained = open_model(model) if model else None
    recipe = trained.recipe if trained else Recipe()
    opened = open_scenes([*scenes, *(more_scenes or [])], recipe)
    methods = {name: _labels_by(method, recipe) for method, name in FILTERS.items()}
    if trained or maps:
        methods[MODEL] = lambda scene, _, valid: model_codes(trained, maps, scene, valid)
    folder = output_folder(out)
    evaluation, comparisons = evaluate_scenes(opened, methods, recipe)
    write_report(evaluation, folder)
    for name, comparison in zip(("best", "worst"), comparisons, strict=True):
        draw_comparison(folder / f"comparison_{name}.png", name, comparison, evaluation)
    typer.echo(f"Tables and pictures are in {folder}")


def _labels_by(method: LabelMethod, recipe: Recipe) -> Method:
    """Labels with one of the filters and the recipe's thresholds."""

    def codes(scene: Scene, image: Codes, valid: NDArray[np.bool_]) -> Codes:
        return label_and_filter(
            image,
            method=method,
            profile=get_profile(recipe.label.profile),
            valid=valid,
            classes=recipe.classes,
            layers=read_layers(scene) if method == "illumination" else None,
            stretch=recipe.scene.stretch,
        ).label

    return codes


def model_codes(
    model: TrainedModel | None, maps: Path | None, scene: Scene, valid: NDArray[np.bool_]
) -> Codes:
    """Classes of a scene by the model: from its map if that is this model's, else predicted now.

    Args:
        model: Predicts where there is no map of its own; None takes any map.
        maps: Folder of maps; None predicts.
        scene: What to classify.
        valid: bool (H, W), True where the scene has data.

    Returns:
        uint8 (H, W), class codes.

    Raises:
        SceneError: There is neither a map nor a model, or the map is of another scene.
    """
    path = maps / f"{scene.id}.tif" if maps else None
    if path is not None and path.is_file() and _is_map_of(path, scene, model):
        codes = read_map(path)
        if codes.shape != valid.shape:
            raise SceneError(f"The map {path} has another size than {scene.uri}; predict it again.")
        return codes
    if model is None:
        raise SceneError(f"There is no map {path}; predict it first, or give --model.")
    return predict_scene(model, scene).codes


def _is_map_of(path: Path, scene: Scene, model: TrainedModel | None) -> bool:
    """Whether a map was made by this model from this scene; without a model any map is taken."""
    return model is None or prediction_tags(model, scene).items() <= map_tags(path).items()


@dataclass(frozen=True)
class Comparison:
    """A scene with all its results, thinned out for a picture."""

    score: SceneScore
    image: Codes
    truth: Codes
    results: dict[str, Codes]


def evaluate_scenes(
    scenes: list[Scene], methods: dict[str, Method], recipe: Recipe
) -> tuple[Evaluation, list[Comparison]]:
    """Run every method on every scene.

    Returns:
        The scores, and the scenes on which the last method is most and least right.
    """
    classes = recipe.classes
    evaluation = Evaluation(classes, tuple(methods))
    last = evaluation.methods[-1]
    extremes: list[Comparison] = []
    for scene in track(scenes, "Evaluating"):
        truth = read_truth(truth_path(scene.uri), scene, classes)
        image, valid = read_scene(scene)
        results = {name: method(scene, image, valid) for name, method in methods.items()}
        score = score_scene(scene.id, sky_of(scene.id), truth, valid, results, classes)
        evaluation.scenes.append(score)
        step = thinning(scene.height, scene.width)
        comparison = Comparison(
            score,
            image[::step, ::step].copy(),
            truth[::step, ::step].copy(),
            {name: codes[::step, ::step].copy() for name, codes in results.items()},
        )
        ordered = sorted([*extremes, comparison], key=lambda c: c.score.accuracy(last))
        extremes = [ordered[-1], ordered[0]]
    return evaluation, extremes


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Print the tables to stdout, write them as CSV and Markdown, draw the confusion matrices."""
    last = evaluation.methods[-1]
    accuracy, confusion = accuracy_table(evaluation), confusion_table(evaluation, last)
    accuracy.print()
    class_table(evaluation, [last]).print()
    confusion.print()
    by_class, by_scene = class_table(evaluation, evaluation.methods), scene_table(evaluation)
    accuracy.write_csv(folder / "accuracy.csv")
    by_class.write_csv(folder / "classes.csv")
    by_scene.write_csv(folder / "scenes.csv")
    confusion.write_csv(folder / "confusion.csv")
    with whole_file(folder / "accuracy.md") as path:
        tables = (accuracy, by_class, confusion, by_scene)
        path.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")
    confusions = [(method, evaluation.confusion(method)) for method in evaluation.methods]
    draw_confusion(folder / "confusion.png", confusions, evaluation.classes)


def draw_comparison(path: Path, name: str, comparison: Comparison, evaluation: Evaluation) -> None:
    """Draw a scene, its truth and what each method made of it."""
    score = comparison.score
    results = [
        (f"{method}: {score.accuracy(method):.1%}", codes)
        for method, codes in comparison.results.items()
    ]
    count, method = len(evaluation.scenes), evaluation.methods[-1]
    title = f"{score.scene_id}: {name} of {count} scenes for: {method}"
    panels = [("Scene", comparison.image), ("Truth", comparison.truth), *results]
    draw_panels(path, panels, evaluation.classes, title)


def open_scenes(patterns: list[str], recipe: Recipe) -> list[Scene]:
    """Open every scene with its truth first, so that nothing is computed for a wrong list."""
    refs = [ref for ref in find_scenes(patterns) if last_part(ref.id) not in NO_SCENES]
    if not refs:
        raise SceneError(f"No scene among {', '.join(patterns)}; check the patterns.")
    scenes = [open_scene(ref.uri, recipe.scene, ref.id) for ref in refs]
    for scene in scenes:
        read_truth(truth_path(scene.uri), scene, recipe.classes)
    return scenes
