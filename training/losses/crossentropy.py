"""Losses as a sum and a count, so that ranks and batches add up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

SMALLEST_PROBABILITY = 1e-7
"""Below it the logarithm is cut off; the smallest that float32 softmax resolves beside 1."""


def masked_crossentropy(
    labels: Any,
    probabilities: Any,
    *,
    nodata: int,
    class_weights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Categorical cross-entropy, summed over the pixels that have a label.

    -sum over valid pixels of w[label] log p[label]. It is returned with the number of those pixels,
    not as their quotient: the loss of a step is the mean over all valid pixels of the *global*
    batch, and a mean of the ranks' means would give a pixel more weight where its rank has more
    nodata.

    Args:
        labels: Integer (B, H, W), class codes 0..C-1 or `nodata`.
        probabilities: float32 (B, H, W, C), each pixel's sum is 1.
        nodata: Code of pixels that don't count.
        class_weights: w, one number a class; None for 1. The number of pixels stays unweighted, as
            in Keras' class weights.

    Returns:
        float32 scalars: the sum (nats), and the number of valid pixels (exact up to 2**24).
    """
    labels = ops.cast(labels, "int32")
    probabilities = ops.cast(probabilities, "float32")
    valid = ops.not_equal(labels, nodata)
    one_hot = ops.one_hot(ops.where(valid, labels, 0), ops.shape(probabilities)[-1])
    of_label = ops.sum(one_hot * probabilities, axis=-1)
    # Not ops.maximum, which may turn NaN into a number and so hide that a training has failed.
    too_small = ops.less(of_label, SMALLEST_PROBABILITY)
    losses = -ops.log(ops.where(too_small, SMALLEST_PROBABILITY, of_label))
    if class_weights is not None:
        losses = losses * ops.sum(one_hot * ops.convert_to_tensor(class_weights, "float32"), -1)
    total = ops.sum(ops.where(valid, losses, 0.0))
    return total, ops.sum(ops.cast(valid, "float32"))
