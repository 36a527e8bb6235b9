"""`polynya evaluate`: compares labels by every filter, and a model, with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.filters.filter import Filter
from autolabel.filters.registry import FILTER_NAMES, find_filter
from autolabel.labels import label_and_filter
from autolabel.thresholds.profiles import Profile, fitting_profile
from inference.evaluate.maps import MapFolder, model_codes
from inference.evaluate.samples import (
    SAMPLES_FILE,
    SCORES_FILE,
    chosen_metrics,
    score_table,
    with_metrics,
    write_samples,
)
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
from inference.predict.predict import open_model
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, ScenesFailedError, TruthError, failed_of
from polynya.progress import console, track
from polynya.recipe.metrics import MetricsOptions
from polynya.recipe.recipe import Recipe
from polynya.report.pictures import draw_confusion, draw_panels, thinning
from polynya.scenes.band_set import read_inputs
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.scenes.truth import NO_SCENES, last_part, read_truth, sky_of, truth_path
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free
from training.metrics.registry import measured
from training.model_folder.folder import trained_on

MODEL = "model"
SCENES_FILE = "scenes.csv"
_TABLES = (
    *("accuracy.csv", "classes.csv", SCENES_FILE, "confusion.csv", "accuracy.md"),
    *(SCORES_FILE, SAMPLES_FILE),
)
_PICTURES = ("confusion.png", "comparison_best.png", "comparison_worst.png")

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
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Also measure kullback_leibler (with --shards), ssim or boundary_f1; may be given"
            " several times. Default: what the model's recipe measures.",
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

        evaluate_tiles(shards, model, site, out, chosen_metrics(metric))
        return
    if scenes is None or site is not None:
        raise SceneError("Give --scenes, or --shards and --model, perhaps with --site.")
    trained = open_model(model) if model else None
    recipe = trained.recipe if trained else Recipe()
    metrics = with_metrics(recipe.training.metrics, chosen_metrics(metric))
    needing = [m.name for m in measured(metrics.further) if m.needs_probabilities]
    if needing and metric:
        raise SceneError(
            f"The metric '{needing[0]}' needs probabilities, and maps of scenes are labels; give"
            " --shards, or leave it out."
        )
    metrics = metrics.model_copy(
        update={"further": tuple(name for name in metrics.further if name not in needing)}
    )
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
        evaluation, comparisons = evaluate_scenes(opened, methods, recipe, missed, metrics)
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
    metrics: MetricsOptions | None = None,
) -> tuple[Evaluation, list[Comparison]]:
    """Run every method on every scene. A scene that fails is left out.

    Args:
        scenes: Scenes from `open_each`.
        methods: Methods by name.
        recipe: Recipe with the classes.
        missed: Reasons why other scenes were already left out, by scene.
        metrics: What is measured in addition to the confusion matrix.

    Returns:
        The scores, and the scenes with the best and the worst accuracy of the last method.

    Raises:
        ScenesFailedError: No scene is left.
    """
    evaluation = Evaluation(recipe.classes, tuple(methods), missed=dict(missed or {}))
    last = evaluation.methods[-1]
    extremes: list[Comparison] = []
    for scene in track(scenes, "Evaluating"):
        made = attempt(partial(_compare, scene, methods, recipe, metrics), scene.uri, "evaluated")
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


def _compare(
    scene: Scene, methods: dict[str, Method], recipe: Recipe, metrics: MetricsOptions | None
) -> Comparison:
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
        score_scene(scene.id, sky_of(scene.id), truth, valid, results, classes, metrics),
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
    scores = score_table({name: evaluation.tally(name) for name in evaluation.methods}, "scenes")
    scores.write_csv(folder / SCORES_FILE)
    write_samples(
        folder / SAMPLES_FILE,
        [
            {"scene": scene.scene_id, "sky": scene.sky, "method": method, **tally.cells()}
            for scene in evaluation.scenes
            for method, tally in scene.tallies.items()
        ],
    )
    tables = (accuracy, by_class, scores, confusion, by_scene)
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
