"""The graph of a network as plain nodes, with the models inside it unfolded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

# Layers that change neither the place nor, at inference, the value of anything.
_TRANSPARENT = (keras.layers.Dropout, keras.layers.SpatialDropout2D, keras.layers.Identity)


@dataclass(frozen=True, eq=False)
class Node:
    """One layer or operation."""

    operation: Any
    """Keras layer, or operation of `keras.ops`."""
    inputs: tuple[Node, ...]
    shape: tuple[int, ...]
    """Shape of the output without the batch: (H, W, C) for images."""

    @property
    def kind(self) -> str:
        """Name of the class, such as "Conv2D"."""
        return type(self.operation).__name__

    @property
    def is_image(self) -> bool:
        """Whether the output has height, width and channels."""
        return len(self.shape) == 3


def nodes_of(model: keras.Model) -> list[Node]:
    """List the nodes of a model, each after its inputs.

    Args:
        model: Functional model with a fixed height and width.

    Raises:
        ValueError: A size isn't fixed, or a layer is used several times.
    """
    return _nodes_of(model, [])[0]


def _nodes_of(model: keras.Model, given: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """List the nodes of a model, and those of its outputs.

    Args:
        model: The model.
        given: Nodes that take the place of its inputs; none for a model that is inside no other.
    """
    made = dict(zip(_input_names(model), given, strict=False))
    operations = {operation.name: operation for operation in model.operations}
    nodes: list[Node] = []
    # A layer knows its inputs only as a private list of calls; the configuration has them too.
    for layer in model.get_config()["layers"]:
        name, calls = layer["name"], layer["inbound_nodes"]
        if name in made:
            continue
        if len(calls) > 1:
            raise ValueError(f"`model` must use each layer once. Received: {name}, used again")
        operation = operations[name]
        inputs = tuple(made[source] for source in _sources(calls))
        if isinstance(operation, keras.Model):
            inside, (made[name], *_) = _nodes_of(
                at_size(operation, [node.shape for node in inputs]), inputs
            )
            nodes += inside
            continue
        shape = keras.tree.flatten(operation.output)[0].shape
        if None in shape[1:]:
            raise ValueError(
                f"`model` must have a fixed height and width. Received: {name} of shape {shape}"
            )
        made[name] = Node(operation, inputs, tuple(shape[1:]))
        nodes.append(made[name])
    ends = {id(node.operation.output): node for node in made.values()}
    return nodes, [ends[id(tensor)] for tensor in model.outputs if id(tensor) in ends]


def _sources(calls: Any) -> Iterator[str]:
    """Find the names of the layers whose outputs stand in serialised arguments."""
    if isinstance(calls, Mapping):
        if calls.get("class_name") == "__keras_tensor__":
            yield calls["config"]["keras_history"][0]
        else:
            yield from _sources(list(calls.values()))
    elif isinstance(calls, (list, tuple)):
        for inside in calls:
            yield from _sources(inside)


def at_size(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> keras.Model:
    """Copy a functional model for images of a fixed size; the copy has weights of its own.

    Args:
        model: The model; it stays as it is.
        shapes: Shape of each input without the batch, such as (512, 512, 3).
    """
    config = model.get_config()
    sizes = dict(zip(_input_names(model), shapes, strict=True))
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_shape"] = (None, *sizes[layer["name"]])
    return keras.Model.from_config(config)


def _input_names(model: keras.Model) -> list[str]:
    layers = [one for one in model.operations if isinstance(one, keras.layers.InputLayer)]
    names = {id(layer.output): layer.name for layer in layers}
    return [names[id(tensor)] for tensor in model.inputs]


def consumers_of(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    """Find the nodes that use the output of each node, beyond dropout."""
    found: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        if not isinstance(node.operation, _TRANSPARENT):
            for source in dict.fromkeys(map(_beyond_dropout, node.inputs)):
                found[source].append(node)
    return found


def _beyond_dropout(node: Node) -> Node:
    while isinstance(node.operation, _TRANSPARENT):
        (node,) = node.inputs
    return node
