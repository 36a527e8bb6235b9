"""The learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def scaled_learning_rate(base: float, ranks: int, rule: str) -> float:
    """Learning rate for a global batch that is `ranks` times as large.

    Args:
        base: Learning rate of one rank.
        ranks: Number of ranks.
        rule: "linear" (P. Goyal et al., "Accurate, large minibatch SGD", 2017), "sqrt" (the
            variance of the gradient kept; often better with Adam) or "none".
    """
    factors = {"linear": float(ranks), "sqrt": math.sqrt(ranks), "none": 1.0}
    if rule not in factors:
        raise ValueError(f"`rule` must be one of {sorted(factors)}. Received: rule={rule}")
    return base * factors[rule]


@keras.saving.register_keras_serializable("polynya")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise, then a constant or a cosine that falls to zero.

    Step s of the warm-up has peak * (s + 1) / warmup_steps, so that the first step already counts.
    Warm-up after Goyal et al. 2017, cosine after Loshchilov and Hutter, "SGDR", 2017.

    Args:
        peak: Learning rate after the warm-up.
        warmup_steps: Steps of the rise; 0 starts at the peak.
        total_steps: Steps of the whole training, warm-up included.
        shape: "constant" or "cosine".
        done_steps: Steps that the optimizer has made before, perhaps of another size.
        done_share: How much of the training they were, 0..1.

    Attributes:
        scale: Keras variable, a factor on everything; see `plateau_drops`.
    """

    def __init__(
        self,
        peak: float,
        *,
        warmup_steps: int,
        total_steps: int,
        shape: str = "constant",
        done_steps: int = 0,
        done_share: float = 0.0,
    ) -> None:
        super().__init__()
        if shape not in ("constant", "cosine"):
            raise ValueError(f"`shape` must be 'constant' or 'cosine'. Received: shape={shape}")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.shape = shape
        self.done_steps = done_steps
        self.done_share = done_share
        self.scale = keras.Variable(1.0, trainable=False, name="scale")

    def __call__(self, step: Any) -> Any:
        # Exactly `step`, where all steps are of one size.
        first = round(self.done_share * self.total_steps) - self.done_steps
        step = ops.cast(step + first, "float32")
        rising = (step + 1.0) / max(self.warmup_steps, 1)
        factor = ops.minimum(rising, 1.0)
        if self.shape == "cosine":
            after = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
            share = ops.clip(after, 0.0, 1.0)
            factor = factor * 0.5 * (1.0 + ops.cos(math.pi * share))
        return self.peak * factor * self.scale

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "shape": self.shape,
            "done_steps": self.done_steps,
            "done_share": self.done_share,
        }


def epochs_since_best(values: Sequence[float]) -> int:
    """Epochs after the one with the greatest value, the first of equals; NaN is never best."""
    best = 0
    for index, value in enumerate(values):
        if value > values[best] or (math.isnan(values[best]) and not math.isnan(value)):
            best = index
    return max(len(values) - 1 - best, 0)


def plateau_drops(values: Sequence[float], patience: int) -> int:
    """How often there were `patience` epochs in a row without a new greatest value.

    Args:
        values: One an epoch, greater is better.
        patience: Epochs; after a drop, counting begins anew.
    """
    drops, waited, best = 0, 0, math.nan
    for value in values:
        if math.isnan(best) or value > best:
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops
