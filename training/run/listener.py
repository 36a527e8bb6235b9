"""What may follow a training as it goes: the files of the model, a tracker, a sweep."""

from __future__ import annotations

from collections.abc import Mapping

from training.model_folder.checkpoints import Arrays, Position
from training.model_folder.training_log import EpochRecord, StepRecord


class Listener:
    """Is told of a training by rank 0; does nothing with what it doesn't override.

    What it raises ends the training: a `PolynyaError` in one sentence.
    """

    def start(self, position: Position) -> None:
        """Before the first step of this start, which may be in the middle of a training."""

    def resume(self, position: Position) -> None:
        """Before `start`, where a training goes on whose best epoch so far is known.

        The model in training has the weights of that epoch now. Later epochs of the run that was
        cut are undone, so what they left is of no value.
        """

    def step(self, record: StepRecord) -> None:
        """After each step."""

    def epoch(self, position: Position, record: EpochRecord, is_best: bool) -> None:
        """After each epoch and its validation.

        Args:
            position: With the records of all steps and epochs so far.
            record: Of this epoch.
            is_best: It is the best so far; the model in training has its weights.
        """

    def checkpoint(self, position: Position) -> None:
        """Before a checkpoint is written, in an epoch or after it."""

    def end(self, position: Position, best_weights: Arrays, about: Mapping[str, str]) -> None:
        """After the last epoch.

        Args:
            position: With all records.
            best_weights: Of the best epoch.
            about: Ranks, digests and the like, for the model's provenance.
        """
