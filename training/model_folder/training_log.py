"""Records of the steps, the epochs and the whole of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv."""

    epoch: int
    """Number of the epoch, from 1."""
    learning_rate: float
    """Learning rate of the epoch's first step."""
    loss: float
    """Mean over all valid pixels of the epoch, nats."""
    val_loss: float
    val_accuracy: float
    val_mean_iou: float
    images_per_second: float
    """Training tiles of all ranks, divided by the time of the training steps."""
    waiting_share: float
    """Share of the time of the training steps, 0..1, mean of the ranks. A rank waits after its own
    gradients are ready, until the exchange ends."""
    reduced_bytes: int
    """Bytes of gradients that each rank exchanges in a step; 0 with one rank."""
    seconds: float
    """Time of the whole epoch, with validation."""
    val_mean_f1: float = math.nan
    training_loss: float = math.nan
    """Loss over the training tiles at the end of the epoch, without dropout and augmentation; NaN
    unless `training.metrics.training` is set, as the next two."""
    training_accuracy: float = math.nan
    training_mean_iou: float = math.nan

    def score(self, monitor: str) -> float:
        """Score that decides which epoch is the best: greater is better.

        Args:
            monitor: The recipe's key 'training.monitor', or "training loss" without validation.
        """
        return {
            "mean_iou": self.val_mean_iou,
            "mean_f1": self.val_mean_f1,
            "accuracy": self.val_accuracy,
            "loss": -self.val_loss,
            "training loss": -self.loss,
        }[monitor]


@dataclass(frozen=True)
class StepRecord:
    """A row of steps.csv."""

    step: int
    """Number of the step, from 1, over all epochs."""
    epoch: int
    loss: float
    """Mean over the valid pixels of the global batch, nats."""
    valid_pixels: int


@dataclass(frozen=True)
class TrainingSummary:
    """Result of a run; the same on every rank."""

    folder: Path
    best_epoch: int
    history: tuple[EpochRecord, ...]
    weights_digest: str
    """Digest of the weights after the last step; the same on every rank."""
    ranks: int
    averaged_moments: int = 0
    """Number of moments whose weights the model is the mean of; 0: it is of the best epoch."""
