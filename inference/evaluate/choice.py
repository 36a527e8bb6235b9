"""From the words of a command to the sources of labels that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autolabel.filters.registry import FILTER_NAMES, find_filter
from autolabel.thresholds.profiles import fitting_profile
from inference.evaluate.maps import MapFolder
from inference.evaluate.samples import with_metrics
from inference.evaluate.sources import (
    AS_TRAINED,
    ORIGINAL,
    FilterSource,
    ModelSource,
    Source,
    named,
)
from inference.evaluate.stored_sources import LabelSource, MapSource
from inference.predict.predict import open_model
from polynya.errors import RecipeError, SceneError
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.recipe.label import FilterName
from polynya.recipe.metrics import MetricName, MetricsOptions
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards
from training.metrics.registry import find_metric

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

MODEL, NO_FILTER = "model", "no"


@dataclass(frozen=True)
class Choice:
    """What a user wants to compare, as given."""

    models: tuple[str, ...] = ()
    """Texts [NAME=]FOLDER, as the next two."""
    maps: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    filters: tuple[str, ...] | None = None
    """Filters before the thresholds; `NO_FILTER`: no thresholds; None: the default."""
    images: tuple[str, ...] = ()
    """Images that models see; empty: as trained."""
    metrics: tuple[MetricName, ...] = ()
    """Further metrics; empty: those of the recipe."""
    of_shards: bool = False
    """Whether labels of shards are the truth."""


@dataclass(frozen=True)
class Chosen:
    """What is compared."""

    sources: list[Source]
    recipe: Recipe
    """Says how scenes are read, and the classes: the first model's, else that of labels."""
    metrics: MetricsOptions
    wants_probabilities: bool


def choose(choice: Choice, of_truth: Recipe | None = None) -> Chosen:
    """Open all sources.

    Args:
        choice: What the user wants.
        of_truth: Recipe of the truth, if it has one.

    Raises:
        SceneError: Two sources have the same name, or nothing is left to compare.
        ModelError: A model can't be opened.
        RecipeError: Classes differ; there is no such filter; or a metric needs probabilities and no
            source has them.
    """
    models = {name: open_model(place) for name, place in _named(choice.models, "--model")}
    labels = {name: open_shards(place) for name, place in _named(choice.labels, "--labels")}
    maps = _maps(choice, models)
    recipe = _lead(models, labels, of_truth)
    _check_classes(models, labels, recipe.classes)
    sources: list[Source] = [*_thresholds(choice, models, labels, recipe)]
    sources += [LabelSource(name, shards) for name, shards in labels.items()]
    for name, folder in maps.items():
        sources.append(MapSource(name, folder, recipe.classes, models.get(name)))
    images = _images(choice, models, maps)
    for name, model in models.items():
        if name not in maps:
            sources += [ModelSource(name, model, one, len(images) == 1) for one in images]
    if not sources:
        raise SceneError(
            f"No thresholds fit the classes of '{recipe.classes.name}'; give --model, --maps or"
            " --labels."
        )
    names = [source.about.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SceneError(f"Two of the compared have the name '{twice}'; give names: NAME=FOLDER.")
    metrics, wanted = _metrics(choice, recipe, sources)
    return Chosen(sources, recipe, metrics, wanted)


def _named(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    """Names and places; what has no name is called as its folder, and a single one "model"."""
    found = []
    for text in texts:
        name, place = named(text)
        if name is None:
            only = len(texts) == 1 and option != "--labels"
            name = MODEL if only else (Path(place).resolve().name or place)
        found.append((name, place))
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SceneError(f"Two of {option} have the name '{twice}'; give names: NAME=FOLDER.")
    return found


def _maps(choice: Choice, models: dict[str, TrainedModel]) -> dict[str, MapFolder]:
    return {name: MapFolder.of(Path(place)) for name, place in _named(choice.maps, "--maps")}


def _lead(
    models: dict[str, TrainedModel], labels: dict[str, ShardSet], of_truth: Recipe | None
) -> Recipe:
    """Recipe that says how scenes are read."""
    recipes = [*(model.recipe for model in models.values())]
    recipes += [of_truth] if of_truth is not None else []
    recipes += [shards.recipe for shards in labels.values()]
    return recipes[0] if recipes else Recipe()


def _check_classes(
    models: dict[str, TrainedModel], labels: dict[str, ShardSet], classes: ClassScheme
) -> None:
    schemes = {f"The model {name}": model.classes for name, model in models.items()}
    schemes |= {f"The labels {name}": shards.classes for name, shards in labels.items()}
    for called, own in schemes.items():
        if (own.kind, own.names) != (classes.kind, classes.names):
            raise RecipeError(
                f"{called} has the classes {', '.join(own.names)} ({own.kind}), and the others"
                f" {', '.join(classes.names)} ({classes.kind}); compare them one by one."
            )


def _thresholds(
    choice: Choice, models: dict[str, TrainedModel], labels: dict[str, ShardSet], recipe: Recipe
) -> list[FilterSource]:
    """Thresholds after each wanted filter; none if thresholds don't fit the classes."""
    wanted = choice.filters
    if wanted is None:
        wanted = () if choice.of_shards else FILTER_NAMES
    if wanted == (NO_FILTER,):
        return []
    for name in wanted:
        if name not in FILTER_NAMES:
            known = ", ".join((*FILTER_NAMES, NO_FILTER))
            raise RecipeError(f"There is no filter '{printable(name)}'; take some of {known}.")
    # Of models that learnt from people's labels, the recipe names no thresholds.
    recipes = [recipe, *(m.recipe for m in models.values()), *(s.recipe for s in labels.values())]
    fitting = ((one, fitting_profile(one.label, one.classes)) for one in recipes)
    own, profile = next((pair for pair in fitting if pair[1] is not None), (recipe, None))
    if profile is None or (not recipe.scene.sees_colors and choice.of_shards):
        if choice.filters:
            raise RecipeError(
                f"Colour thresholds don't fit the classes or bands of '{recipe.classes.name}';"
                " leave --filter out."
            )
        return []
    chosen: tuple[FilterName, ...] = wanted  # type: ignore[assignment]
    return [FilterSource(find_filter(name), own, profile) for name in chosen]


def _images(
    choice: Choice, models: dict[str, TrainedModel], maps: dict[str, MapFolder]
) -> tuple[str, ...]:
    known = (AS_TRAINED, ORIGINAL, *(n for n in FILTER_NAMES if find_filter(n).changes_images))
    for name in choice.images:
        if name not in known:
            raise RecipeError(
                f"There are no images '{printable(name)}'; take some of {', '.join(known)}."
            )
    wrong = ""
    if choice.of_shards:
        wrong = "with --shards, models see the images of the tiles"
    elif set(models) & set(maps):
        wrong = "maps in place of a model are what they are"
    if choice.images and wrong:
        raise SceneError(f"--images can't be given here: {wrong}; leave it out.")
    return tuple(dict.fromkeys(choice.images)) or (AS_TRAINED,)


def _metrics(
    choice: Choice, recipe: Recipe, sources: Sequence[Source]
) -> tuple[MetricsOptions, bool]:
    """What is measured, and whether probabilities are needed for it."""
    metrics = with_metrics(recipe.training.metrics, choice.metrics)
    needing = [name for name in metrics.further if find_metric(name).needs_probabilities]
    able = any(source.has_probabilities for source in sources)
    if needing and choice.metrics and not able:
        raise SceneError(
            f"The metric '{needing[0]}' needs probabilities, and thresholds and labels have none;"
            " give --model or --maps, or leave it out."
        )
    if needing and not choice.metrics and (not able or not choice.of_shards or choice.maps):
        # Whoever didn't ask for them needs no probabilities of whole scenes or beside maps.
        further = tuple(name for name in metrics.further if name not in needing)
        return metrics.model_copy(update={"further": further}), False
    return metrics, bool(needing)
