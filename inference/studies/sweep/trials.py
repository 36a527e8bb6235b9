"""Trials of a study: which there are, and the recipe of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.studies.sweep.parameters import ParameterOptions, Settings
from inference.studies.sweep.study import (
    DATA,
    GridOptions,
    RandomOptions,
    Study,
    StudyOptions,
    TpeOptions,
)
from polynya.recipe.overrides import Overrides, resolve, with_values
from polynya.recipe.recipe import Recipe

_DIGITS = 6
"""Significant digits of drawn numbers: enough for any key, and few enough to read."""
_MOST_CHECKED = 1000

Level = str | int | float
"""Value of a parameter in a trial: the label of one of its levels, or a number of its range."""


@dataclass(frozen=True)
class Trial:
    """A combination of the parameters."""

    number: int
    levels: Mapping[str, Level]
    """Value of each parameter, by its name."""

    @property
    def key(self) -> tuple[Level, ...]:
        """The combination itself, to compare it with others."""
        return tuple(self.levels.values())

    @property
    def text(self) -> str:
        """The combination in words, such as `model.filters 4, training.loss dice`."""
        return ", ".join(f"{name} {shown(level)}" for name, level in self.levels.items())


@dataclass(frozen=True)
class Training:
    """A training of a trial, with one of the seeds."""

    trial: Trial
    repeat: int
    """What is added to the recipe's seed."""

    @property
    def name(self) -> str:
        """Name of its folder: 0007, and 0007-seed-1 for the second seed."""
        number = f"{self.trial.number:04d}"
        return f"{number}-seed-{self.repeat}" if self.repeat else number


def shown(level: Level) -> str:
    """Text of a level for tables."""
    return f"{level:.4g}" if isinstance(level, float) else str(level)


def listed_trials(options: StudyOptions) -> list[Trial]:
    """List all trials of a grid or a random search; empty for a search that learns from trials."""
    if isinstance(options.search, GridOptions):
        every = [list(one.levels(name)) for name, one in options.parameters.items()]
        combinations: list[tuple[Level, ...]] = [*itertools.product(*every)]
    elif isinstance(options.search, RandomOptions):
        combinations = _drawn(options, options.search)
    else:
        return []
    names = list(options.parameters)
    return [
        Trial(number, dict(zip(names, levels, strict=True)))
        for number, levels in enumerate(combinations)
    ]


def _drawn(options: StudyOptions, search: RandomOptions) -> list[tuple[Level, ...]]:
    """Draw different combinations; more trials with the same seed begin with the same ones."""
    found: dict[tuple[Level, ...], None] = {}
    for number in range(search.trials):
        rng = np.random.default_rng([search.seed, number])
        levels = _draw(options, rng)
        while levels in found:
            levels = _draw(options, rng)
        found[levels] = None
    return list(found)


def _draw(options: StudyOptions, rng: np.random.Generator) -> tuple[Level, ...]:
    return tuple(_draw_one(name, one, rng) for name, one in options.parameters.items())


def _draw_one(name: str, parameter: ParameterOptions, rng: np.random.Generator) -> Level:
    if parameter.ends is None:
        labels = list(parameter.levels(name))
        return labels[rng.integers(len(labels))]
    low, high = parameter.ends
    if parameter.is_whole:
        if parameter.log_range is None:
            return int(rng.integers(int(low), int(high), endpoint=True))
        # Each number has the part of the scale that is nearest to it.
        value = math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return min(max(round(value), int(low)), int(high))
    if parameter.log_range is None:
        return rounded(rng.uniform(low, high))
    return rounded(math.exp(rng.uniform(math.log(low), math.log(high))))


def rounded(value: float) -> float:
    """Round a number to the digits that trials have."""
    return float(f"{value:.{_DIGITS}g}")


def trainings(trials: Sequence[Trial], seeds: int) -> list[Training]:
    """List the trainings of trials: all trials with the first seed, then with the next one."""
    return [Training(trial, repeat) for repeat in range(seeds) for trial in trials]


def base_recipe(recipe: Recipe, study: Study) -> Recipe:
    """Put the study's key `set` into its recipe; RecipeError if it can't have that."""
    if not study.options.set:
        return recipe
    return with_values(recipe, study.options.set, f"with 'set' of the study {study.name}")


def trial_recipe(base: Recipe, study: Study, trial: Trial) -> Recipe:
    """Make the recipe of a trial, without seed, split and what follows from its labelled tiles.

    Args:
        base: Recipe of all trials, see `base_recipe`.
        study: The study.
        trial: One of its trials.

    Raises:
        RecipeError: The recipe can't have these values.
    """
    values: dict[str, Any] = {}
    for name, level in trial.levels.items():
        if name == DATA:
            continue
        parameter = study.options.parameters[name]
        values |= _settings(name, parameter, level)
    source = f"of trial {trial.number:04d} ({trial.text}) of the study {study.name}"
    return with_values(base, values, source)


def _settings(name: str, parameter: ParameterOptions, level: Level) -> Settings:
    if parameter.ends is not None:
        return {name: level}
    return parameter.levels(name)[str(level)]


def training_recipe(recipe: Recipe, base: Recipe, split: Overrides, repeat: int) -> Recipe:
    """Give the recipe of a trial the split and the seed that all trials share.

    Args:
        recipe: See `trial_recipe`.
        base: Its seed is the first one.
        split: Section `split`, see `training.run.several.by_split`.
        repeat: What is added to the seed.
    """
    return resolve(recipe, {**split, "seed": (base.seed + repeat) % 2**31})


def check_trials(base: Recipe, study: Study) -> list[tuple[Trial, Recipe]]:
    """Make the recipes of all trials, before the first one is trained.

    A search that learns from its trials has none yet. Then the combinations of all levels and ends
    of ranges are checked, or if these are too many, each level and end once.

    Raises:
        RecipeError: A trial would have a recipe that can't be used.
    """
    options = study.options
    trials = listed_trials(options)
    if isinstance(options.search, TpeOptions):
        ends = {name: _ends(name, one) for name, one in options.parameters.items()}
        if math.prod(map(len, ends.values())) <= _MOST_CHECKED:
            chosen = [*itertools.product(*ends.values())]
        else:
            first = {name: levels[0] for name, levels in ends.items()}
            chosen = [
                tuple({**first, name: level}.values())
                for name, levels in ends.items()
                for level in levels
            ]
        trials = [Trial(n, dict(zip(ends, levels, strict=True))) for n, levels in enumerate(chosen)]
    return [(trial, trial_recipe(base, study, trial)) for trial in trials]


def _ends(name: str, parameter: ParameterOptions) -> list[Level]:
    return list(parameter.levels(name) if parameter.ends is None else parameter.ends)
