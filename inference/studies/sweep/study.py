"""The study file: what a sweep varies, how it searches, and what it compares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from inference.studies.sweep.parameters import ParameterOptions, Settings
from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.base import Options, Positive, Tagged
from polynya.recipe.messages import describe_errors
from polynya.recipe.shipped import read_named, shipped_as

_MOST_TRIALS = 10_000
_COMMON = {
    "seed": "all trials share the seeds; set 'seeds' to their number",
    "split": "all trials share the split; set 'split' in the recipe",
}
"""Sections that a study can't vary, and what to do instead."""
DATA = "shards"
"""Parameter that names the labelled tiles of a trial; it is no key of the recipe."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]


class GridOptions(Options):
    """All combinations."""

    kind: Literal["grid"] = "grid"


class RandomOptions(Options):
    """Combinations drawn at random; each follows from its number alone (Bergstra, Bengio, 2012)."""

    kind: Literal["random"] = "random"
    trials: Annotated[int, Field(ge=1, le=_MOST_TRIALS)] = 20
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the draws, not of the trainings."""


class PruningOptions(Options):
    """End trials early that are worse than the median of the others at the same epoch."""

    startup_trials: Annotated[int, Field(ge=0, le=_MOST_TRIALS)] = 5
    """Trials that are trained to their end before any is pruned."""
    warmup_epochs: Annotated[int, Field(ge=0, lt=2**31)] = 5
    """Epochs in which no trial is pruned."""


class TpeOptions(Options):
    """A search that learns from its trials: tree-structured Parzen estimator, by Optuna.

    Source: J. Bergstra et al., "Algorithms for hyper-parameter optimization", 2011.
    """

    kind: Literal["tpe"] = "tpe"
    trials: Annotated[int, Field(ge=1, le=_MOST_TRIALS)] = 20
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    pruning: PruningOptions | None = None


SearchOptions = Annotated[GridOptions | RandomOptions | TpeOptions, Tagged("kind")]


class EvaluationOptions(Options):
    """Further tiles on which finished models are scored."""

    shards: _Name | None = None
    """Name of labelled tiles that the command gives as --shards NAME=FOLDER. Of them count all that
    the study's split doesn't train on. Default: the tiles that validate."""
    augment: bool = False
    """Change the tiles at random, as `training.augment` of each trial says, but with the same
    random numbers for all seeds."""

    @model_validator(mode="after")
    def _it_differs_from_validation(self) -> EvaluationOptions:
        if self.shards is None and not self.augment:
            raise ValueError("give 'shards', or set 'augment' to true, or both")
        return self


class SmallOptions(Options):
    """A small version of a study, for --small."""

    data: tuple[str, ...] = ()
    """Commands that make labelled tiles for it, in a folder of their own: `shards`, and for named
    ones `shards-NAME`."""
    change: Annotated[dict[str, Any], Field(default_factory=dict)]
    """What the study's keys are in place of what it says: mappings are merged, and null removes a
    key (JSON merge patch, RFC 7386)."""


class StudyOptions(Options):
    """Everything that a sweep depends on, except the labelled tiles."""

    about: str = ""
    """What the study asks, in a sentence or two."""
    found: str = ""
    """What is known already, such as what a paper found; it is shown beside the results."""
    recipe: str | None = None
    """Recipe of all trials: a file, seen from the study's folder, or the name of one that ships.
    Default: that of the labelled tiles."""
    set: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Values by dotted key that all trials have in place of the recipe's."""
    parameters: Annotated[dict[str, ParameterOptions], Field(min_length=1)]
    """What is varied, by dotted key of the recipe."""
    search: SearchOptions = GridOptions()
    """How combinations are chosen: grid, random or tpe."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """Trainings of each trial, with other first weights and other orders of the tiles. All trials
    have the same seeds, so they can be compared in pairs."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("mean_iou",)
    """Scores of the validation tiles that are compared; the first one decides which trial is the
    best. Names are those of metrics.json, such as mean_f1, loss or classes.kelp.iou."""
    evaluate: Annotated[dict[_Name, EvaluationOptions], Field(default_factory=dict)]
    """Further tiles to score all models on, by name. `metrics` may name their scores, such as
    augmented.mean_f1."""
    published: Annotated[dict[str, dict[str, dict[str, float]]], Field(default_factory=dict)]
    """What a paper found, to show it beside the results: numbers by parameter, title of the numbers
    and value of the parameter."""
    small: SmallOptions | None = None
    """A small version, for --small."""
    lines: str | None = None
    """Parameter whose values are lines in the figure of scores against the size of models."""
    columns: str | None = None
    """Parameter whose values are columns in that figure."""
    compared: Positive = 4
    """Greatest number of models whose predictions are drawn side by side."""

    @model_validator(mode="after")
    def _keys_can_be_varied(self) -> StudyOptions:
        owners: dict[str, str] = {}
        for name, parameter in self.parameters.items():
            keys = {key for settings in parameter.levels(name).values() for key in settings}
            for key in sorted(keys or {name}):
                _check_key(key)
                first = key.split(".")[0]
                if first in _COMMON:
                    raise RecipeError(f"'{key}' can't be varied: {_COMMON[first]}")
                if owners.setdefault(key, name) != name:
                    raise RecipeError(f"The parameters {owners[key]} and {name} both set '{key}'")
        for key in self.set:
            _check_key(key)
        data = self.parameters.get(DATA)
        if DATA in self.set or owners.get(DATA, DATA) != DATA:
            raise RecipeError(f"'{DATA}' is no key of the recipe; make it a parameter of its own")
        if data is not None and not all(_is_name(name) for name in data.values or [None]):
            raise RecipeError(
                f"The parameter '{DATA}' must be a list of names, such as [manual, automatic]; the"
                " command says where each is, with --shards NAME=FOLDER"
            )
        return self

    @model_validator(mode="after")
    def _evaluations_come_last(self) -> StudyOptions:
        for name in ("classes", "per_image"):
            if name in self.evaluate:
                raise RecipeError(f"'evaluate.{name}' has the name of a score; give it another one")
        first = self.metrics[0].partition(".")[0]
        if isinstance(self.search, TpeOptions) and first in self.evaluate:
            raise RecipeError(
                f"A search that learns from its trials needs their scores at once, and"
                f" '{self.metrics[0]}' is known at the end only; put a score of the validation"
                " tiles first in 'metrics'"
            )
        return self

    @model_validator(mode="after")
    def _published_numbers_are_of_values(self) -> StudyOptions:
        for name, tables in self.published.items():
            levels = self.parameters[name].levels(name) if name in self.parameters else {}
            for title, numbers in tables.items():
                for level in numbers:
                    if level not in levels:
                        raise RecipeError(
                            f"'published.{name}.{title}' has a number for '{level}', which is no"
                            f" value of a parameter '{name}'"
                        )
        return self

    @model_validator(mode="after")
    def _the_search_fits_the_parameters(self) -> StudyOptions:
        ranges = [name for name, one in self.parameters.items() if one.ends is not None]
        if isinstance(self.search, GridOptions):
            if ranges:
                raise RecipeError(f"A grid has no ranges; give '{ranges[0]}' a list of values")
            if self.combinations > _MOST_TRIALS:
                raise RecipeError(f"The grid has more than {_MOST_TRIALS} trials; search at random")
        elif self.search.trials > self.combinations:
            raise RecipeError(
                f"There are only {self.combinations:.0f} combinations, and 'search.trials' is"
                f" {self.search.trials}; set it to less, or 'search' to grid"
            )
        return self

    @model_validator(mode="after")
    def _figures_are_of_parameters(self) -> StudyOptions:
        for key in ("lines", "columns"):
            name = getattr(self, key)
            if name is not None and (
                name not in self.parameters or self.parameters[name].ends is not None
            ):
                raise RecipeError(
                    f"'{key}' is '{name}', which is no parameter with a list of values"
                )
        keys = {
            key
            for name, one in self.parameters.items()
            for settings in one.levels(name).values()
            for key in settings
        }
        loss_varies = any(f"{key}.".startswith("training.loss.") for key in keys)
        if loss_varies and self.metrics[0] == "loss":
            raise RecipeError(
                "'training.loss' differs between trials, so 'loss' can't compare them"
            )
        return self

    @property
    def trained_names(self) -> tuple[str, ...]:
        """Names of the labelled tiles in which trials differ; empty if all have the same."""
        data = self.parameters.get(DATA)
        return data.values if data is not None and data.values is not None else ()

    @property
    def data_names(self) -> tuple[str, ...]:
        """Names of labelled tiles that the command must say the place of, in order."""
        names = [*self.trained_names]
        names += [one.shards for one in self.evaluate.values() if one.shards is not None]
        return tuple(dict.fromkeys(names))

    @property
    def combinations(self) -> float:
        """Number of combinations of all parameters; infinite with a range of decimal numbers."""
        count = 1.0
        for name, one in self.parameters.items():
            if one.ends is None:
                count *= len(one.levels(name))
            elif one.is_whole:
                count *= one.ends[1] - one.ends[0] + 1
            else:
                return math.inf
        return count


@dataclass(frozen=True)
class Study:
    """A study that was read."""

    name: str
    """Name for people."""
    options: StudyOptions
    recipe: Path | None
    """File or name of the recipe; None for that of the labelled tiles."""


def load_study(
    path: str | Path,
    *,
    settings: Settings | None = None,
    varied: Settings | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    small: bool = False,
) -> Study:
    """Read a study.

    Args:
        path: YAML file, or the name of a study that comes with Polynya.
        settings: Values for all trials, beside those of the study's key `set`.
        varied: What parameters may be, in place of what the study says.
        trials: Number of trials in place of the study's.
        seeds: Number of seeds in place of the study's.
        small: Take the study's small version; the other arguments change that.

    Raises:
        RecipeError: The file is missing, is no YAML mapping, or has an unknown key or wrong value.
    """
    content, source = read_named(path, "study"), printable(path)
    if small:
        content = _in_small(content, source)
    if settings and isinstance(content.get("set", {}), dict):
        content["set"] = {**content.get("set", {}), **settings}
    if varied and isinstance(content.get("parameters", {}), dict):
        content["parameters"] = {**content.get("parameters", {}), **varied}
    if trials is not None:
        search = content.get("search", "grid")
        search = {"kind": search} if isinstance(search, str) else search
        content["search"] = {**search, "trials": trials} if isinstance(search, dict) else search
    if seeds is not None:
        content["seeds"] = seeds
    try:
        options = StudyOptions.model_validate(content)
    except RecipeError as error:  # A check of the whole study raised it.
        message = str(error)
        raise RecipeError(
            f"The study {source} can't be used: {message[0].lower()}{message[1:]}."
        ) from None
    except ValidationError as error:
        raise RecipeError(
            f"The study {source} {describe_errors(error, content, StudyOptions)}."
        ) from None
    recipe = None
    if options.recipe is not None:
        beside = Path(path).parent / options.recipe
        is_name = shipped_as(options.recipe) is not None and not beside.is_file()
        recipe = Path(options.recipe) if is_name else beside
    return Study(Path(path).stem, options, recipe)


def _in_small(content: dict[str, Any], source: str) -> dict[str, Any]:
    """Make the small version of a study."""
    section = content.get("small")
    if not isinstance(section, dict):
        raise RecipeError(
            f"The study {source} has no small version; leave --small out, or give it the key"
            " 'small'."
        )
    change = section.get("change", {})
    return _patched(content, change) if isinstance(change, dict) else content


def _patched(content: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Change a mapping as RFC 7386 says; the arguments stay."""
    result = dict(content)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = _patched(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _check_key(key: str) -> None:
    if not all(key.split(".")):
        raise RecipeError(f"'{key}' is no dotted key of the recipe, such as training.batch_size")
