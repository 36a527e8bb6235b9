"""A model of single pixels that is called as a Keras model is: images in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ballots import ballots
from training.trees.booster import probabilities

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Member:
    """Trees of one training."""

    booster: Any
    features: Callable[[Any], Any] | None
    """Function from images to features (`training.models.features.make_features`); None for colours
    as they are."""
    nodes: int
    """Number of splits and leaves."""
    content: bytes
    """XGBoost's own file."""

    def answers(self, rows: Floats, n_classes: int) -> Floats:
        """Compute the probabilities of pixels: features (N, F) to float32 (N, C)."""
        return probabilities(self.booster, rows, n_classes)


def features_of(images: Any, features: Callable[[Any], Any] | None) -> Floats:
    """Compute the features of images: (B, H, W, bands) to float32 (B, H, W, F)."""
    values = np.asarray(images).astype(np.float32)
    return values if features is None else np.asarray(features(values), np.float32)


# Prepared functions are kept by the model itself (inference/predict/backends.py), not by its value.
@dataclass(frozen=True, eq=False)
class PixelModel:
    """Decision trees, or the weighted mean of the probabilities of several trainings."""

    members: tuple[Member, ...]
    weights: tuple[float, ...]
    """Weight of each member; they add up to 1."""
    bands: int
    n_classes: int
    votes_of_masks: bool | None = None
    """Whether members vote (`training.ballots`) on masks, or on classes; None: they don't vote."""

    @property
    def input_shape(self) -> tuple[None, None, None, int]:
        """As Keras says it: any number of images of any size."""
        return None, None, None, self.bands

    def count_params(self) -> int:
        """Count the numbers that were learnt: one for each split and each leaf."""
        return sum(member.nodes for member in self.members)

    def predict_on_batch(self, images: NDArray[Any]) -> Floats:
        """Compute probabilities: (B, H, W, bands) to float32 (B, H, W, C)."""
        total = np.zeros((*images.shape[:3], self.n_classes), np.float32)
        for member, weight in zip(self.members, self.weights, strict=True):
            values = features_of(images, member.features)
            found = member.answers(values.reshape(-1, values.shape[-1]), self.n_classes)
            if self.votes_of_masks is not None:
                found = ballots(found, self.votes_of_masks)
            total += np.float32(weight) * found.reshape(total.shape)
        return total

    def alone(self) -> list[PixelModel]:
        """Make a model of each member."""
        return [PixelModel((own,), (1.0,), self.bands, self.n_classes) for own in self.members]


def mean_of(models: Sequence[PixelModel], weights: Sequence[float]) -> PixelModel:
    """Make the weighted mean of models of the same bands and classes; weights add up to 1."""
    pairs = [
        (member, weight * own)
        for model, weight in zip(models, weights, strict=True)
        for member, own in zip(model.members, model.weights, strict=True)
    ]
    first = models[0]
    return PixelModel(
        tuple(member for member, _ in pairs),
        tuple(weight for _, weight in pairs),
        first.bands,
        first.n_classes,
    )


def vote_of(
    models: Sequence[PixelModel], weights: Sequence[float], *, has_masks: bool
) -> PixelModel:
    """Make the weighted vote of models of one training each; weights add up to 1."""
    return replace(mean_of(models, weights), votes_of_masks=has_masks)
