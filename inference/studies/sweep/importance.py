"""How much of the difference between trials each parameter explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.studies.sweep.comparison import Compared, values_by_level
from inference.studies.sweep.parameters import ParameterOptions
from inference.studies.sweep.study import GridOptions, StudyOptions
from inference.studies.sweep.trials import Level

GRID = (
    "Share of the variance between trials that the means of a parameter's values have, as in a"
    " functional analysis of variance (Hutter and others, 2014); what is left belongs to"
    " combinations of parameters and to noise."
)
FOREST = (
    "Functional analysis of variance with a forest of regression trees (Hutter and others, 2014),"
    " by Optuna."
)
_FEWEST = 10
"""Trials below which a forest says nothing."""


def importances(
    trials: Sequence[Compared], options: StudyOptions
) -> tuple[dict[str, float], str] | str:
    """Find the importance of each parameter by the first score.

    Args:
        trials: See `compared`.
        options: The study.

    Returns:
        Shares, 0..1, by parameter, and their definition; or a sentence why there are none.
    """
    known = [one for one in trials if np.isfinite(one.means[0])]
    varied = [n for n in options.parameters if len({one.trial.levels[n] for one in known}) > 1]
    if not varied or np.ptp([one.means[0] for one in known]) == 0:
        return "The trials don't differ, so no parameter is more important than another."
    if len(varied) == 1:
        return f"Only {varied[0]} differs between trials, so no other parameter explains anything."
    if isinstance(options.search, GridOptions):
        return {name: _share(known, name) for name in varied}, GRID
    if len(known) < _FEWEST:
        return f"The importance of parameters needs {_FEWEST} finished trials."
    try:
        return _by_forest(known, {name: options.parameters[name] for name in varied}), FOREST
    except ImportError:
        return "The importance of parameters needs Optuna, which the extra 'sweep' installs."


def _share(trials: Sequence[Compared], name: str) -> float:
    """Variance of the means of a parameter's values, as a share of the variance of all trials."""
    groups = [np.array(values) for values in values_by_level(trials, name).values()]
    scores = np.concatenate(groups)
    between = sum(len(values) * (values.mean() - scores.mean()) ** 2 for values in groups)
    return float(between / ((scores - scores.mean()) ** 2).sum())


def _by_forest(
    trials: Sequence[Compared], parameters: dict[str, ParameterOptions]
) -> dict[str, float]:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def distribution(name: str, one: ParameterOptions) -> BaseDistribution:
        if one.ends is None:
            return CategoricalDistribution(list(one.levels(name)))
        low, high = map(float, one.ends)
        return FloatDistribution(low, high, log=one.log_range is not None)

    space = {name: distribution(name, one) for name, one in parameters.items()}
    study = optuna.create_study()
    for one in trials:
        params = {name: _value(parameters[name], one.trial.levels[name]) for name in space}
        value = float(one.means[0])
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(found[name]) for name in parameters}


def _value(parameter: ParameterOptions, level: Level) -> str | float:
    if parameter.ends is None or isinstance(level, str):
        return str(level)
    low, high = map(float, parameter.ends)
    return min(max(float(level), low), high)  # Levels are rounded.
