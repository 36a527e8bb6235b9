"""The learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def scaled_learning_rate(base: float, ranks: int, rule: str) -> float:
    """Compute the learning rate for a global batch that is `ranks` times as large.

    Args:
        base: Learning rate of one rank.
        ranks: Number of ranks.
        rule: "linear" (P. Goyal et al., "Accurate, large minibatch SGD", 2017), "sqrt" (keeps the
            variance of the gradient; often better with Adam) or "none".
    """
    factors = {"linear": float(ranks), "sqrt": math.sqrt(ranks), "none": 1.0}
    if rule not in factors:
        raise ValueError(f"`rule` must be one of {sorted(factors)}. Received: rule={rule}")
    return base * factors[rule]


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate by step, also for a training that goes on from a checkpoint.

    Args:
        peak: Greatest learning rate.
        total_steps: Steps of the whole training.
        done_steps: Steps that the optimizer has already made, perhaps with another batch size.
        done_share: Share of the training that these steps were, 0..1.

    Attributes:
        scale: Keras variable, a factor on the learning rate; see `plateau_drops`.
    """

    def __init__(
        self, peak: float, *, total_steps: int, done_steps: int = 0, done_share: float = 0.0
    ) -> None:
        super().__init__()
        self.peak = peak
        self.total_steps = total_steps
        self.done_steps = done_steps
        self.done_share = done_share
        self.scale = keras.Variable(1.0, trainable=False, name="scale")

    def __call__(self, step: Any) -> Any:
        # If all steps have the same batch size, `first` is 0.
        first = round(self.done_share * self.total_steps) - self.done_steps
        return self.peak * self.factor(ops.cast(step + first, "float32")) * self.scale

    def factor(self, step: Any) -> Any:
        """Compute the factor on the peak, float32, at a step of the training, float32 from 0."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "done_steps": self.done_steps,
            "done_share": self.done_share,
        }


@keras.saving.register_keras_serializable("polynya")
class WarmupSchedule(Schedule):
    """A linear rise, then a constant or a cosine that falls to zero.

    Step s of the warm-up has the rate peak * (s + 1) / warmup_steps, so the first rate is not 0.
    Warm-up after Goyal et al. 2017, cosine after Loshchilov and Hutter, "SGDR", 2017.

    Args:
        peak: Learning rate after the warm-up.
        warmup_steps: Steps of the rise; 0 starts at the peak.
        shape: "constant" or "cosine".
        **options: Other arguments of `Schedule`; total_steps includes the warm-up.
    """

    def __init__(
        self, peak: float, *, warmup_steps: int, shape: str = "constant", **options: Any
    ) -> None:
        super().__init__(peak, **options)
        if shape not in ("constant", "cosine"):
            raise ValueError(f"`shape` must be 'constant' or 'cosine'. Received: shape={shape}")
        self.warmup_steps = warmup_steps
        self.shape = shape

    def factor(self, step: Any) -> Any:
        factor = _risen(step, self.warmup_steps)
        if self.shape == "cosine":
            after = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
            share = ops.clip(after, 0.0, 1.0)
            factor = factor * 0.5 * (1.0 + ops.cos(math.pi * share))
        return factor

    def get_config(self) -> dict[str, Any]:
        own = {"warmup_steps": self.warmup_steps, "shape": self.shape}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("polynya")
class StepSchedule(Schedule):
    """A linear rise, and a drop after every `drop_steps` steps.

    Args:
        peak: Learning rate after the warm-up.
        warmup_steps: Steps of the rise, see `WarmupSchedule`.
        drop_steps: Steps between drops; the steps of the rise count too.
        drop: Factor of each drop.
        **options: Other arguments of `Schedule`.
    """

    def __init__(
        self, peak: float, *, warmup_steps: int, drop_steps: int, drop: float, **options: Any
    ) -> None:
        super().__init__(peak, **options)
        self.warmup_steps = warmup_steps
        self.drop_steps = drop_steps
        self.drop = drop

    def factor(self, step: Any) -> Any:
        return _risen(step, self.warmup_steps) * self.drop ** ops.floor(step / self.drop_steps)

    def get_config(self) -> dict[str, Any]:
        own = {
            "warmup_steps": self.warmup_steps,
            "drop_steps": self.drop_steps,
            "drop": self.drop,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("polynya")
class OneCycleSchedule(Schedule):
    """A half cosine up to the peak and a half cosine down, over all steps.

    After L. Smith and N. Topin, "Super-convergence", 2018; the steps are those of PyTorch's
    OneCycleLR: the peak is at step rise * total_steps - 1, the end at the last one.

    Args:
        peak: Greatest learning rate.
        start: Share of the peak at the first step.
        end: Share of the peak at the last step.
        rise: Share of the steps in which the rate rises.
        **options: Other arguments of `Schedule`.
    """

    def __init__(
        self, peak: float, *, start: float, end: float, rise: float, **options: Any
    ) -> None:
        super().__init__(peak, **options)
        self.start = start
        self.end = end
        self.rise = rise

    def factor(self, step: Any) -> Any:
        top = max(self.rise * self.total_steps - 1.0, 0.0)
        last = self.total_steps - 1.0
        up = ops.clip(step / max(top, 1.0), 0.0, 1.0)
        down = ops.clip((step - top) / max(last - top, 1.0), 0.0, 1.0)
        rising = 1.0 - (1.0 - self.start) * 0.5 * (1.0 + ops.cos(math.pi * up))
        falling = self.end + (1.0 - self.end) * 0.5 * (1.0 + ops.cos(math.pi * down))
        return ops.where(step < top, rising, falling)

    def get_config(self) -> dict[str, Any]:
        own = {"start": self.start, "end": self.end, "rise": self.rise}
        return {**super().get_config(), **own}


def _risen(step: Any, warmup_steps: int) -> Any:
    """Compute the factor of a linear rise; it is greater than 0 at the first step."""
    return ops.minimum((step + 1.0) / max(warmup_steps, 1), 1.0)


def epochs_since_best(values: Sequence[float]) -> int:
    """Count the epochs after the best value.

    The best is the greatest value, and the first one among equal values. NaN is never the best.
    """
    best = 0
    for index, value in enumerate(values):
        if value > values[best] or (math.isnan(values[best]) and not math.isnan(value)):
            best = index
    return max(len(values) - 1 - best, 0)


def plateau_drops(values: Sequence[float], patience: int) -> int:
    """Count how often `patience` epochs in a row had no new greatest value.

    Args:
        values: One value per epoch; greater is better.
        patience: Number of epochs; after a drop, counting begins again.
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
