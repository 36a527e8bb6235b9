"""Networks with an encoder: parameters to the digit, shapes, files, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from helpers.training.small_families import ENCODER_FAMILIES, SMALL
from polynya.errors import RecipeError
from polynya.recipe.recipe import parse_recipe
from training.models import build
from training.models.blocks import Layers
from training.models.encoders import encode, encoder_layers
from training.step.batch_norm import batch_normalisations

PARAMETERS: list[tuple[str, int, int, dict[str, Any]]] = [
    # Faster UNet's table and its libraries.
    ("encoder_unet", 4, 24_436_804, {}),
    ("unet_pp", 5, 26_079_189, {}),
    ("deeplab_v3_plus", 5, 22_438_485, {}),
    # Layer by layer: 4,722,433, 487,265 and 1,870,721 beside the 21,284,672 of the encoder.
    ("deeplab_v3", 1, 26_007_105, {}),
    ("linknet", 1, 21_771_937, {}),
    ("fpn", 1, 23_155_393, {}),
    # SegFormer's paper: 3.8, 13.7 and 27.5 M with 150 classes.
    ("segformer", 150, 3_752_694, {}),
    ("segformer", 150, 13_715_798, {"size": "b1"}),
    ("segformer", 150, 27_461_974, {"size": "b2"}),
]


def trained(layers: Any) -> int:
    return sum(v.value.numpy().size for layer in layers for v in layer.trainable_variables)


def small(family: str, bands: int = 3, n_classes: int = 3, **options: Any) -> keras.Model:
    shape = (None, None, bands)
    return build(family, input_shape=shape, n_classes=n_classes, **SMALL[family] | options)


def images(bands: int, height: int = 64, width: int = 32) -> np.ndarray:
    rng = np.random.default_rng(bands)
    return rng.integers(0, 256, (2, height, width, bands)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "n_classes", "expected", "options"), PARAMETERS)
def test_parameters_are_those_of_the_documents(
    family: str, n_classes: int, expected: int, options: dict[str, Any]
) -> None:
    model = build(
        family,
        input_shape=(None, None, 3),
        n_classes=n_classes,
        activation="sigmoid",
        **options,
    )
    assert trained(model.layers) == expected
    if "encoder" in model.name or family in ("unet_pp", "deeplab_v3_plus"):
        assert trained(encoder_layers(model)) == 21_284_672


@pytest.mark.slow
def test_resnets_have_the_parameters_of_torchvision_s_without_their_last_layer() -> None:
    # 11,689,512, 25,557,032 and 44,549,160, less 513,000 or 2,049,000.
    for name, expected in (
        ("resnet18", 11_176_512),
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
    ):
        inputs = keras.Input((None, None, 3))
        model = keras.Model(inputs, list(encode(inputs, Layers(), name).values()))
        assert trained(model.layers) == expected


@pytest.mark.slow
@pytest.mark.parametrize("family", ENCODER_FAMILIES)
def test_a_family_can_be_traced_for_any_size_and_has_its_options(family: str) -> None:
    """In addition to `test_model_conformance.py`."""
    import tensorflow as tf

    model = small(family, 5, 1, activation="sigmoid", batch_norm="synchronised")
    assert all(layer.synchronized for layer in batch_normalisations(model))
    assert len(list(encoder_layers(model))) > len(model.layers) / 4
    trace = tf.function(model, autograph=False).get_concrete_function(
        tf.TensorSpec((None, None, None, 5))
    )
    for height, width in ((64, 96), (32, 160)):
        x = images(5, height, width)
        assert np.asarray(trace(tf.constant(x))) == pytest.approx(np.asarray(model(x)), abs=1e-5)
    model = small(family, dtype="mixed_bfloat16")
    assert np.asarray(model(images(3))).dtype == np.float32
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {layer.compute_dtype for layer in encoder_layers(model)} == {"bfloat16"}


APPLICATIONS = {
    "efficientnet_b0": ("EfficientNetB0", {}, 255.0, (2, 4, 8, 16, 32)),
    "mobilenet_v2": ("MobileNetV2", {}, 1.0, (2, 4, 8, 16, 32)),
    "mobilenet_v3_small": (
        "MobileNetV3Small",
        {"include_preprocessing": False},
        1.0,
        (2, 4, 8, 16, 32),
    ),
    "densenet121": ("DenseNet121", {}, 1.0, (2, 4, 8, 16, 32)),
    "vgg16": ("VGG16", {}, 1.0, (2, 4, 8, 16, 32)),
    "convnext_tiny": ("ConvNeXtTiny", {"include_preprocessing": False}, 1.0, (4, 8, 16, 32)),
}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", APPLICATIONS)
def test_an_encoder_of_keras_applications_computes_what_the_original_does(
    encoder: str, tmp_path: Path
) -> None:
    name, options, scale, strides = APPLICATIONS[encoder]
    original = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(64, 64, 3), **options
    )
    inputs = keras.Input((None, None, 3))
    pyramid = encode(inputs, Layers(), encoder)
    model = keras.Model(inputs, list(pyramid.values()))
    assert tuple(pyramid) == strides
    weights = [w for w in original.weights if "normalization/" not in w.path or scale == 1.0]
    model.set_weights([w.value for w in weights])
    # EfficientNet divides by 255 itself; here it must not.
    x = images(3, 64, 64) / 255
    found = [np.asarray(level) for level in model(x)]
    assert found[-1] == pytest.approx(np.asarray(original(x * scale)), abs=1e-4)
    assert [64 // level.shape[1] for level in found] == list(strides)

    # Dilation keeps the weights and the resolution, for any number of bands.
    inputs = keras.Input((None, None, 5))
    pyramid = encode(inputs, Layers(True), encoder, output_stride=8)
    dilated = keras.Model(inputs, pyramid[8])
    assert np.asarray(dilated(images(5, 64, 64))).shape[1:3] == (8, 8)
    dilated.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(again(images(5)), dilated(images(5)))
    first = sum(w.value.numpy().size for w in model.weights)
    extra = 2 * next(w for w in dilated.weights if "kernel" in w.name).value.numpy()[:, :, 0].size
    assert sum(w.value.numpy().size for w in dilated.weights) == first + extra


def test_names_of_layers_are_the_same_however_many_models_there_were() -> None:
    def names() -> list[str]:
        inputs = keras.Input((None, None, 3))
        pyramid = encode(inputs, Layers(), "mobilenet_v3_small", width=0.75)
        model = keras.Model(inputs, list(pyramid.values()))
        return [layer.name for layer in encoder_layers(model)]

    first = names()
    assert first == names()
    assert len(set(first)) == len(first)


def test_enlarging_is_bilinear() -> None:
    x = np.random.default_rng(0).random((1, 5, 7, 2)).astype(np.float32)
    for factor in (1, 2, 4, 8):
        found = np.asarray(Layers().enlarge(x, factor, "up"))
        expected = keras.ops.image.resize(x, (5 * factor, 7 * factor), interpolation="bilinear")
        assert found == pytest.approx(np.asarray(expected), abs=1e-5)


@pytest.mark.slow
def test_the_largest_makes_a_finite_step() -> None:
    import tensorflow as tf

    model = build("encoder_unet", input_shape=(352, 352, 3), n_classes=4, encoder="efficientnet_b5")
    optimizer = keras.optimizers.Adam(1e-3)
    x = np.random.default_rng(0).integers(0, 256, (1, 352, 352, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(tf.math.log(model(x, training=True)[..., 0]))
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    assert np.isfinite(loss.numpy())
    assert all(np.isfinite(v.value.numpy()).all() for v in model.weights)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (
            {"name": "fpn", "encoder": "vgg16", "encoder_width": 0.5},
            "encoder_width is for a ResNet or MobileNet",
        ),
        ({"name": "fpn", "encoder": "vgg16", "squeeze_excite": True}, "squeeze_excite is for a"),
        ({"name": "fpn", "encoder": "resnet19"}, "model.encoder"),
        ({"name": "fpn", "filters": 100}, "filters must be a multiple of groups"),
        ({"name": "unet_pp", "decoder": [8, 8]}, "model.decoder"),
        ({"name": "segformer", "size": "b6"}, "model.size"),
    ],
)
def test_wrong_keys_are_one_sentence(model: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        parse_recipe({"model": model}, "recipe.yaml")


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("fpn", {"input_shape": (40, 64, 3)}, "multiples of 32"),
        ("fpn", {"encoder": "alexnet"}, "`encoder` must be one of resnet18"),
        ("fpn", {"encoder": "vgg16", "encoder_width": 0.5}, "`width` is for"),
        ("fpn", {"batch_norm": "none"}, "`batch_norm` must be"),
        ("fpn", {"n_classes": 1}, "`n_classes` must be at least 2"),
        ("segformer", {"size": "b9"}, "`size` must be one of b0"),
    ],
)
def test_what_cannot_be_built_is_said(family: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(family, **{"input_shape": (None, None, 3), "n_classes": 3} | options)
