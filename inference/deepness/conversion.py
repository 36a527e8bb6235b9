"""A network as ONNX, from the tiles that Deepness cuts to probabilities.

Deepness (QGIS plugin, github.com/PUTvision/qgis-plugin-deepness) divides the numbers of a raster by
255 whatever their type, puts channels first, and fills tiles at the border with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.predict.backends import in_precision
from polynya.environment import install_command
from polynya.errors import MissingDependencyError, ModelError, reason_of
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from training.ranks.devices import import_tensorflow

if TYPE_CHECKING:
    import keras

OPSET = 17
"""Version of ONNX's operators: that of ONNX Runtime 1.12, the oldest that Deepness takes."""

INPUT, OUTPUT = "tiles", "probabilities"

TOLERANCE = 1e-4
"""Greatest difference between a probability of the file and of Keras."""

_LONGEST = 2**31 - 1
"""Bytes of the largest file without weights beside it."""


@dataclass(frozen=True)
class Onnx:
    """The libraries."""

    onnx: Any
    runtime: Any
    loader: Any
    """`tf2onnx.tf_loader`."""
    converter: Any
    """`tf2onnx.tfonnx`."""
    optimizer: Any
    """`tf2onnx.optimizer`."""


def libraries() -> Onnx:
    """Import ONNX, ONNX Runtime and tf2onnx.

    Raises:
        MissingDependencyError: One of them, or TensorFlow, isn't installed.
    """
    import_tensorflow()  # Before tf2onnx imports it, with start-up messages.
    try:
        import onnx
        import onnxruntime
        from tf2onnx import optimizer, tf_loader, tfonnx
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX files need onnx, onnxruntime and tf2onnx ({reason_of(error)}); install them"
            f" with: {install_command('onnx')}"
        ) from None
    return Onnx(onnx, onnxruntime, tf_loader, tfonnx, optimizer)


def of_tiles(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Add what is before and after a model: tiles (N, bands, H, W) to outputs (N, C, H, W).

    Tiles are numbers of rasters divided by 255. The bands that the recipe names get its scale and
    offset; without, they are values already, as QGIS applies those of the file. Where all bands are
    0, they are missing, unless the recipe says that 0 is data.

    Args:
        model: Model from images (B, H, W, bands) to probabilities (B, H, W, C).
        recipe: Recipe of the model.

    Returns:
        Model with one output for classes that exclude each other, or one for each mask, float32.
    """
    import keras
    from keras import ops

    _, height, width, bands = model.inputs[0].shape
    tiles = keras.Input((bands, height, width), name=INPUT)
    images = ops.transpose(tiles, (0, 2, 3, 1)) * 255.0
    scene = recipe.scene
    if not scene.sees_colors:
        black = ops.all(ops.equal(images, 0), axis=-1, keepdims=True)
        images = images * (scene.scale or 1.0) + (scene.offset or 0.0)
        if scene.zero_is_nodata is not False:
            images = ops.where(black, float("nan"), images)
    answer = ops.transpose(in_precision(model, "float32")(images), (0, 3, 1, 2))
    classes = recipe.classes
    if not classes.has_masks:
        return keras.Model(tiles, answer)
    return keras.Model(tiles, [answer[:, code : code + 1] for code in classes.codes])


def output_names(classes: ClassScheme) -> list[str]:
    """Names of the outputs of `of_tiles`."""
    return [f"probability_{name}" for name in classes.names] if classes.has_masks else [OUTPUT]


def converted(model: keras.Model, edge: int, names: list[str]) -> Any:
    """Convert a model of `of_tiles` for square tiles of one size: an ONNX `ModelProto`.

    The number of tiles at once is free.

    Args:
        model: The model.
        edge: Rows and columns of a tile.
        names: Names of the outputs.

    Raises:
        ModelError: A layer can't be converted, or the weights are too large for a file.
    """
    import tensorflow as tf

    tools = libraries()
    signature = [tf.TensorSpec((None, model.inputs[0].shape[1], edge, edge), tf.float32, INPUT)]
    function = tf.function(lambda tiles: model(tiles, training=False), input_signature=signature)
    concrete = function.get_concrete_function()
    try:
        proto = _in_onnx(concrete, names, tools)
        size = proto.ByteSize()
    # tf2onnx has no error class of its own, and Protobuf's are ValueErrors.
    except (ValueError, RuntimeError, NotImplementedError, KeyError, TypeError) as error:
        raise ModelError(
            f"The model can't be written as ONNX ({reason_of(error)}); predict with 'polynya"
            " predict' instead."
        ) from None
    has = tools.onnx.defs.has
    unknown = {node.op_type for node in proto.graph.node if not has(node.op_type, node.domain)}
    if unknown or size > _LONGEST:
        why = f"ONNX has no {', '.join(sorted(unknown))}" if unknown else f"it has {size} bytes"
        raise ModelError(
            f"The model can't be written as ONNX ({why}); predict with 'polynya predict' instead."
        )
    return proto


def _in_onnx(concrete: Any, names: list[str], tools: Onnx) -> Any:
    """Convert a function of TensorFlow with frozen weights, its outputs under new names.

    This is what `tf2onnx.convert.from_function` does, but for its rewriting of Einsum: for those of
    a transformer it tries thousands of orders of axes, which takes a minute and gains nothing here.
    """
    import tensorflow as tf

    inputs = [tensor.name for tensor in concrete.inputs if tensor.dtype == tf.float32]
    outputs = [tensor.name for tensor in concrete.outputs]
    tidy = tools.optimizer
    steps = {
        "transpose": tidy.TransposeOptimizer,
        "constants": tidy.ConstFoldOptimizer,
        "duplicates": tidy.MergeDuplicatedNodesOptimizer,
        "reshape": tidy.ReshapeOptimizer,
        "identity": tidy.IdentityOptimizer,
        "back to back": tidy.BackToBackOptimizer,
    }
    with tf.device("/cpu:0"):
        frozen = tools.loader.from_function(concrete, inputs, outputs)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            made = tools.converter.process_tf_graph(
                graph,
                opset=OPSET,
                custom_rewriter=[_keep_missing],
                custom_op_handlers={"Erfc": (_complement_of_erf, [])},
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=dict(zip([*inputs, *outputs], [INPUT, *names], strict=True)),
            )
            return tidy.optimize_graph(made, False, steps).make_model("polynya")


def _keep_missing(graph: Any, nodes: list[Any]) -> list[Any]:
    """Let the converter choose between values by "Where".

    By default it multiplies both by 0 or 1 and adds them, and 0 times a missing value (NaN) is
    missing.
    """
    for node in nodes:
        if node.type in ("Select", "SelectV2"):
            node.set_attr("handles_nan", True)
    return nodes


def _complement_of_erf(graph: Any, node: Any, name: str, _: Any) -> None:
    """Write erfc(x) as 1 - erf(x): TensorFlow makes it of an exact GELU, and ONNX has no such."""
    node.type = "Erf"
    one = graph.make_const(f"{name}_one", np.float32(1))
    inputs = [one.output[0], node.output[0]]
    graph.insert_new_node_on_output("Sub", node.output[0], name=f"{name}_sub", inputs=inputs)


def check_file(path: Path, model: keras.Model, edge: int) -> float:
    """Read a file back, run it with ONNX Runtime, and compare it with Keras on a sample.

    Args:
        path: The ONNX file.
        model: The model of `of_tiles` that it was made of.
        edge: Rows and columns of a tile.

    Returns:
        The greatest difference of a probability.

    Raises:
        ModelError: The file isn't valid, or differs by more than `TOLERANCE`.
    """
    tools = libraries()
    try:
        tools.onnx.checker.check_model(str(path), full_check=True)
        session = tools.runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        tiles = sample(model.inputs[0].shape[1], edge)
        found = session.run(None, {INPUT: tiles})
    except Exception as error:  # noqa: BLE001 (errors of ONNX Runtime have no common base)
        raise ModelError(
            f"The ONNX file can't be run ({reason_of(error)}); predict with 'polynya predict'"
            " instead."
        ) from None
    expected = model(tiles, training=False)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    difference = max(
        float(np.abs(one - np.asarray(other)).max())
        for one, other in zip(found, expected, strict=True)
    )
    if not difference <= TOLERANCE:
        raise ModelError(
            f"The ONNX file gives other probabilities than Keras, by up to {difference:g}; predict"
            " with 'polynya predict' instead."
        )
    return difference


def sample(bands: int, edge: int) -> NDArray[np.float32]:
    """Make a tile with smooth and rough parts and a corner of 0: float32 (1, bands, H, W)."""
    rng = np.random.default_rng(0)
    tile = rng.random((1, bands, edge, edge), np.float32)
    tile[..., : edge // 2] = np.linspace(0, 1, edge, dtype=np.float32)[:, None]
    tile[..., : edge // 4, : edge // 4] = 0
    return tile
