"""What a model's layers have to do: operations, parameters and values that go in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerCost:
    """A convolution, of one image."""

    name: str
    forward_flops: int
    """Multiplications and additions of the forward pass."""
    parameters: int
    values: int
    """Values that it reads and writes in the forward pass, weights left out."""


def layer_costs(model: keras.Model) -> tuple[LayerCost, ...]:
    """Costs of a model's convolutions, in the order of the forward pass.

    A convolution does 2 k^2 C_in C_out operations for each pixel of its output, a transposed one
    for each pixel of its input. What lies between (activations, pooling, concatenation) counts as
    nothing: compilers fuse most of it.

    Args:
        model: Of convolutions, with a fixed input shape.
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
    """Operations of a training step, of one image.

    The backward pass takes two convolutions of the same size for each of the forward pass: for the
    gradient of its input and for that of its weights.
    """
    return 3 * sum(cost.forward_flops for cost in costs)


def training_bytes(costs: Sequence[LayerCost], value_bytes: int) -> int:
    """Bytes that a training step moves at least between memory and processor, of one image.

    Each of the three convolutions reads two of (input, output, their gradients) and writes the
    third, so over all three every value is moved three times, if no layer keeps anything in cache
    for the next.
    """
    return 3 * value_bytes * sum(cost.values for cost in costs)
