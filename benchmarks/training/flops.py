"""Work of a model's layers: operations, parameters, and values that they read and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerCost:
    """Costs of a convolution for one image."""

    name: str
    forward_flops: int
    """Multiplications and additions of the forward pass."""
    parameters: int
    values: int
    """Values that the layer reads and writes in the forward pass, without weights."""


def layer_costs(model: keras.Model) -> tuple[LayerCost, ...]:
    """Costs of a model's convolutions, in the order of the forward pass.

    A convolution does 2 k^2 C_in C_out operations for each pixel of its output. A transposed
    convolution does as many for each pixel of its input. Other layers (activations, pooling,
    concatenation) do not count: compilers fuse most of them.

    Args:
        model: Model of convolutions, with a fixed input shape.
    """
    import keras

    costs = []
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            continue
        before, after = prod(layer.input.shape[1:]), prod(layer.output.shape[1:])
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        pixels = prod((layer.input if transposed else layer.output).shape[1:3])
        costs.append(
            LayerCost(
                name=layer.name,
                forward_flops=2 * pixels * prod(layer.kernel.shape),
                parameters=layer.count_params(),
                values=before + after,
            )
        )
    return tuple(costs)


def training_flops(costs: Sequence[LayerCost]) -> int:
    """Return the operations of a training step for one image.

    For each convolution of the forward pass, the backward pass does two of the same size: for the
    gradient of the input and for the gradient of the weights.
    """
    return 3 * sum(cost.forward_flops for cost in costs)


def training_bytes(costs: Sequence[LayerCost], value_bytes: int) -> int:
    """Return the least bytes that a training step moves between memory and processor, per image.

    Each of the three convolutions reads two of (input, output, their gradients) and writes a third.
    So all three together move every value three times, if no layer keeps values in cache for the
    next layer.
    """
    return 3 * value_bytes * sum(cost.values for cost in costs)
