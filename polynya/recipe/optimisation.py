"""Keys `training.optimizer` and `training.schedule` of the recipe: how training changes weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Positive, Share, Tagged

Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Tiny = Annotated[float, Field(gt=0.0, le=1.0)]
Factor = Annotated[float, Field(gt=0.0, lt=1.0)]


class _OptimizerOptions(Options):
    """Keys of every optimizer."""

    name: str
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """How strongly all weights, biases included, are pulled towards zero."""
    decay: Literal["coupled", "decoupled"] = "coupled"
    """coupled: weight_decay x weight is added to the gradient after clipping, as PyTorch does.
    decoupled: a step also subtracts learning rate x weight_decay x weight from a weight,
    independent of the gradient (I. Loshchilov and F. Hutter, "Decoupled weight decay
    regularization", 2019)."""


class AdamOptions(_OptimizerOptions):
    """Adam (D. Kingma and J. Ba, 2015)."""

    name: Literal["adam"] = "adam"
    beta_1: Momentum = 0.9
    """Share of the mean gradient that a step keeps."""
    beta_2: Momentum = 0.999
    """Share of the mean squared gradient that a step keeps."""
    epsilon: Tiny = 1e-7
    """Number added to the square root of the mean squared gradient."""


class AdamWOptions(AdamOptions):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.01
    """How strongly all weights, biases included, are pulled towards zero."""
    decay: Literal["decoupled"] = "decoupled"
    """A step subtracts learning rate x weight_decay x weight from a weight."""


class NadamOptions(AdamOptions):
    """Adam with Nesterov's momentum (T. Dozat, 2016)."""

    name: Literal["nadam"] = "nadam"  # type: ignore[assignment]


class SgdOptions(_OptimizerOptions):
    """Gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.9
    """Share of the last change that a step repeats."""
    nesterov: bool = False
    """Nesterov's momentum: compute the gradient at the position after the momentum step."""


class RmspropOptions(_OptimizerOptions):
    """Gradients divided by the root of their mean square (G. Hinton, 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: Momentum = 0.9
    """Share of the mean squared gradient that a step keeps."""
    momentum: Momentum = 0.0
    """Share of the last change that a step repeats."""
    epsilon: Tiny = 1e-7
    """Number added to the mean squared gradient."""


OptimizerOptions = Annotated[
    AdamOptions | AdamWOptions | NadamOptions | SgdOptions | RmspropOptions,
    Tagged("name", default="adam"),
]
"""One of the optimizers, chosen by the key `name`."""


class ConstantOptions(Options):
    """A constant learning rate after the warm-up."""

    name: Literal["constant"] = "constant"


class CosineOptions(Options):
    """A learning rate that falls to zero along a half cosine."""

    name: Literal["cosine"] = "cosine"


class PlateauOptions(Options):
    """A smaller learning rate whenever the score no longer improves."""

    name: Literal["plateau"] = "plateau"
    epochs: Positive | None = None
    """Epochs without a better score before a drop; null: `training.plateau_epochs`."""
    factor: Factor | None = None
    """Factor of each drop; null: `training.plateau_factor`."""


class StepwiseOptions(Options):
    """A smaller learning rate after a fixed number of epochs."""

    name: Literal["step"] = "step"
    epochs: Positive = 10
    """Epochs between drops, including the warm-up."""
    factor: Factor = 0.1
    """Factor of each drop."""


class OneCycleOptions(Options):
    """Rise to `learning_rate` and fall along half cosines; `warmup_epochs` has no effect.

    Source: L. Smith and N. Topin, "Super-convergence", 2018. Shape and defaults are the same as in
    PyTorch.
    """

    name: Literal["one_cycle"] = "one_cycle"
    start: Share = 0.04
    """Learning rate of the first step as a share of the greatest."""
    end: Share = 4e-6
    """Learning rate of the last step as a share of the greatest."""
    rise: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """Share of the steps in which the learning rate rises."""


class RampOptions(Options):
    """Segmentation Gym's schedule: a ramp by epochs, some at `learning_rate`, then a decay.

    `warmup_epochs` has no effect. The published configuration is the default, with a
    `learning_rate` of 0.0001.
    """

    name: Literal["ramp"] = "ramp"
    start: Share = 1e-3
    """Learning rate of the first epoch as a share of the greatest."""
    end: Share = 1e-3
    """Learning rate that the decay comes to, as a share of the greatest."""
    ramp: Annotated[int, Field(ge=0)] = 20
    """Epochs of the ramp."""
    sustain: Annotated[int, Field(ge=0)] = 0
    """Epochs at the greatest learning rate."""
    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Factor of what is above the end, an epoch."""
    initial_epoch: Annotated[int, Field(ge=0)] = 0
    """Epochs that are left out at the beginning, for a training that goes on with the weights of
    another one."""


class RestartOptions(Options):
    """Warm restarts: half cosines that begin again at `learning_rate`.

    Source: I. Loshchilov and F. Hutter, "SGDR", 2017.
    """

    name: Literal["restarts"] = "restarts"
    epochs: Positive = 10
    """Epochs of the first half cosine."""
    longer: Annotated[float, Field(ge=1.0, le=10.0)] = 1.0
    """Factor from the length of one half cosine to that of the next."""
    end: Share = 0.0
    """Learning rate at the end of each as a share of the greatest."""


ScheduleOptions = Annotated[
    ConstantOptions
    | CosineOptions
    | PlateauOptions
    | StepwiseOptions
    | OneCycleOptions
    | RampOptions
    | RestartOptions,
    Tagged("name"),
]
"""One of the schedules, chosen by the key `name`."""


class AveragingOptions(Options):
    """Stochastic weight averaging: the model is the mean of the weights of several moments.

    Source: P. Izmailov et al., "Averaging weights leads to wider optima and better
    generalization", 2018.
    """

    start: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.75
    """Share of the epochs before averaging begins."""
    start_epoch: Annotated[int, Field(ge=0)] | None = None
    """Number of epochs before averaging begins, in place of `start`."""
    every_epochs: Positive = 1
    """Epochs from one averaged moment to the next; a moment is the end of an epoch."""
    every_steps: Positive | None = None
    """Steps from one averaged moment to the next, in place of `every_epochs`."""
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    """Constant learning rate while averaging, scaled with ranks like `training.learning_rate`;
    null: the schedule goes on."""

    def epochs_before(self, epochs: int) -> int:
        """Number of epochs before averaging begins.

        Args:
            epochs: Epochs of the whole training.
        """
        return int(self.start * epochs) if self.start_epoch is None else self.start_epoch
