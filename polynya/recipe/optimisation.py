"""Keys `training.optimizer` and `training.schedule` of the recipe: how weights change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Positive, Share, Tagged

Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Tiny = Annotated[float, Field(gt=0.0, le=1.0)]
Factor = Annotated[float, Field(gt=0.0, lt=1.0)]


class _OptimizerOptions(Options):
    """What every optimizer knows."""

    name: str
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """How strongly weights are drawn to zero; of all weights, biases included."""
    decay: Literal["coupled", "decoupled"] = "coupled"
    """coupled: weight_decay x weight is added to the gradient after clipping, as PyTorch does.
    decoupled: a step also takes learning rate x weight_decay x weight off a weight, whatever its
    gradients were (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019)."""


class AdamOptions(_OptimizerOptions):
    """Adam (D. Kingma and J. Ba, 2015)."""

    name: Literal["adam"] = "adam"
    beta_1: Momentum = 0.9
    """Share of the mean gradient that a step keeps."""
    beta_2: Momentum = 0.999
    """Share of the mean squared gradient that a step keeps."""
    epsilon: Tiny = 1e-7
    """Added to the root of the mean squared gradient."""


class AdamWOptions(AdamOptions):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.01
    """How strongly weights are drawn to zero; of all weights, biases included."""
    decay: Literal["decoupled"] = "decoupled"
    """A step takes learning rate x weight_decay x weight off a weight."""


class NadamOptions(AdamOptions):
    """Adam with Nesterov's momentum (T. Dozat, 2016)."""

    name: Literal["nadam"] = "nadam"  # type: ignore[assignment]


class SgdOptions(_OptimizerOptions):
    """Gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.9
    """Share of the last change that a step makes again."""
    nesterov: bool = False
    """Take the gradient where momentum leads."""


class RmspropOptions(_OptimizerOptions):
    """Gradients divided by the root of their mean square (G. Hinton, 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: Momentum = 0.9
    """Share of the mean squared gradient that a step keeps."""
    momentum: Momentum = 0.0
    """Share of the last change that a step makes again."""
    epsilon: Tiny = 1e-7
    """Added to the mean squared gradient."""


OptimizerOptions = Annotated[
    AdamOptions | AdamWOptions | NadamOptions | SgdOptions | RmspropOptions,
    Tagged("name", default="adam"),
]
"""One of the optimizers, by the key `name`."""


class ConstantOptions(Options):
    """The same learning rate after the warm-up."""

    name: Literal["constant"] = "constant"


class CosineOptions(Options):
    """A half cosine that falls to zero at the end."""

    name: Literal["cosine"] = "cosine"


class PlateauOptions(Options):
    """A smaller learning rate whenever the score stays where it is."""

    name: Literal["plateau"] = "plateau"
    epochs: Positive | None = None
    """Epochs without a better score; null: `training.plateau_epochs`."""
    factor: Factor | None = None
    """Of each drop; null: `training.plateau_factor`."""


class StepwiseOptions(Options):
    """A smaller learning rate after every so many epochs."""

    name: Literal["step"] = "step"
    epochs: Positive = 10
    """Epochs between drops, the warm-up counted."""
    factor: Factor = 0.1
    """Of each drop."""


class OneCycleOptions(Options):
    """Up by a half cosine to `learning_rate` and down by another; `warmup_epochs` has no effect.

    After L. Smith and N. Topin, "Super-convergence", 2018; shape and defaults are PyTorch's.
    """

    name: Literal["one_cycle"] = "one_cycle"
    start: Share = 0.04
    """Learning rate of the first step as a share of the greatest."""
    end: Share = 4e-6
    """Learning rate of the last step as a share of the greatest."""
    rise: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """Share of the steps in which it rises."""


ScheduleOptions = Annotated[
    ConstantOptions | CosineOptions | PlateauOptions | StepwiseOptions | OneCycleOptions,
    Tagged("name"),
]
"""One of the schedules, by the key `name`."""
