"""The interface to follow a training: for the model's files, an experiment tracker or a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from training.model_folder.checkpoints import Arrays, Position
from training.model_folder.training_log import EpochRecord, StepRecord


class Listener:
    """Receives the events of a training from rank 0; by default, the methods do nothing.

    If a method raises an error, the training ends. A `PolynyaError` is shown as one sentence.
    """

    def start(self, position: Position) -> None:
        """Called before the first step of this start, perhaps in the middle of a training."""

    def resume(self, position: Position) -> None:
        """Called before `start` if a training goes on and has a best epoch so far.

        At this moment, the model in training has the weights of the best epoch. Epochs of the
        interrupted run after the checkpoint are lost, so their files must be replaced.
        """

    def step(self, record: StepRecord) -> None:
        """Called after each step."""

    def epoch(
        self,
        position: Position,
        record: EpochRecord,
        is_best: bool,
        metrics: Mapping[str, Any],
    ) -> None:
        """Called after each epoch and its validation.

        Args:
            position: Position with the records of all steps and epochs so far.
            record: Record of this epoch.
            is_best: Whether this epoch is the best so far; the model in training has its weights.
            metrics: Scores of this epoch, as metrics.json has those of the best one.
        """

    def average(self, position: Position, moments: int) -> None:
        """Called after the last epoch if weights were averaged, before `end`.

        Args:
            position: Position with all records; the best metrics are those of the mean.
            moments: Number of moments that were averaged; the model in training has their mean.
        """

    def checkpoint(self, position: Position) -> None:
        """Called before a checkpoint is written, during an epoch or after it."""

    def end(self, position: Position, best_weights: Arrays, about: Mapping[str, str]) -> None:
        """Called after the last epoch.

        Args:
            position: Position with all records.
            best_weights: Weights of the best epoch.
            about: Facts for the model's provenance, such as ranks and digests.
        """

    def leave(self, position: Position, state: Literal["stopped", "failed"]) -> None:
        """Called in place of `end` if the training ends early.

        Args:
            position: Position with all records; those after the last checkpoint will be lost.
            state: Whether it was told to stop and has left a checkpoint, or failed.
        """
