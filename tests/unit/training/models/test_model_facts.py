"""Facts of networks: what a pixel sees against gradients, work against TensorFlow's own count."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.model_facts.drawing import draw_network
from training.model_facts.facts import facts_of
from training.model_facts.graph import at_size, nodes_of
from training.models import build

L = keras.layers
EDGE = 64


def network(body: Callable[[Any], Any], bands: int = 1) -> keras.Model:
    inputs = keras.Input((EDGE, EDGE, bands))
    return keras.Model(inputs, body(inputs))


def conv(size: Any, strides: int = 1, **options: Any) -> Any:
    options = {"padding": "same", "kernel_initializer": "ones", **options}
    return L.Conv2D(1, size, strides=strides, **options)


def pooled_unet(x: Any) -> Any:
    skip = conv(3)(x)
    x = conv(3)(L.MaxPooling2D(2)(skip))
    deep = conv((3, 2))(L.AveragePooling2D(2)(x))
    x = L.Add()([L.Conv2DTranspose(1, 3, strides=2, padding="same",
                                   kernel_initializer="ones")(deep), x])  # fmt: skip
    return conv(2)(L.Concatenate()([L.UpSampling2D(2)(x), skip]))


BODIES = {
    "strided": lambda x: L.UpSampling2D(4)(conv(2)(conv(7, 2)(conv(5, 2)(x)))),
    "dilated": lambda x: conv((3, 5), dilation_rate=(4, 2))(x),
    "padded": lambda x: conv(4, padding="valid")(L.ZeroPadding2D(((2, 1), (0, 3)))(x)),
    "bilinear": lambda x: conv(3)(L.UpSampling2D(4, interpolation="bilinear")(conv(3, 4)(x))),
    "pooled": pooled_unet,
}


def measured_field(model: keras.Model) -> tuple[int, int]:
    """Greatest extent of the pixels that change an output pixel, over its places.

    With weights of one, an image that rises or falls along an axis has the greatest value of each
    pooling at one of its ends, so the gradients of both images reach all pixels that count.
    """
    near = np.arange(EDGE // 2 - 4, EDGE // 2 + 4)
    sizes = []
    for axis in (0, 1):
        ramp = np.linspace(1, 2, EDGE, dtype=np.float32)
        ramp = ramp[:, None] if axis == 0 else ramp[None, :]
        ramps = [np.broadcast_to(values, (EDGE, EDGE)) for values in (ramp, np.flip(ramp))]
        images = tf.constant(np.repeat(np.stack(ramps)[..., None], near.size**2, axis=0))
        grids = np.meshgrid(near, near, indexing="ij")
        rows, columns = (np.tile(grid.ravel(), 2) for grid in grids)
        places = np.stack([np.arange(rows.size), rows, columns], axis=1)
        with tf.GradientTape() as tape:
            tape.watch(images)
            values = tf.gather_nd(model(images)[..., 0], places)
        reached = tape.gradient(values, images).numpy()[..., 0].any(axis=2 - axis)
        own = (rows, columns)[axis]
        found = [np.ptp(np.flatnonzero(reached[own == place].any(axis=0))) + 1 for place in near]
        sizes.append(int(max(found)))
    return sizes[0], sizes[1]


@pytest.mark.parametrize("name", BODIES)
def test_the_receptive_field_is_where_gradients_reach(name: str) -> None:
    model = network(BODIES[name])
    assert facts_of(model).receptive_field == measured_field(model)


@pytest.mark.parametrize(
    "body",
    [
        lambda x: L.Multiply()([x, conv(1)(L.GlobalAveragePooling2D(keepdims=True)(x))]),
        lambda x: L.GroupNormalization(1)(x),
        lambda x: L.UnitNormalization(axis=1)(x),
        lambda x: x / keras.ops.max(x, axis=(1, 2), keepdims=True),
        lambda x: L.Reshape((EDGE, EDGE, 1))(
            L.MultiHeadAttention(1, 4)(*[L.Reshape((EDGE * EDGE, 1))(x)] * 2)
        ),
    ],
)
def test_layers_that_look_at_the_whole_image_are_said_to(body: Callable[[Any], Any]) -> None:
    assert facts_of(network(body)).receptive_field is None


def flops_of_tensorflow(model: keras.Model) -> int:
    """Multiplications and additions of convolutions and products, by TensorFlow's profiler."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph,
    )

    call = tf.function(lambda x: model(x, training=False), autograph=False)
    concrete = call.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    _, graph = convert_variables_to_constants_v2_as_graph(concrete)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options.update(output="none", account_type_regexes=[".*Conv.*", ".*MatMul.*", ".*Einsum.*"])
    with tf.Graph().as_default() as own:
        tf.graph_util.import_graph_def(graph, name="")
        found = tf.compat.v1.profiler.profile(own, options=options)
    return int(found.total_float_ops)


def test_work_is_that_of_tensorflow() -> None:
    model = network(
        lambda x: L.Conv2DTranspose(2, 2, strides=2)(
            L.Dense(3)(
                L.SeparableConv2D(5, 3, padding="same")(
                    L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(
                        L.Conv2D(4, (3, 5), strides=2, padding="same")(x)
                    )
                )
            )
        ),
        bands=2,
    )
    assert facts_of(model).flops == flops_of_tensorflow(model)


def test_a_model_inside_another_is_unfolded_at_its_size() -> None:
    inner_input = keras.Input((None, None, 4))
    inner = keras.Model(inner_input, L.Conv2D(5, 3, padding="same")(inner_input), name="inner")

    def body(x: Any, inside: Callable[[Any], Any]) -> Any:
        return L.Conv2D(3, 1)(inside(L.MaxPooling2D(2)(L.Conv2D(4, 3, padding="same")(x))))

    nested = network(lambda x: body(x, inner))
    flat = network(lambda x: body(x, L.Conv2D(5, 3, padding="same")))
    assert facts_of(nested) == facts_of(flat)
    assert [node.kind for node in nodes_of(nested)] == [node.kind for node in nodes_of(flat)]


def test_a_copy_at_a_size_has_the_facts_of_a_model_built_there() -> None:
    def make(size: int | None) -> keras.Model:
        return build(
            "gym_resunet", input_shape=(size, size, 2), n_classes=2, filters=2,
            features=lambda x: keras.ops.where(keras.ops.isfinite(x), x, 0.0) / 2.0,
        )  # fmt: skip

    anywhere = make(None)
    with pytest.raises(ValueError, match="must have a fixed height and width"):
        facts_of(anywhere)
    assert facts_of(at_size(anywhere, [(32, 32, 2)])) == facts_of(make(32))
    weights = anywhere.get_weights()
    assert all(map(np.array_equal, anywhere.get_weights(), weights))


def test_a_layer_that_is_used_twice_is_said() -> None:
    shared = conv(3)
    with pytest.raises(ValueError, match="use each layer once"):
        facts_of(network(lambda x: shared(shared(x))))


def test_a_drawing_has_a_box_for_each_stage_and_a_line_for_each_link() -> None:
    model = build("unet_base", input_shape=(256, 256, 3), n_classes=4)
    root = ElementTree.fromstring(draw_network(model, "<base>"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{space}rect")[1:]
    texts = [text.text for text in root.findall(f"{space}text")]
    assert len(boxes) == 9
    assert len(root.findall(f"{space}path")) == 8 + 4  # From stage to stage, and the skips.
    assert {float(box.get("y", 0)) for box in boxes} == {70.0 + 118 * row for row in range(5)}
    assert texts[:3] == ["<base>", "256 x 256 x 64", "rescaling, 2 conv 3x3"]
    assert "transposed 2x2, concat" in texts
    width, height = (float(root.get(side, 0)) for side in ("width", "height"))
    for box in boxes:
        assert float(box.get("x", 0)) + float(box.get("width", 0)) < width
        assert float(box.get("y", 0)) + float(box.get("height", 0)) < height
