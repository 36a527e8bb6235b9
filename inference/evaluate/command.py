"""`polynya evaluate`: compares labels by every filter, and a model, with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.filters.filter import Filter
from autolabel.filters.registry import FILTER_NAMES, find_filter
from autolabel.labels import label_and_filter
from autolabel.thresholds.profiles import Profile, fitting_profile
from inference.evaluate.scores import (
    Evaluation,
    SceneScore,
    accuracy_table,
    class_table,
    confusion_table,
    scene_table,
    score_scene,
)
from inference.predict.opening import open_for_model
from inference.predict.predict import open_model, predict_scene
from inference.products.class_map import map_tags, read_map
from inference.run.map_names import MappedScene, map_name, mapped_scenes
from inference.run.scene import prediction_tags
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, ScenesFailedError, TruthError, failed_of
from polynya.progress import console, track
from polynya.recipe.recipe import Recipe
from polynya.report.pictures import draw_confusion, draw_panels, thinning
from polynya.scenes.band_set import read_inputs
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.scenes.truth import NO_SCENES, last_part, read_truth, sky_of, truth_path
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free
from training.model_folder.folder import trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

MODEL = "model"
SCENES_FILE = "scenes.csv"
_TABLES = ("accuracy.csv", "classes.csv", SCENES_FILE, "confusion.csv", "accuracy.md")
_PICTURES = ("confusion.png", "comparison_best.png", "comparison_worst.png")

# Metadata of a map. `_NAMES`: if one differs, the map can't be used. `_WAYS`: if one differs, the
# map is nearly the same and is used.
_NAMES = {"model_digest": "model", "source_digest": "scene", "decision": "decision of the model"}
_WAYS = ("window_size", "window_overlap", "filter", "backend")

Codes = NDArray[np.uint8]
Method = Callable[[Scene, Codes, NDArray[np.bool_]], Codes]
"""Function from a scene, its image (H, W, 3) and mask (H, W) to class codes (H, W)."""


def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and pictures.")],
    scenes: Annotated[
        list[str] | None,
        typer.Option("--scenes", metavar="PATTERN...", help="Files, folders, globs or URIs."),
    ] = None,
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
    shards: Annotated[
        str | None,
        typer.Option(
            "--shards",
            help="In place of --scenes: shards of the training, of which those tiles"
            " are scored that validated the model.",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            "--site",
            help="With --shards: regular expression with one (group), the site, on the"
            " scene's id; default: groups of the split.",
        ),
    ] = None,
) -> None:
    """Measure labels by every filter, and a model, on scenes with known truth.

    The truth of X_Y.tif is X_truth.tif beside it; Y is the sky: clear, shadow, cloud or both. If a
    model has masks, or other classes than the thresholds, only the model is measured.
    """
    if shards is not None:
        if scenes or more_scenes or maps or model is None:
            raise SceneError("With --shards, give --model, and neither --scenes nor --maps.")
        from inference.evaluate.sites import evaluate_tiles  # It imports Keras: seconds.

        evaluate_tiles(shards, model, site, out)
        return
    if scenes is None or site is not None:
        raise SceneError("Give --scenes, or --shards and --model, perhaps with --site.")
    trained = open_model(model) if model else None
    recipe = trained.recipe if trained else Recipe()
    opened, missed = open_each([*scenes, *(more_scenes or [])], recipe)
    profile = fitting_profile(recipe.label, recipe.classes)
    methods: dict[str, Method] = {}
    if profile is not None:
        filters = [find_filter(name) for name in FILTER_NAMES]
        methods |= {chosen.title: _labels_by(chosen, recipe, profile) for chosen in filters}
    if trained or maps:
        known = MapFolder.of(maps) if maps else None
        methods[MODEL] = lambda scene, _, valid: model_codes(trained, known, scene, valid)
    with open_output(out, "evaluation") as folder:
        check_free(folder / name for name in (*_TABLES, *_PICTURES))
        evaluation, comparisons = evaluate_scenes(opened, methods, recipe, missed)
        if trained:
            evaluation.trained.update(trained_on(trained.folder, opened))
        write_report(evaluation, folder)
        for name, comparison in zip(("best", "worst"), comparisons, strict=True):
            draw_comparison(folder / f"comparison_{name}.png", name, comparison, evaluation)
    typer.echo(f"Tables and pictures are in {folder}")
    if evaluation.missed:
        raise ScenesFailedError(
            f"{failed_of(len(evaluation.missed), len(opened) + len(missed))};"
            f" {folder / SCENES_FILE} has the reasons."
        )


def _labels_by(chosen: Filter, recipe: Recipe, profile: Profile) -> Method:
    """Make the method that labels with one of the filters and the recipe's thresholds."""

    def codes(scene: Scene, image: Codes, valid: NDArray[np.bool_]) -> Codes:
        return label_and_filter(
            image,
            method=chosen.name,
            profile=profile,
            valid=valid,
            classes=recipe.classes,
            layers=read_layers(scene) if chosen.layers else None,
            stretch=recipe.scene.stretch,
        ).label

    return codes


@dataclass(frozen=True)
class MapFolder:
    """Maps of 'polynya predict'."""

    folder: Path
    mapped: list[MappedScene]
    """Scenes of the maps."""
    told: set[str]
    """Differences from new maps of the model that were already reported to the user."""

    @classmethod
    def of(cls, folder: Path) -> MapFolder:
        """Find the maps of a folder by their STAC items."""
        return cls(folder, mapped_scenes(folder), set())

    def path(self, scene: Scene) -> Path:
        """Path of the map of a scene; the map need not exist."""
        return (
            self.folder / f"{map_name(SceneRef(scene.id, scene.uri), self.folder, self.mapped)}.tif"
        )


def model_codes(
    model: TrainedModel | None, maps: MapFolder | None, scene: Scene, valid: NDArray[np.bool_]
) -> Codes:
    """Find the classes of a scene: from a map of this model if there is one, else predict them.

    Args:
        model: Model that predicts if it has no map of the scene; None uses any map of the scene.
        maps: Existing maps; None to predict.
        scene: Scene to classify.
        valid: bool (H, W), True where the scene has data.

    Returns:
        uint8 (H, W), class codes.

    Raises:
        SceneError: There is neither a map nor a model, or the map is of another scene.
    """
    path = maps.path(scene) if maps else None
    if (
        maps is not None
        and path is not None
        and path.is_file()
        and _is_usable(path, maps, scene, model)
    ):
        codes = read_map(path)
        if codes.shape != valid.shape:
            raise SceneError(f"The map {path} has another size than {scene.uri}; predict it again.")
        return codes
    if model is None:
        raise SceneError(f"There is no map {path}; predict it first, or give --model.")
    return predict_scene(model, scene).codes


def _is_usable(path: Path, maps: MapFolder, scene: Scene, model: TrainedModel | None) -> bool:
    """Whether a map is of this scene and this model; tells the user about other differences."""
    found = map_tags(path)
    if model is None:
        if found.get("source_digest", digest := scene_digest(scene)) != digest:
            raise SceneError(
                f"The map {path} is of another scene than {scene.uri}, or the scene has changed;"
                " predict it again."
            )
        return True
    wanted = prediction_tags(model, scene)
    other = [_NAMES[key] for key in _NAMES if found.get(key) != wanted[key]]
    if other:
        _tell(f"{path} is of another {' and '.join(other)}, so {scene.id} is predicted again.")
        return False
    for key in _WAYS:
        difference = f"{key} {found.get(key)} instead of {wanted[key]}"
        if found.get(key) != wanted[key] and difference not in maps.told:
            maps.told.add(difference)
            _tell(f"Maps in {maps.folder} were made with {difference}; they are taken as they are.")
    return True


def _tell(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Comparison:
    """A scene with all its results, at a lower resolution for a picture."""

    score: SceneScore
    image: Codes | None
    """None for a scene without colours."""
    truth: Codes
    results: dict[str, Codes]


def evaluate_scenes(
    scenes: list[Scene],
    methods: dict[str, Method],
    recipe: Recipe,
    missed: dict[str, str] | None = None,
) -> tuple[Evaluation, list[Comparison]]:
    """Run every method on every scene. A scene that fails is left out.

    Args:
        scenes: Scenes from `open_each`.
        methods: Methods by name.
        recipe: Recipe with the classes.
        missed: Reasons why other scenes were already left out, by scene.

    Returns:
        The scores, and the scenes with the best and the worst accuracy of the last method.

    Raises:
        ScenesFailedError: No scene is left.
    """
    evaluation = Evaluation(recipe.classes, tuple(methods), missed=dict(missed or {}))
    last = evaluation.methods[-1]
    extremes: list[Comparison] = []
    for scene in track(scenes, "Evaluating"):
        made = attempt(partial(_compare, scene, methods, recipe), scene.uri, "evaluated")
        if isinstance(made, Failure):
            evaluation.missed[scene.id] = made.reason
            _tell_missed(made.reason)
            continue
        evaluation.scenes.append(made.score)
        ordered = sorted([*extremes, made], key=lambda c: c.score.accuracy(last))
        extremes = [ordered[-1], ordered[0]]
    if not evaluation.scenes:
        raise ScenesFailedError(f"No scene could be evaluated: {_first(evaluation.missed)}")
    return evaluation, extremes


def _compare(scene: Scene, methods: dict[str, Method], recipe: Recipe) -> Comparison:
    classes = recipe.classes
    truth = read_truth(truth_path(scene.uri), scene, classes)
    if scene.has_colors or set(methods) != {MODEL}:  # Thresholds and filters need colours.
        image, valid = read_scene(scene)
    else:
        image = np.zeros((scene.height, scene.width, 3), np.uint8)
    if scene.inputs is not None:
        valid = read_inputs(scene).seen
    results = {name: method(scene, image, valid) for name, method in methods.items()}
    step = thinning(scene.height, scene.width)
    return Comparison(
        score_scene(scene.id, sky_of(scene.id), truth, valid, results, classes),
        image[::step, ::step].copy() if scene.has_colors else None,
        truth[::step, ::step].copy(),
        {name: codes[::step, ::step].copy() for name, codes in results.items()},
    )


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Print the tables to stdout, write them as CSV and Markdown, draw the confusion matrices."""
    last = evaluation.methods[-1]
    accuracy, confusion = accuracy_table(evaluation), confusion_table(evaluation, last)
    accuracy.print()
    class_table(evaluation, [last]).print()
    confusion.print()
    seen = sorted(
        score.scene_id for score in evaluation.scenes if score.scene_id in evaluation.trained
    )
    if seen:
        typer.echo(
            f"The model was trained on {len(seen)} of {len(evaluation.scenes)} scenes, so scores on"
            f" these scenes say little about others: {', '.join(seen)}"
        )
    by_class, by_scene = class_table(evaluation, evaluation.methods), scene_table(evaluation)
    accuracy.write_csv(folder / "accuracy.csv")
    by_class.write_csv(folder / "classes.csv")
    by_scene.write_csv(folder / SCENES_FILE)
    confusion.write_csv(folder / "confusion.csv")
    tables = (accuracy, by_class, confusion, by_scene)
    write_text(folder / "accuracy.md", "\n".join(table.markdown() for table in tables))
    confusions = [(method, evaluation.confusion(method)) for method in evaluation.methods]
    draw_confusion(folder / "confusion.png", confusions, evaluation.classes)


def draw_comparison(path: Path, name: str, comparison: Comparison, evaluation: Evaluation) -> None:
    """Draw a scene, its truth and the result of each method."""
    score = comparison.score
    results = [
        (f"{method}: {score.accuracy(method):.1%}", codes)
        for method, codes in comparison.results.items()
    ]
    count, method = len(evaluation.scenes), evaluation.methods[-1]
    title = f"{score.scene_id}: {name} of {count} scenes for: {method}"
    panels = [("Truth", comparison.truth), *results]
    if comparison.image is not None:
        panels.insert(0, ("Scene", comparison.image))
    draw_panels(path, panels, evaluation.classes, title)


def open_scenes(patterns: list[str], recipe: Recipe) -> list[Scene]:
    """Open every scene with its truth; fail if one can't be used.

    Raises:
        SceneError: There is no scene.
        TruthError: A scene can't be used, or has no truth.
    """
    scenes, missed = open_each(patterns, recipe)
    if missed:
        raise TruthError(_first(missed))
    return scenes


def open_each(patterns: list[str], recipe: Recipe) -> tuple[list[Scene], dict[str, str]]:
    """Open every scene with its truth, before any computation, so that a wrong list costs no time.

    Args:
        patterns: Files, folders, globs or URIs.
        recipe: Recipe that says how scenes are read.

    Returns:
        The scenes, and the reasons why other scenes can't be used, by scene id.

    Raises:
        SceneError: There is no scene.
        ScenesFailedError: No scene can be used.
    """
    found = find_scenes(patterns, recipe.companions)
    refs = [ref for ref in found if last_part(ref.id) not in NO_SCENES]
    if not refs:
        raise SceneError(f"No scene among {', '.join(patterns)}; check the patterns.")
    scenes: list[Scene] = []
    missed: dict[str, str] = {}
    for ref in refs:
        opened = attempt(partial(_open, ref, recipe), ref.uri, "opened")
        if isinstance(opened, Failure):
            missed[ref.id] = opened.reason
            _tell_missed(opened.reason)
        else:
            scenes.append(opened)
    if not scenes:
        raise ScenesFailedError(f"No scene can be evaluated: {_first(missed)}")
    return scenes, missed


def _open(ref: SceneRef, recipe: Recipe) -> Scene:
    scene = open_for_model(ref, recipe)
    read_truth(truth_path(scene.uri), scene, recipe.classes)
    return scene


def _first(missed: dict[str, str]) -> str:
    return next(iter(missed.values()))


def _tell_missed(reason: str) -> None:
    console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)
