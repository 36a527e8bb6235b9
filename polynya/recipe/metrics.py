"""Key `training.metrics` of the recipe: what is measured beside the loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options

MetricName = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "iou",
    "frequency_weighted_iou",
    "matthews",
    "kullback_leibler",
    "calibration_error",
    "ssim",
    "boundary_f1",
]
"""Every metric; each is a module of `training/metrics/` with its name."""


class MetricsOptions(Options):
    """What is measured on validation tiles. Metrics of the confusion matrix are always measured."""

    further: tuple[MetricName, ...] = ()
    """Metrics that take time of their own: kullback_leibler (probabilities from labels),
    calibration_error (probabilities from shares that are right), ssim (structural similarity of
    label images), boundary_f1 (edges of classes)."""
    training: bool = False
    """Measure the training tiles too after each epoch, as they are and without dropout. Then
    over-fitting is visible; an epoch takes longer."""
    tolerance: Annotated[float, Field(ge=0.0, le=1000.0)] = 2.0
    """Distance in pixels at which edges count as the same, for boundary_f1."""
