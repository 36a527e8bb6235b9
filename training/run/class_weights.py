"""The recipe's key `training.class_weights`: factors on the loss of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.recipe import Recipe


def loss_weights(recipe: Recipe, counts: NDArray[np.int64]) -> tuple[float, ...] | None:
    """Find the factor on the loss for each class, from the recipe; None for 1.

    Balanced weights are: pixels of all classes / (classes x pixels of the class), as scikit-learn's
    'balanced', and 0 for a class without any pixel; `square_root` is their root. With
    `one_minus_share` a weight is 1 - pixels of the class / pixels of all classes, as Segmentation
    Gym's LOSS_WEIGHTS. For masks, the pixels under each mask count.

    Args:
        recipe: Key 'training.class_weights'.
        counts: int64 (C,), pixels of each class in the training tiles.
    """
    wanted = recipe.training.class_weights
    if wanted == "none":
        return None
    if isinstance(wanted, tuple):
        return wanted
    if wanted == "one_minus_share":
        return tuple((1.0 - counts / max(counts.sum(), 1)).tolist())
    balanced = counts.sum() / (len(counts) * np.maximum(counts, 1))
    # A mask that never occurs must be learnt as absent; of classes nothing can be learnt.
    absent = 1.0 if recipe.classes.has_masks else 0.0
    weights = np.where(counts > 0, balanced, absent)
    return tuple((np.sqrt(weights) if wanted == "square_root" else weights).tolist())
