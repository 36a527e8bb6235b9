"""Batch normalisation on several ranks: shared moments and moving statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.ranks.port import Collective


def batch_normalisations(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Yield the batch normalisation layers of a model and of the models inside it."""
    return _among(model.layers)


def _among(layers: Iterable[keras.layers.Layer]) -> Iterator[keras.layers.BatchNormalization]:
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from batch_normalisations(layer)


@contextmanager
def without_moments(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Let the batch normalisation among some layers use its moving statistics, also in training.

    Keras asks the layers while a graph is traced, so the graph stays like this. The layers are as
    before afterwards, so a model that is saved doesn't know of it.
    """
    changed = [layer for layer in _among(layers) if layer.trainable]
    for layer in changed:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in changed:
            layer.trainable = True


def moving_statistics(model: keras.Model) -> list[Any]:
    """List the Keras variables of the moving means and variances."""
    return [
        variable
        for layer in batch_normalisations(model)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def average_over_ranks(variables: Sequence[Any], collective: Collective) -> None:
    """Set variables to their mean over the ranks, equal to the last bit. Every rank must call it.

    Moving statistics are linear in the statistics of batches, so the time and number of these calls
    change only roundings. Equal values stay as they are.
    """
    if collective.size == 1 or not variables:
        return
    values = [variable.value.numpy() for variable in variables]
    # One exchange for all variables. In float64, the mean of N equal float32 numbers is exact.
    flat = np.concatenate([value.ravel() for value in values]).astype(np.float64)
    mean = collective.average(flat)
    ends = np.cumsum([value.size for value in values])
    for variable, value, part in zip(variables, values, np.split(mean, ends[:-1]), strict=True):
        variable.assign(part.reshape(value.shape).astype(value.dtype))


def synchronise(model: keras.Model, collective: Collective) -> None:
    """Let layers with `synchronized=True` normalise by the moments of all ranks.

    The layers stay Keras' own, so any Keras loads the model. In this model, one private method of
    Keras is replaced: the method that computes the moments of a batch. If Keras stops calling this
    method, `tests/unit/training/step/test_training_batch_norm.py` fails.
    """
    for layer in batch_normalisations(model):
        if layer.synchronized:
            sum_over_ranks = _summed(collective, layer.name)
            object.__setattr__(layer, "_moments", partial(_moments, sum_over_ranks))


@contextmanager
def recorded_moments(model: keras.Model) -> Iterator[dict[int, Any]]:
    """Within the block, let layers normalise by their own batch, and record what they see.

    Layers that aren't trained keep their statistics, and aren't recorded.

    Yields:
        A dictionary that each call of the model fills: from the number of a layer among
        `batch_normalisations` to float64 (2 C + 1,), the number of pixels, and of each channel the
        sum and the sum of squares.
    """
    found: dict[int, Any] = {}

    def record(number: int, own: Any) -> Any:
        found[number] = found[number] + own if number in found else own
        return own

    changed = []
    try:
        for number, layer in enumerate(batch_normalisations(model)):
            if layer.trainable:
                changed.append((layer, layer.__dict__.get("_moments")))
                moments = partial(_moments, partial(record, number))
                object.__setattr__(layer, "_moments", moments)
        yield found
    finally:
        for layer, before in changed:
            if before is None:
                object.__delattr__(layer, "_moments")
            else:
                object.__setattr__(layer, "_moments", before)


def take_moments(model: keras.Model, totals: Sequence[Any]) -> None:
    """Set moving means and variances to those of all recorded pixels.

    Args:
        model: The model.
        totals: For each layer of `batch_normalisations` a total of `recorded_moments`; zeros leave
            the layer as it is.
    """
    for layer, total in zip(batch_normalisations(model), totals, strict=True):
        if total[0]:
            mean, powers = np.split(total[1:] / total[0], 2)
            layer.moving_mean.assign(mean.astype(np.float32))
            variance = np.maximum(powers - np.square(mean), 0.0)
            layer.moving_variance.assign(variance.astype(np.float32))


def _summed(collective: Collective, name: str) -> Callable[[Any], Any]:
    """Make a sum over the ranks with exact gradient: every rank's loss depends on every term."""

    @tf.custom_gradient
    def summed(tensor: Any) -> tuple[Any, Callable[[Any], Any]]:
        def gradient(upstream: Any) -> Any:
            return collective.sum_tensors([upstream], f"{name}.slopes")[0]

        return collective.sum_tensors([tensor], f"{name}.moments")[0], gradient

    return summed


def _moments(sum_over_ranks: Callable[[Any], Any], inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Compute mean and variance of each channel over the batches of all ranks, in one exchange.

    Each rank computes moments about its own mean, and these are combined in float64. So large means
    cost no precision (T. Chan et al., "Algorithms for computing the sample variance", 1983).

    Args:
        sum_over_ranks: Function from float64 (2 C + 1,) to its sum over the ranks.
        inputs: float32 (..., C).
        mask: None; padding is included, as in Keras.

    Returns:
        float32 (C,) each.
    """
    axes = list(range(len(inputs.shape) - 1))
    own_mean = tf.reduce_mean(inputs, axes)
    own_squares = tf.reduce_sum(tf.square(inputs - own_mean), axes)
    number = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float64)
    mean, squares = tf.cast(own_mean, tf.float64), tf.cast(own_squares, tf.float64)
    own = tf.concat([[number], number * mean, squares + number * tf.square(mean)], axis=0)
    total = sum_over_ranks(own)
    sums, powers = tf.split(total[1:] / total[0], 2)
    return tf.cast(sums, inputs.dtype), tf.cast(powers - tf.square(sums), inputs.dtype)
