"""Scenes with their truth: opening them, and comparing every source of labels with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from inference.evaluate.cover import read_cover
from inference.evaluate.scores import Evaluation, SceneScore, score_scene
from inference.evaluate.sources import Codes, Source
from inference.evaluate.truths import Truth, open_truth
from inference.predict.opening import open_for_model
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, ScenesFailedError, TruthError
from polynya.progress import console, track
from polynya.recipe.metrics import MetricsOptions
from polynya.recipe.recipe import Recipe
from polynya.report.pictures import thinning
from polynya.scenes.band_set import read_inputs
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.scenes.truth import NO_SCENES, SKIES, last_part, site_path, sky_of
from polynya.splits.groups import site_of


@dataclass(frozen=True)
class ScenePlan:
    """How scenes are compared with their truth."""

    recipe: Recipe
    """Says how scenes are read; its classes are those of all sources."""
    truth: Truth
    metrics: MetricsOptions | None = None
    """What is measured in addition to the confusion matrix."""
    wants_probabilities: bool = False
    tile_size: int | None = None
    """Edge of the tiles that are scored beside the scenes; None: no tiles."""
    cover: str | None = None
    """See `inference.evaluate.cover.read_cover`."""
    site: str | None = None
    """Regular expression with a (group), the site, on the scene's id; None: the name without the
    sky."""


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
    sources: Sequence[Source],
    plan: ScenePlan,
    missed: dict[str, str] | None = None,
) -> tuple[Evaluation, list[Comparison]]:
    """Compare every source with the truth of every scene. A scene that fails is left out.

    Args:
        scenes: Scenes from `open_each`.
        sources: Sources of labels; their names differ.
        plan: How scenes are compared.
        missed: Reasons why other scenes were already left out, by scene.

    Returns:
        The scores, and the scenes with the best and the worst accuracy of the last source.

    Raises:
        ScenesFailedError: No scene is left.
    """
    about = tuple(source.about for source in sources)
    names = tuple(one.name for one in about)
    evaluation = Evaluation(plan.recipe.classes, names, missed=dict(missed or {}), about=about)
    extremes: list[Comparison] = []
    for scene in track(scenes, "Evaluating"):
        made = attempt(partial(_compare, scene, sources, plan), scene.uri, "evaluated")
        if isinstance(made, Failure):
            evaluation.missed[scene.id] = made.reason
            tell_missed(made.reason)
            continue
        evaluation.scenes.append(made.score)
        ordered = sorted([*extremes, made], key=lambda c: c.score.accuracy(names[-1]))
        extremes = [ordered[-1], ordered[0]]
    if not evaluation.scenes:
        raise ScenesFailedError(f"No scene could be evaluated: {_first(evaluation.missed)}")
    used = [scene for scene in scenes if scene.id not in evaluation.missed]
    for source in sources:
        evaluation.trained_by[source.about.name] = source.trained_on(used)
    return evaluation, extremes


def _compare(scene: Scene, sources: Sequence[Source], plan: ScenePlan) -> Comparison:
    truth = plan.truth.read(scene)
    cover = read_cover(scene, plan.cover)
    if scene.has_colors or any(source.needs_colors for source in sources):
        image, valid = read_scene(scene)
    else:
        image = np.zeros((scene.height, scene.width, 3), np.uint8)
    if scene.inputs is not None:
        valid = read_inputs(scene).seen
    results = {
        source.about.name: source.of_scene(scene, image, valid, plan.wants_probabilities)
        for source in sources
    }
    step = thinning(scene.height, scene.width)
    score = score_scene(
        scene.id, sky_of(scene.id), truth, valid, results, plan.recipe.classes, plan.metrics,
        site=_site(scene, plan.site), cover=cover, tile_size=plan.tile_size,
    )  # fmt: skip
    return Comparison(
        score,
        image[::step, ::step].copy() if scene.has_colors else None,
        truth[::step, ::step].copy(),
        {name: found.codes[::step, ::step].copy() for name, found in results.items()},
    )


def _site(scene: Scene, pattern: str | None) -> str:
    if pattern is not None:
        return site_of(scene.id, pattern)
    return site_path(scene.id).name if last_part(scene.id) in SKIES else scene.id


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


def open_each(
    patterns: list[str], recipe: Recipe, truth: Truth | None = None
) -> tuple[list[Scene], dict[str, str]]:
    """Open every scene with its truth, before any computation, so that a wrong list costs no time.

    Args:
        patterns: Files, folders, globs or URIs.
        recipe: Recipe that says how scenes are read.
        truth: Their truth; default: rasters beside them.

    Returns:
        The scenes, and the reasons why other scenes can't be used, by scene id.

    Raises:
        SceneError: There is no scene.
        ScenesFailedError: No scene can be used.
    """
    truth = truth or open_truth(None, "", recipe)
    found = find_scenes(patterns, (*recipe.companions, *truth.companions))
    refs = [ref for ref in found if last_part(ref.id) not in NO_SCENES]
    if not refs:
        raise SceneError(f"No scene among {', '.join(patterns)}; check the patterns.")
    scenes: list[Scene] = []
    missed: dict[str, str] = {}
    for ref in refs:
        opened = attempt(partial(_open, ref, recipe, truth), ref.uri, "opened")
        if isinstance(opened, Failure):
            missed[ref.id] = opened.reason
            tell_missed(opened.reason)
        else:
            scenes.append(opened)
    if not scenes:
        raise ScenesFailedError(f"No scene can be evaluated: {_first(missed)}")
    return scenes, missed


def _open(ref: SceneRef, recipe: Recipe, truth: Truth) -> Scene:
    scene = open_for_model(ref, recipe)
    truth.read(scene)
    return scene


def _first(missed: dict[str, str]) -> str:
    return next(iter(missed.values()))


def tell_missed(reason: str) -> None:
    """Print why a scene is left out."""
    console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)
