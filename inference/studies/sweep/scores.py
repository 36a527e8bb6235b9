"""Scores by which trials are compared, and what finished trainings say of themselves."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from inference.studies.results import named_score, named_scores
from inference.studies.sweep.folder import State, SweepFolder
from inference.studies.sweep.trials import Training
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe
from training.metrics.registry import all_metrics, measured
from training.model_folder.folder import (
    HISTORY_FILE,
    METRICS_FILE,
    read_provenance,
)

_NATS = ("loss", "kullback_leibler")
"""Scores in nats; all others are shares."""


@dataclass(frozen=True)
class Score:
    """A score of the validation tiles."""

    name: str
    """Dotted key below `validation` in metrics.json, or in the scores of an evaluation."""
    title: str
    evaluation: str = ""
    """Name of the study's evaluation; "" for the validation tiles."""

    @property
    def less_is_better(self) -> bool:
        """Whether the least value is the best."""
        less = {metric.name for metric in all_metrics() if metric.less_is_better}
        return self.name.rpartition(".")[2] in {"loss", *less}

    @property
    def factor(self) -> float:
        """Factor of shown values: shares are shown in percent."""
        return 1.0 if self._is_in_nats else 100.0

    @property
    def digits(self) -> int:
        """Digits after the point of shown values."""
        return 4 if self._is_in_nats else 2

    @property
    def heading(self) -> str:
        """Title with unit."""
        where = f" on '{self.evaluation}'" if self.evaluation else ""
        return f"{self.title}{where}, {'nats' if self._is_in_nats else '%'}"

    @property
    def column(self) -> str:
        """Column of history.csv with the score of each epoch on validation tiles."""
        return f"val_{self.name}"

    def text(self, value: float) -> str:
        """Text of a value for tables; empty for NaN."""
        return "" if value != value else f"{self.factor * value:.{self.digits}f}"

    @property
    def _is_in_nats(self) -> bool:
        return self.name.rpartition(".")[2] in _NATS

    def gain(self, value: float) -> float:
        """The value, or its negative if less is better, so that the greatest is the best."""
        return -value if self.less_is_better else value


def find_scores(
    names: Sequence[str], recipe: Recipe, evaluations: Sequence[str] = ()
) -> list[Score]:
    """Find scores by name.

    Args:
        names: Dotted keys below `validation` in metrics.json; after the name of an evaluation and a
            dot, its scores.
        recipe: Says which scores trainings measure.
        evaluations: Names of the study's evaluations.

    Raises:
        RecipeError: Trainings with this recipe don't measure such a score.
    """
    known = {name: Score(name, title) for name, title in _titles(recipe).items()}
    for evaluation in evaluations:
        known |= {
            f"{evaluation}.{name}": Score(name, title, evaluation)
            for name, title in _titles(recipe).items()
            if name != "loss"
        }
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f" (perhaps '{near[0]}' is meant)" if near else ""
            raise RecipeError(
                f"The study's key 'metrics' has '{name}', which its trainings don't measure{meant};"
                f" take some of {', '.join(n for n in known if '.' not in n)}, a score of a class"
                f" such as classes.{recipe.classes.names[0]}.iou, one of an evaluation after its"
                " name and a dot, or name more in the recipe's key 'training.metrics.further'."
            )
    return [known[name] for name in names]


def _titles(recipe: Recipe) -> dict[str, str]:
    metrics = measured(recipe.training.metrics.further)
    found = {"loss": "validation loss", **{m.overall: _title(m.heading) for m in metrics}}
    found |= {f"per_image.{m.overall}": f"{_title(m.heading)} by tile" for m in metrics}
    for name, title in zip(recipe.classes.names, recipe.classes.titles, strict=True):
        found |= {f"classes.{name}.{m.name}": f"{m.title} {title}" for m in metrics if m.per_class}
    return found


def _title(heading: str) -> str:
    return heading.partition(",")[0]


@dataclass(frozen=True)
class Result:
    """A training and what came out of it."""

    training: Training
    state: State
    reason: str = ""
    """Why it failed."""
    scores: tuple[float, ...] = ()
    """Values of the scores in the best epoch; NaN if undefined or if it isn't finished."""
    best_epoch: int | None = None
    stop_epoch: int | None = None
    """Number of epochs that were trained."""
    parameters: int | None = None
    """Parameters of the model."""
    seconds: float | None = None
    """Time of all epochs."""
    pass_mb: float | None = None
    """Memory of a forward and backward pass of an image (`training.model_facts`), MB."""


def read_result(folder: SweepFolder, training: Training, scores: Sequence[Score]) -> Result:
    """Read what is known of a training.

    Raises:
        ModelError: A file of a finished training is damaged.
    """
    state, reason = folder.state(training)
    model = folder.model(training)
    seconds = read_history(folder, training, "seconds")
    stop_epoch, time = (len(seconds), float(seconds.sum())) if len(seconds) else (None, None)
    if state != "finished":
        nothing = (np.nan,) * len(scores)
        return Result(training, state, reason, nothing, None, stop_epoch, None, time)
    facts = read_provenance(model)
    parameters, pass_mb = str(facts.get("parameters", "")), facts.get("pass_mb")
    metrics = json.loads((model / METRICS_FILE).read_text("utf-8"))
    return Result(
        training,
        state,
        reason,
        tuple(_values(folder, training, scores)),
        metrics.get("epoch"),
        stop_epoch,
        int(parameters) if parameters.isdigit() else None,
        time,
        None if pass_mb is None else float(pass_mb),
    )


def _values(folder: SweepFolder, training: Training, scores: Sequence[Score]) -> list[float]:
    """Values of scores of a finished training; NaN for those of an evaluation that lies ahead."""
    names = [score.name for score in scores if not score.evaluation]
    validation = iter(named_scores(folder.model(training), names))
    evaluated = folder.evaluated(training)
    return [
        named_score(evaluated.get(score.evaluation), score.name)
        if score.evaluation
        else next(validation)
        for score in scores
    ]


def read_history(folder: SweepFolder, training: Training, column: str) -> NDArray[np.float64]:
    """Read a column of history.csv, float64 (epochs,); empty without file or column.

    The file of a training that goes on is complete up to an epoch.
    """
    try:
        with (folder.model(training) / HISTORY_FILE).open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return np.array([float(row[column]) for row in rows], np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return np.empty(0)
