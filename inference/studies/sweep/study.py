"""The study file: what a sweep varies, how it searches, and what it compares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.base import Options, Positive, Tagged
from polynya.recipe.messages import describe_errors
from polynya.recipe.shipped import read_named, shipped_as
from polynya.recipe.yaml_files import write_yaml

_MOST_TRIALS = 10_000
_COMMON = {
    "seed": "all trials share the seeds; set 'seeds' to their number",
    "split": "all trials share the split; set 'split' in the recipe",
}
"""Sections that a study can't vary, and what to do instead."""

Settings = Mapping[str, Any]
"""Values by dotted key of the recipe."""


class ParameterOptions(Options):
    """What a parameter may be; exactly one of the keys. A list alone means `values`."""

    values: tuple[Any, ...] | None = None
    """Values of the recipe's key that the parameter is named after."""
    choices: dict[str, Any] | None = None
    """The same with a name for each value, for tables and figures."""
    together: dict[str, dict[str, Any]] | None = None
    """Named settings of several keys at once. Then the parameter's name is free."""
    range: tuple[int | float, int | float] | None = None
    """Least and greatest number; only whole numbers if both are written without a dot."""
    log_range: tuple[int | float, int | float] | None = None
    """The same, drawn evenly on a logarithmic scale."""

    @model_validator(mode="before")
    @classmethod
    def _spelt_out(cls, content: Any) -> Any:
        return {"values": content} if isinstance(content, list) else content

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Allow true and false, which keys of the recipe may have; ranges have none."""
        return value

    @model_validator(mode="after")
    def _one_says_what_it_may_be(self) -> ParameterOptions:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "give a list of values, or one of the keys choices, together, range, log_range"
            )
        ends = self.ends
        if ends is None:
            if not getattr(self, given[0]):
                raise ValueError("give at least one value")
            if self.values is not None and len(set(map(_label, self.values))) < len(self.values):
                raise ValueError("each value may be there once")
        elif isinstance(ends[0], bool) or isinstance(ends[1], bool) or not ends[0] < ends[1]:
            raise ValueError("the second number must be greater than the first")
        elif self.log_range is not None and ends[0] <= 0:
            raise ValueError("a logarithmic scale needs numbers above 0")
        return self

    @property
    def ends(self) -> tuple[int | float, int | float] | None:
        """Ends of a range; None for a list."""
        return self.range or self.log_range

    @property
    def is_whole(self) -> bool:
        """Whether a range has whole numbers only."""
        return self.ends is not None and all(isinstance(end, int) for end in self.ends)

    def levels(self, name: str) -> dict[str, Settings]:
        """Settings of each level by its label, in order; empty for a range.

        Args:
            name: Name of the parameter.
        """
        if self.together is not None:
            return dict(self.together)
        if self.choices is not None:
            return {label: {name: value} for label, value in self.choices.items()}
        return {_label(value): {name: value} for value in self.values or ()}


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
) -> Study:
    """Read a study.

    Args:
        path: YAML file, or the name of a study that comes with Polynya.
        settings: Values for all trials, beside those of the study's key `set`.
        varied: What parameters may be, in place of what the study says.
        trials: Number of trials in place of the study's.
        seeds: Number of seeds in place of the study's.

    Raises:
        RecipeError: The file is missing, is no YAML mapping, or has an unknown key or wrong value.
    """
    content, source = read_named(path, "study"), printable(path)
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


def _check_key(key: str) -> None:
    if not all(key.split(".")):
        raise RecipeError(f"'{key}' is no dotted key of the recipe, such as training.batch_size")


def _label(value: Any) -> str:
    return write_yaml(value, on_one_line=True).strip()
