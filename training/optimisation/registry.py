"""Builds the optimizer and schedule that the recipe's options name.

See `polynya.recipe.optimisation` for the options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from polynya.recipe.optimisation import (
    AdamOptions,
    AdamWOptions,
    ConstantOptions,
    CosineOptions,
    NadamOptions,
    OneCycleOptions,
    OptimizerOptions,
    PlateauOptions,
    RampOptions,
    RestartOptions,
    RmspropOptions,
    ScheduleOptions,
    SgdOptions,
    StepwiseOptions,
)
from training.optimisation.schedules import (
    OneCycleSchedule,
    RampSchedule,
    RestartSchedule,
    Schedule,
    StepSchedule,
    WarmupSchedule,
)

OPTIMIZERS: dict[type, Callable[..., keras.optimizers.Optimizer]] = {
    AdamOptions: keras.optimizers.Adam,
    AdamWOptions: keras.optimizers.AdamW,
    NadamOptions: keras.optimizers.Nadam,
    SgdOptions: keras.optimizers.SGD,
    RmspropOptions: keras.optimizers.RMSprop,
}
"""Every optimizer that a recipe can name. An optimizer takes all keys of its options except `name`
and `decay`; Keras' `weight_decay` is decoupled."""


def build_optimizer(
    options: OptimizerOptions, schedule: Schedule, *, clip_norm: float | None
) -> keras.optimizers.Optimizer:
    """Build the optimizer that a recipe's key `training.optimizer` asks for.

    Args:
        options: Options of one optimizer.
        schedule: Learning rate.
        clip_norm: Greatest norm of all gradients; the step has already clipped the gradients.
    """
    own = options.model_dump(exclude={"name", "decay", "weight_decay"})
    if coupled_decay(options):
        # The step adds weight decay after clipping, so the sum must not be clipped again.
        return OPTIMIZERS[type(options)](schedule, **own)
    decay = options.weight_decay if options.decay == "decoupled" else None
    return OPTIMIZERS[type(options)](schedule, weight_decay=decay, global_clipnorm=clip_norm, **own)


def coupled_decay(options: OptimizerOptions) -> float:
    """Find the weight decay that the step adds to the gradients; 0 if none or decoupled."""
    return options.weight_decay if options.decay == "coupled" else 0.0


def build_schedule(
    options: ScheduleOptions,
    peak: float,
    *,
    warmup_steps: int,
    epoch_steps: int,
    epochs: int,
    done_steps: int = 0,
    done_share: float = 0.0,
) -> Schedule:
    """Build the learning rate schedule that a recipe's key `training.schedule` asks for.

    Args:
        options: Options of one schedule.
        peak: Greatest learning rate.
        warmup_steps: Steps of the rise at the start.
        epoch_steps: Steps of an epoch.
        epochs: Epochs of the whole training.
        done_steps: See `Schedule`.
        done_share: See `Schedule`.
    """
    progress = {
        "total_steps": epochs * epoch_steps,
        "done_steps": done_steps,
        "done_share": done_share,
    }
    return SCHEDULES[type(options)](options, peak, warmup_steps, epoch_steps, progress)


def _warmup(
    options: Any, peak: float, warmup_steps: int, epoch_steps: int, progress: dict[str, Any]
) -> Schedule:
    shape = "cosine" if isinstance(options, CosineOptions) else "constant"
    return WarmupSchedule(peak, warmup_steps=warmup_steps, shape=shape, **progress)


def _step(
    options: Any, peak: float, warmup_steps: int, epoch_steps: int, progress: dict[str, Any]
) -> Schedule:
    return StepSchedule(
        peak,
        warmup_steps=warmup_steps,
        drop_steps=options.epochs * epoch_steps,
        drop=options.factor,
        **progress,
    )


def _one_cycle(
    options: Any, peak: float, warmup_steps: int, epoch_steps: int, progress: dict[str, Any]
) -> Schedule:
    return OneCycleSchedule(
        peak, start=options.start, end=options.end, rise=options.rise, **progress
    )


def _ramp(
    options: Any, peak: float, warmup_steps: int, epoch_steps: int, progress: dict[str, Any]
) -> Schedule:
    own = options.model_dump(exclude={"name"})
    return RampSchedule(peak, epoch_steps=epoch_steps, **own, **progress)


def _restarts(
    options: Any, peak: float, warmup_steps: int, epoch_steps: int, progress: dict[str, Any]
) -> Schedule:
    return RestartSchedule(
        peak,
        warmup_steps=warmup_steps,
        period=options.epochs * epoch_steps,
        longer=options.longer,
        end=options.end,
        **progress,
    )


SCHEDULES: dict[type, Callable[[Any, float, int, int, dict[str, Any]], Schedule]] = {
    ConstantOptions: _warmup,
    CosineOptions: _warmup,
    PlateauOptions: _warmup,
    StepwiseOptions: _step,
    OneCycleOptions: _one_cycle,
    RampOptions: _ramp,
    RestartOptions: _restarts,
}
"""Every schedule that a recipe can name. For drops on a plateau, the run sets `scale`."""
