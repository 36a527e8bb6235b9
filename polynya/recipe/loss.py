"""Key `training.loss` of the recipe: the function that training minimises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Tagged

Smoothing = Annotated[float, Field(ge=0.0, lt=1.0)]
Price = Annotated[float, Field(ge=0.0, le=100.0)]


class _LossOptions(Options):
    """Properties of every loss."""

    name: str

    @property
    def adds_up(self) -> bool:
        """Whether gradients of several batches can be added before ranks exchange them."""
        return True

    @property
    def suits_masks(self) -> bool:
        """Whether the loss works with masks, which may overlap, instead of exclusive classes."""
        return True

    @property
    def takes_soft_labels(self) -> bool:
        """Whether the minimum is where the probabilities equal the shares of soft labels."""
        return False


class CrossEntropyOptions(_LossOptions):
    """Mean over valid pixels of minus the logarithm of the label's probability."""

    name: Literal["crossentropy"] = "crossentropy"
    label_smoothing: Smoothing = 0.0
    """Share of a label that is spread over all classes."""

    @property
    def suits_masks(self) -> bool:
        """False: it uses only the probability of the pixel's class."""
        return False

    @property
    def takes_soft_labels(self) -> bool:
        """True: cross-entropy has this minimum."""
        return True


class BinaryCrossEntropyOptions(_LossOptions):
    """Cross-entropy of each class as a separate mask, mean over pixels and classes."""

    name: Literal["binary_crossentropy"] = "binary_crossentropy"
    label_smoothing: Smoothing = 0.0
    """Share of a mask's value that is replaced by one half."""

    @property
    def takes_soft_labels(self) -> bool:
        """True: binary cross-entropy has this minimum."""
        return True


class FocalOptions(_LossOptions):
    """Cross-entropy with less weight on already correct pixels (T.-Y. Lin et al., 2017)."""

    name: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=1.0, le=10.0)] = 2.0
    """Exponent in the weight (1 - probability of the label) ** gamma of the cross-entropy."""
    binary: bool = False
    """Treat each class as a separate mask."""

    @property
    def suits_masks(self) -> bool:
        """Whether `binary` is set."""
        return self.binary


class _OverlapOptions(_LossOptions):
    """Common keys of Dice and Jaccard."""

    smoothing: Annotated[float, Field(ge=0.0, le=1e6)] = 1e-5
    """Number of pixels added to numerator and denominator, so that neither is zero."""
    per_image: bool = False
    """true: sums over each tile, then the mean over tiles. false: sums over all tiles of a step."""
    classes: Literal["all", "present"] = "all"
    """all: mean over all classes. present: mean over classes in the labels of a step (or tile)."""

    @property
    def adds_up(self) -> bool:
        """Whether the loss is a mean over tiles; with sums over a step, gradients don't add up."""
        return self.per_image


class DiceOptions(_OverlapOptions):
    """One minus twice the overlap divided by the sum of prediction and truth, mean over classes."""

    name: Literal["dice"] = "dice"


class JaccardOptions(_OverlapOptions):
    """One minus the overlap divided by the union of prediction and truth, mean over classes."""

    name: Literal["jaccard"] = "jaccard"


class _TverskyOptions(_OverlapOptions):
    """Common keys of losses that weigh what is too much and what is missing apart."""

    gamma: Annotated[float, Field(ge=1.0, le=10.0)] = 1.0
    """Exponent of the loss of a class; greater than 1: classes that are good already count less."""


class TverskyOptions(_TverskyOptions):
    """Overlap that weighs what is too much and what is missing apart (S. Salehi et al., 2017)."""

    name: Literal["tversky"] = "tversky"
    alpha: Price = 0.3
    """Price of a pixel that is too much, beside 1 for a right one."""
    beta: Price = 0.7
    """Price of a pixel that is missing."""


class JdtOptions(_TverskyOptions):
    """Jaccard, Dice and Tversky losses whose minimum is at the labels, also at soft ones."""

    name: Literal["jdt"] = "jdt"
    alpha: Price = 1.0
    """Price of a pixel that is too much. alpha and beta 1: Jaccard; 0.5: Dice."""
    beta: Price = 1.0
    """Price of a pixel that is missing."""
    smoothing: Annotated[float, Field(ge=0.0, le=1e6)] = 1e-3
    """Number of pixels added to numerator and denominator, so that neither is zero."""
    classes: Literal["all", "present"] = "present"
    """present: mean over classes in the labels of a step (or tile). all: over all classes, which
    suits soft labels."""

    @property
    def takes_soft_labels(self) -> bool:
        """True: the overlap is the sum of the smaller of label and probability."""
        return True


class LovaszOptions(_LossOptions):
    """Jaccard index made continuous, of each tile (M. Berman et al., 2018)."""

    name: Literal["lovasz"] = "lovasz"
    classes: Literal["all", "present"] = "present"
    """present: mean over classes in the labels of a tile. all: over all classes."""

    @property
    def per_image(self) -> bool:
        """True: sorting ties all pixels of a tile together."""
        return True


class HingeOptions(_LossOptions):
    """No loss once the probability of the label is ahead of all others by 1."""

    name: Literal["hinge"] = "hinge"
    binary: bool = False
    """Treat each class as a separate mask."""

    @property
    def suits_masks(self) -> bool:
        """Whether `binary` is set."""
        return self.binary


class KullbackLeiblerOptions(_LossOptions):
    """Divergence of the probabilities from the labels; cross-entropy minus the labels' own."""

    name: Literal["kullback_leibler"] = "kullback_leibler"

    @property
    def suits_masks(self) -> bool:
        """False: it compares distributions over classes."""
        return False

    @property
    def takes_soft_labels(self) -> bool:
        """True: the divergence is 0 where probabilities equal labels."""
        return True


_AnyLoss = (
    CrossEntropyOptions
    | BinaryCrossEntropyOptions
    | FocalOptions
    | DiceOptions
    | JaccardOptions
    | TverskyOptions
    | JdtOptions
    | LovaszOptions
    | HingeOptions
    | KullbackLeiblerOptions
)
SingleLoss = Annotated[_AnyLoss, Tagged("name")]
"""One of the losses, chosen by the key `name`."""


class LossTerm(Options):
    """One term of a sum of losses."""

    loss: SingleLoss
    weight: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0


class SumOptions(_LossOptions):
    """A weighted sum of losses, such as binary cross-entropy + Dice."""

    name: Literal["sum"] = "sum"
    terms: Annotated[tuple[LossTerm, ...], Field(min_length=1)]
    """Losses, each with its weight."""

    @property
    def adds_up(self) -> bool:
        """Whether all terms add up, and either all or none of them are means over tiles."""
        losses = [term.loss for term in self.terms]
        per_image = {getattr(loss, "per_image", False) for loss in losses}
        return len(per_image) == 1 and all(loss.adds_up for loss in losses)

    @property
    def suits_masks(self) -> bool:
        """Whether all terms suit masks."""
        return all(term.loss.suits_masks for term in self.terms)

    @property
    def takes_soft_labels(self) -> bool:
        """Whether all terms take soft labels."""
        return all(term.loss.takes_soft_labels for term in self.terms)


LossOptions = Annotated[_AnyLoss | SumOptions, Tagged("name")]
"""One of the losses, or a weighted sum of several."""
