"""Key `training.loss` of the recipe: what is made as small as possible."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Tagged

Smoothing = Annotated[float, Field(ge=0.0, lt=1.0)]


class _LossOptions(Options):
    """What every loss says."""

    name: str

    @property
    def adds_up(self) -> bool:
        """Whether gradients of several batches can be added up before ranks exchange anything."""
        return True

    @property
    def suits_masks(self) -> bool:
        """Whether classes may be masks that overlap, and not exclude each other."""
        return True

    @property
    def takes_soft_labels(self) -> bool:
        """Whether it is least where the probabilities are the shares of soft labels."""
        return False


class CrossEntropyOptions(_LossOptions):
    """Mean over valid pixels of minus the logarithm of the label's probability."""

    name: Literal["crossentropy"] = "crossentropy"
    label_smoothing: Smoothing = 0.0
    """Share of a label that is spread over all classes."""

    @property
    def suits_masks(self) -> bool:
        """Of the probabilities of a pixel it sees the one of its class."""
        return False

    @property
    def takes_soft_labels(self) -> bool:
        """It does."""
        return True


class BinaryCrossEntropyOptions(_LossOptions):
    """Cross-entropy of each class as a mask of its own, mean over pixels and classes."""

    name: Literal["binary_crossentropy"] = "binary_crossentropy"
    label_smoothing: Smoothing = 0.0
    """Share of a mask that is replaced by one half."""

    @property
    def takes_soft_labels(self) -> bool:
        """It does."""
        return True


class FocalOptions(_LossOptions):
    """Cross-entropy in which pixels that are right already count less (T.-Y. Lin et al., 2017)."""

    name: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=1.0, le=10.0)] = 2.0
    """Exponent of one minus the probability of the label, the factor on its cross-entropy."""
    binary: bool = False
    """Each class as a mask of its own."""

    @property
    def suits_masks(self) -> bool:
        """If it is told that there are some."""
        return self.binary


class _OverlapOptions(_LossOptions):
    """What Dice and Jaccard have in common."""

    smoothing: Annotated[float, Field(ge=0.0, le=1e6)] = 1e-5
    """Pixels that numerator and denominator have beside those that are counted."""
    per_image: bool = False
    """Sums of each tile and the mean over tiles; false: sums of all tiles of a step."""
    classes: Literal["all", "present"] = "all"
    """The mean is over all classes, or those that the labels of a step (or tile) have."""

    @property
    def adds_up(self) -> bool:
        """Of one step only the sums do; the mean over tiles does."""
        return self.per_image


class DiceOptions(_OverlapOptions):
    """One minus twice the overlap divided by the sum of prediction and truth, mean over classes."""

    name: Literal["dice"] = "dice"


class JaccardOptions(_OverlapOptions):
    """One minus the overlap divided by the union of prediction and truth, mean over classes."""

    name: Literal["jaccard"] = "jaccard"


_AnyLoss = (
    CrossEntropyOptions | BinaryCrossEntropyOptions | FocalOptions | DiceOptions | JaccardOptions
)
SingleLoss = Annotated[_AnyLoss, Tagged("name")]
"""One of the losses, by the key `name`."""


class LossTerm(Options):
    """A part of a sum of losses."""

    loss: SingleLoss
    weight: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0


class SumOptions(_LossOptions):
    """A weighted sum of losses, such as binary cross-entropy + Dice."""

    name: Literal["sum"] = "sum"
    terms: Annotated[tuple[LossTerm, ...], Field(min_length=1)]
    """Losses, each with its weight."""

    @property
    def adds_up(self) -> bool:
        """If all do in the same way: none or all of them per tile."""
        losses = [term.loss for term in self.terms]
        per_image = {getattr(loss, "per_image", False) for loss in losses}
        return len(per_image) == 1 and all(loss.adds_up for loss in losses)

    @property
    def suits_masks(self) -> bool:
        """If all do."""
        return all(term.loss.suits_masks for term in self.terms)

    @property
    def takes_soft_labels(self) -> bool:
        """If all do."""
        return all(term.loss.takes_soft_labels for term in self.terms)


LossOptions = Annotated[_AnyLoss | SumOptions, Tagged("name")]
"""One of the losses or a sum of some."""
