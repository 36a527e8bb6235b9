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
        return self.peak * self.factor(ops.cast(step + self._first, "float32")) * self.scale

    @property
    def _first(self) -> int:
        """What to add to an optimizer's step; 0 if all steps have the same batch size."""
        return round(self.done_share * self.total_steps) - self.done_steps

    def begin_again(self, done_share: float) -> None:
        """Go on from here with an optimizer that counts its steps from 0 again."""
        self.done_steps, self.done_share = 0, done_share

    def rate(self, step: int) -> float:
        """Compute the learning rate at a step of the optimizer in float64, without `scale`."""
        return self.peak * float(self.factor(ops.cast(step + self._first, "float64")))

    def factor(self, step: Any) -> Any:
        """Compute the factor on the peak at a step of the training, from 0; float32 or float64."""
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


@keras.saving.register_keras_serializable("polynya")
class RampSchedule(Schedule):
    """A linear ramp, some epochs at the peak, then an exponential decay; constant in an epoch.

    Epoch e has the rate start + e (peak - start) / ramp before the peak, the peak for `sustain`
    epochs, and then end + (peak - end) decay ** (e - ramp - sustain).

    Args:
        peak: Greatest learning rate.
        epoch_steps: Steps of an epoch.
        start: Share of the peak in the first epoch.
        end: Share of the peak that the decay comes to.
        ramp: Epochs of the ramp; 0 starts at the peak.
        sustain: Epochs at the peak.
        decay: Factor of what is above the end, an epoch.
        initial_epoch: Epochs that are left out at the beginning.
        **options: Other arguments of `Schedule`.

    Source: D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
    geoscientific imagery", 2022, and the code of Segmentation Gym.
    """

    def __init__(
        self,
        peak: float,
        *,
        epoch_steps: int,
        start: float,
        end: float,
        ramp: int,
        sustain: int,
        decay: float,
        initial_epoch: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(peak, **options)
        self.epoch_steps = epoch_steps
        self.start = start
        self.end = end
        self.ramp = ramp
        self.sustain = sustain
        self.decay = decay
        self.initial_epoch = initial_epoch

    def factor(self, step: Any) -> Any:
        epoch = ops.floor(step / self.epoch_steps) + self.initial_epoch
        rising = self.start + epoch * ((1.0 - self.start) / max(self.ramp, 1))
        after = ops.maximum(epoch - (self.ramp + self.sustain), 0.0)
        falling = self.end + (1.0 - self.end) * self.decay**after
        return ops.where(epoch < self.ramp, rising, falling)

    def get_config(self) -> dict[str, Any]:
        names = ("epoch_steps", "start", "end", "ramp", "sustain", "decay", "initial_epoch")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("polynya")
class RestartSchedule(Schedule):
    """A linear rise, then half cosines from the peak to the end, each longer than the one before.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017.

    Args:
        peak: Greatest learning rate.
        warmup_steps: Steps of the rise, see `WarmupSchedule`.
        period: Steps of the first half cosine.
        longer: Factor from the length of one half cosine to that of the next, at least 1.
        end: Share of the peak at the end of each.
        **options: Other arguments of `Schedule`.
    """

    def __init__(
        self,
        peak: float,
        *,
        warmup_steps: int,
        period: int,
        longer: float = 1.0,
        end: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(peak, **options)
        self.warmup_steps = warmup_steps
        self.period = period
        self.longer = longer
        self.end = end

    def factor(self, step: Any) -> Any:
        after = ops.maximum(step - self.warmup_steps, 0.0)
        # Where each half cosine begins: known here, so nothing is lost to a logarithm's rounding.
        begins, lengths = [0.0], [float(self.period)]
        while begins[-1] + lengths[-1] <= self.total_steps:
            begins.append(begins[-1] + lengths[-1])
            lengths.append(float(round(lengths[-1] * self.longer)))
        dtype = after.dtype
        all_begins = ops.convert_to_tensor(begins, dtype)
        reached = ops.cast(ops.greater_equal(ops.expand_dims(after, -1), all_begins), "int32")
        current = ops.sum(reached, axis=-1) - 1
        place = after - ops.take(all_begins, current)
        share = ops.clip(place / ops.take(ops.convert_to_tensor(lengths, dtype), current), 0.0, 1.0)
        fallen = self.end + (1.0 - self.end) * 0.5 * (1.0 + ops.cos(math.pi * share))
        return _risen(step, self.warmup_steps) * fallen

    def get_config(self) -> dict[str, Any]:
        names = ("warmup_steps", "period", "longer", "end")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("polynya")
class HeldSchedule(Schedule):
    """Another schedule up to a step, then a constant rate.

    Args:
        schedule: The other schedule; its `scale` has no effect on the constant rate.
        rate: The constant rate.
        first_step: First step of the training with the constant rate.
    """

    def __init__(self, schedule: Any, *, rate: float, first_step: int) -> None:
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        own = {name: getattr(schedule, name) for name in ("done_steps", "done_share")}
        super().__init__(schedule.peak, total_steps=schedule.total_steps, **own)
        self.schedule = schedule
        self.scale = schedule.scale
        self.held = rate
        self.first_step = first_step

    def __call__(self, step: Any) -> Any:
        return ops.where(step + self._first < self.first_step, self.schedule(step), self.held)

    def begin_again(self, done_share: float) -> None:
        super().begin_again(done_share)
        self.schedule.begin_again(done_share)

    def rate(self, step: int) -> float:
        is_before = step + self._first < self.first_step
        return self.schedule.rate(step) if is_before else self.held

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "rate": self.held,
            "first_step": self.first_step,
        }


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
