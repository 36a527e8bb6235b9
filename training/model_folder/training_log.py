"""What a training says of its steps, its epochs and itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv."""

    epoch: int
    """From 1."""
    learning_rate: float
    """Of the epoch's first step."""
    loss: float
    """Mean over all valid pixels of the epoch, nats."""
    val_loss: float
    val_accuracy: float
    val_mean_iou: float
    images_per_second: float
    """Training tiles of all ranks, over the time of the training steps."""
    waiting_share: float
    """Of the time of the training steps, waiting for the exchange after a rank's own gradients
    were there; mean of the ranks, 0..1."""
    reduced_bytes: int
    """Gradients that each rank gives to the exchange in a step; 0 with one rank."""
    seconds: float
    """Of the whole epoch, validation included."""

    def score(self, monitor: str) -> float:
        """What makes an epoch better than another: greater is better.

        Args:
            monitor: The recipe's key 'training.monitor', or "training loss" without validation.
        """
        return {
            "mean_iou": self.val_mean_iou,
            "accuracy": self.val_accuracy,
            "loss": -self.val_loss,
            "training loss": -self.loss,
        }[monitor]


@dataclass(frozen=True)
class StepRecord:
    """A row of steps.csv."""

    step: int
    """From 1, over all epochs."""
    epoch: int
    loss: float
    """Mean over the valid pixels of the global batch, nats."""
    valid_pixels: int


@dataclass(frozen=True)
class TrainingSummary:
    """What a run did; the same on every rank."""

    folder: Path
    best_epoch: int
    history: tuple[EpochRecord, ...]
    weights_digest: str
    """Of the weights after the last step, which is the same on every rank."""
    ranks: int
