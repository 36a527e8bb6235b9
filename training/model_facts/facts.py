"""Numbers of a network: parameters, size of a pass, work, receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from training.model_facts.graph import Node, consumers_of, nodes_of
from training.model_facts.receptive_field import receptive_field

_L = keras.layers
_CONVOLUTIONS = (_L.Conv2D, _L.DepthwiseConv2D, _L.SeparableConv2D)
_UPSAMPLINGS = (_L.Conv2DTranspose, _L.UpSampling2D)
_NORMS = (_L.BatchNormalization, _L.LayerNormalization, _L.GroupNormalization)
_ACTIVATIONS = (_L.Activation, _L.ReLU, _L.LeakyReLU, _L.PReLU, _L.ELU, _L.Softmax)
_POOLS = (
    *(_L.MaxPooling2D, _L.AveragePooling2D),
    *(_L.GlobalMaxPooling2D, _L.GlobalAveragePooling2D),
)
_COUNTED = (*_CONVOLUTIONS, *_NORMS, *_ACTIVATIONS, *_POOLS, _L.Dense, _L.MultiHeadAttention)
_IN_BLOCKS = (*_CONVOLUTIONS, *_NORMS, *_ACTIVATIONS, _L.Add)

_BYTES = 2 * 4
"""Bytes of a float32 value and its gradient."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a network for images of one size."""

    height: int
    """Of an image, in pixels."""
    width: int
    parameters: int
    trainable: int
    """Number of parameters that are trained."""
    layers: int
    """Number of convolutions and dense layers."""
    pass_mb: float
    """See `pass_size`."""
    flops: int
    """See `count_flops`."""
    receptive_field: tuple[int, int] | None
    """Height and width in pixels; None for the whole image."""


def facts_of(model: keras.Model) -> ModelFacts:
    """Find the facts of a functional model with a fixed height and width.

    Raises:
        ValueError: The size isn't fixed, or a layer is used several times.
    """
    nodes = nodes_of(model)
    height, width, _ = nodes[0].shape
    return ModelFacts(
        height=height,
        width=width,
        parameters=model.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        layers=sum(bool(_kernels(node)) for node in nodes),
        pass_mb=pass_size(nodes),
        flops=count_flops(nodes),
        receptive_field=receptive_field(nodes),
    )


def fact_rows(facts: ModelFacts) -> list[tuple[str, str]]:
    """Facts in words: what and how much."""
    field = facts.receptive_field
    return [
        ("parameters", f"{facts.parameters:,}"),
        ("trained parameters", f"{facts.trainable:,}"),
        ("convolutions and dense layers", f"{facts.layers:,}"),
        ("forward and backward pass of an image", f"{facts.pass_mb:,.2f} MB"),
        ("multiplications and additions for an image", f"{facts.flops / 1e9:,.2f} billion"),
        (
            "receptive field",
            "the whole image" if field is None else f"{field[0]} x {field[1]} pixels",
        ),
    ]


def pass_size(nodes: Sequence[Node]) -> float:
    """Size of a forward and backward pass of one image in MB, as the Faster UNet study counts it.

    That is 2 x 4 bytes / 2^20 x the number of values that these put out: each convolution,
    normalisation, activation and pooling (also dense layers and attention); each up-sampling,
    twice; and each block. torchsummary, from which the study has its numbers, counts modules of
    PyTorch, so a block counts in addition to the layers inside it. In a graph, a block ends where
    the output of a convolution, normalisation, activation or addition is used twice, or by
    something else than another layer of a block: a convolution with a stride, pooling, up-sampling,
    concatenation, or the last layer.

    Returns:
        Megabytes of 2^20 bytes.

    Source: M. Cai and L. Zhang, "Finding a faster UNet for satellite image segmentation", 2023.
    """
    consumers = consumers_of(nodes)
    values = 0
    for node in nodes:
        is_last = not consumers[node]
        times = 0
        if isinstance(node.operation, _COUNTED):
            times = 1
        elif isinstance(node.operation, _UPSAMPLINGS):
            times = 2
        if times and not is_last:
            times += _has_own_activation(node)
        if isinstance(node.operation, _IN_BLOCKS) and not is_last:
            times += _ends_block(consumers[node], consumers)
        values += times * math.prod(node.shape)
    return _BYTES * values / 2**20


def _has_own_activation(node: Node) -> bool:
    """Whether a layer has an activation in it; PyTorch has it as a module of its own."""
    own = getattr(node.operation, "activation", None)
    return not isinstance(node.operation, _ACTIVATIONS) and own not in (
        None,
        keras.activations.linear,
    )


def _ends_block(users: Sequence[Node], consumers: dict[Node, list[Node]]) -> bool:
    return len(users) > 1 or not all(
        isinstance(user.operation, _IN_BLOCKS)
        and _stride(user.operation) == 1
        and (consumers[user] or isinstance(user.operation, _ACTIVATIONS))
        for user in users
    )


def _stride(operation: Any) -> int:
    return max(getattr(operation, "strides", (1,)))


def count_flops(nodes: Sequence[Node]) -> int:
    """Count multiplications and additions with weights, for one image.

    Two for each weight of a kernel at each place where it is applied (convolutions, transposed
    convolutions and dense layers), and the two products of attention. Biases, normalisation,
    activations and pooling are left out, as usual; they are few.
    """
    return sum(map(_flops, nodes))


def _flops(node: Node) -> int:
    if isinstance(node.operation, _L.MultiHeadAttention):
        return _attention_flops(node)
    kernels = sum(_kernels(node))
    # A transposed convolution applies its kernel at each place of its input.
    places = node.inputs[0] if isinstance(node.operation, _L.Conv2DTranspose) else node
    return 2 * kernels * math.prod(places.shape[:-1]) if kernels else 0


def _attention_flops(node: Node) -> int:
    """Projections of queries, keys, values and outputs, and both products between them."""
    queries, keys = node.inputs[0].shape, node.inputs[1].shape
    attention = node.operation
    heads, width = attention.num_heads, attention.key_dim
    own = attention.value_dim
    n_queries, n_keys = math.prod(queries[:-1]), math.prod(keys[:-1])
    inside = n_queries * queries[-1] * width + n_keys * keys[-1] * (width + own)
    between = n_queries * n_keys * (width + own)
    return 2 * heads * (inside + between + n_queries * own * node.shape[-1])


def _kernels(node: Node) -> list[int]:
    """Sizes of the kernels of a layer; biases and scales have one axis."""
    weights = getattr(node.operation, "weights", ())
    return [math.prod(weight.shape) for weight in weights if len(weight.shape) > 1]
