"""All trackers, by their options in the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from polynya.recipe.tracking import MlflowOptions, TensorBoardOptions, TrackerOptions
from training.tracking import mlflow_runs, tensorboard_files
from training.tracking.sink import RunFacts, Sink


def check_trackers(trackers: Sequence[TrackerOptions]) -> None:
    """Make sure that the packages of trackers are there; MissingDependencyError if not."""
    for options in trackers:
        if isinstance(options, MlflowOptions):
            mlflow_runs.check_installed(options)
        elif isinstance(options, TensorBoardOptions):
            tensorboard_files.check_installed(options)
        else:
            assert_never(options)


def make_sink(options: TrackerOptions, facts: RunFacts) -> Sink:
    """Make a tracker for one run; nothing is opened yet."""
    if isinstance(options, MlflowOptions):
        return mlflow_runs.MlflowRun(options, facts)
    return tensorboard_files.TensorBoardRun(options, facts)
