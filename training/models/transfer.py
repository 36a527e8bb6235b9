"""Puts weights of one network into another, by the names and shapes of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.models.encoders import PREFIX

NamedArrays = Mapping[str, Sequence[NDArray[Any]]]
"""Arrays of each layer, by the layer's name, in the order of `Layer.get_weights`."""

Places = Callable[[int], Sequence[int | None]]
"""Function from the number of channels of a first layer of the source to the channel that each
feature of the new network had there; None for a feature that the source doesn't know."""


@dataclass(frozen=True)
class Transfer:
    """Names of layers with weights."""

    taken: tuple[str, ...]
    """Layers of the network that have the source's weights now."""
    left: tuple[str, ...]
    """Layers of the network that keep theirs."""
    unused: tuple[str, ...]
    """Layers of the source that fit none."""


def transfer(model: keras.Model, arrays: NamedArrays, places: Places) -> Transfer:
    """Give a network the weights that fit.

    A layer gets the arrays of the layer of its name, if all shapes are equal. Layers of an encoder
    also fit without the prefix of their names, as in files of the encoder alone. Kernels of the
    first layers, which see the features, are put in the order of the features; features that the
    source doesn't know begin at 0, so the result doesn't depend on them.

    Args:
        model: Network whose layers change.
        arrays: Arrays of the source.
        places: See `Places`; called only if a first layer has a kernel in the source.
    """
    first = _first_layers(model)
    taken, left, used = [], [], set()
    for name, layer in named_layers(model):
        if not layer.weights:
            continue
        key = name if name in arrays else name.removeprefix(PREFIX)
        values = arrays.get(key)
        if values is not None and id(layer) in first:
            values = _for_features(values, layer.weights[0].shape, places)
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if values is None or [value.shape for value in values] != shapes:
            left.append(name)
            continue
        layer.set_weights(list(values))
        taken.append(name)
        used.add(key)
    return Transfer(tuple(taken), tuple(left), tuple(sorted(set(arrays) - used)))


def named_layers(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the layers of a network and of the networks inside it, with names."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from named_layers(layer)
        elif isinstance(layer, keras.layers.MultiHeadAttention):
            for part in ("query_dense", "key_dense", "value_dense", "output_dense"):
                inner = getattr(layer, part)
                yield f"{layer.name}/{inner.name}", inner
        else:
            yield layer.name, layer


def _first_layers(model: keras.Model) -> set[int]:
    """Find the layers with weights that see nothing but features, by identity."""
    found: set[int] = set()
    seen = {id(tensor) for tensor in model.inputs}
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        inputs = keras.tree.flatten(operation.input)
        if not all(id(tensor) in seen for tensor in inputs):
            continue
        if isinstance(operation, keras.Model):
            operation = next(layer for _, layer in named_layers(operation) if layer.weights)
        if getattr(operation, "weights", None):
            found.add(id(operation))
        else:
            seen |= {id(tensor) for tensor in keras.tree.flatten(operation.output)}
    return found


def _for_features(
    values: Sequence[NDArray[Any]], shape: Sequence[int], places: Places
) -> Sequence[NDArray[Any]]:
    """Put the kernel of a first layer, (h, w, channels, filters), in the order of the features."""
    kernel = values[0]
    if len(shape) != 4 or kernel.ndim != 4:
        return values
    order = places(kernel.shape[2])
    if len(order) != shape[2]:  # The layer sees something else than the features.
        return values
    fitted = np.zeros((*kernel.shape[:2], len(order), kernel.shape[3]), kernel.dtype)
    for feature, channel in enumerate(order):
        if channel is not None:
            fitted[:, :, feature] = kernel[:, :, channel]
    return [fitted, *values[1:]]
