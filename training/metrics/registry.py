"""Finds metrics by name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import get_args

from polynya.recipe.metrics import MetricName
from training.metrics.base import Metric


@cache
def find_metric(name: MetricName) -> Metric:
    """Find a metric: `METRIC` of the module of its name."""
    metric: Metric = import_module(f"training.metrics.{name}").METRIC
    return metric


@cache
def all_metrics() -> tuple[Metric, ...]:
    """List all metrics in the order of `MetricName`."""
    return tuple(find_metric(name) for name in get_args(MetricName))


@cache
def confusion_metrics() -> tuple[Metric, ...]:
    """List the metrics that need the confusion matrix only, which are always measured."""
    return tuple(metric for metric in all_metrics() if metric.sums is None)


def measured(further: Iterable[MetricName] = ()) -> tuple[Metric, ...]:
    """List the metrics that are always measured, and further ones."""
    wanted = {metric.name for metric in confusion_metrics()} | set(further)
    return tuple(metric for metric in all_metrics() if metric.name in wanted)
