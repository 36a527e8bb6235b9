"""The paper's U-Net and its leaner kin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from polynya.errors import ModelError
from polynya.recipe.recipe import Recipe
from training.models import build, build_from
from training.models.unet import RAMP_SLOPE

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
TINY = {"filters": (4, 6, 8), "dropout": (0.1, 0.1, 0.2)}


def _convolutions(model: keras.Model) -> int:
    return sum(isinstance(layer, CONVOLUTIONS) for layer in model.layers)


def test_the_default_is_the_network_of_the_paper() -> None:
    model = build("unet", input_shape=(256, 256, 3), n_classes=3)
    assert _convolutions(model) == 28
    assert model.count_params() == 7_775_635
    assert model.output_shape == (None, 256, 256, 3)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.2, 0.2, 0.2, 0.1, 0.1]
    first = model.get_layer("down0_conv1")
    assert isinstance(first.kernel_initializer, keras.initializers.HeNormal)
    assert (first.kernel_size, first.padding, first.activation.__name__) == ((3, 3), "same", "relu")


def test_the_recipe_s_default_model_is_the_paper_s() -> None:
    model = build_from(Recipe().model, input_shape=(None, None, 3), n_classes=3)
    assert model.count_params() == 7_775_635


def test_dropout_is_set_by_branch_level_kind_and_at_the_head() -> None:
    options = {"dropout": (0.1, 0.2, 0.3), "dropout_up": (0.4, 0.5), "head_dropout": 0.6}
    model = build("unet", input_shape=(None, None, 3), n_classes=3, **{**TINY, **options})
    rates = {x.name: x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)}
    names = ("down0", "down1", "bottom", "up1", "up0", "head")
    expected = zip(names, (0.1, 0.2, 0.3, 0.5, 0.4, 0.6), strict=True)
    assert rates == {f"{name}_dropout": rate for name, rate in expected}
    spatial = build(
        "unet", input_shape=(None, None, 3), n_classes=3, dropout_type="spatial", **TINY
    )
    layer = spatial.get_layer("bottom_dropout")
    assert isinstance(layer, keras.layers.SpatialDropout2D)
    left = np.asarray(layer(np.ones((8, 4, 4, 16), np.float32), training=True))
    assert (left == left[:, :1, :1]).all()
    assert 0 < (left == 0).mean() < 1


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_probabilities_of_any_size_sum_to_one(stem: int) -> None:
    model = build("unet", input_shape=(None, None, 3), n_classes=4, stem=stem, **TINY)
    for height, width in ((32, 32), (48, 16)):
        images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
        result = keras.ops.convert_to_numpy(model(images))
        assert result.shape == (2, height, width, 4)
        assert result.dtype == np.float32
        assert result.sum(axis=-1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("stem", [1, 4])
@pytest.mark.parametrize("filters", [1, 7, 12])
def test_brightness_ramps_see_the_greatest_band_only(stem: int, filters: int) -> None:
    model = build(
        "unet",
        input_shape=(None, None, 3),
        n_classes=3,
        stem=stem,
        brightness_filters=filters,
        **TINY,
    )
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    grey = np.repeat(images.max(axis=-1, keepdims=True), 3, axis=-1)
    results = [keras.ops.convert_to_numpy(model(x)) for x in (images, grey, images[..., ::-1])]
    assert results[0] == pytest.approx(results[1], abs=1e-6)
    assert results[0] == pytest.approx(results[2], abs=1e-6)


def test_brightness_ramps_start_at_levels_spread_over_the_range() -> None:
    model = build("unet", input_shape=(None, None, 3), n_classes=3, brightness_filters=6, **TINY)
    ramps = model.get_layer("brightness_ramps")
    value = np.linspace(0, 1, 7, dtype=np.float32).reshape(1, 1, 7, 1)
    found = keras.ops.convert_to_numpy(ramps(value))[0, 0] / RAMP_SLOPE
    rising = [np.maximum(value.ravel() - level, 0) for level in (0, 1 / 3, 2 / 3)]
    falling = [np.maximum(level - value.ravel(), 0) for level in (1, 2 / 3, 1 / 3)]
    expected = np.array([*rising, *falling])
    assert pytest.approx(expected, abs=1e-6) == found.T


def test_half_precision_inside_gives_float32_probabilities() -> None:
    model = build("unet", input_shape=(None, None, 3), n_classes=3, dtype="mixed_bfloat16", **TINY)
    result = model(np.zeros((1, 16, 16, 3), np.uint8))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    assert model.get_layer("down0_conv1").compute_dtype == "bfloat16"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


def test_every_weight_gets_a_gradient() -> None:
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = build("unet", input_shape=(None, None, 3), n_classes=3, stem=2, **TINY)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images, training=True)[..., 0])
    for gradient, variable in zip(
        tape.gradient(loss, [v.value for v in model.trainable_variables]),
        model.trainable_variables,
        strict=True,
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient.numpy() != 0), variable.path


def test_a_saved_model_loads_in_safe_mode_without_custom_objects(tmp_path: Path) -> None:
    options = {"stem": 2, "brightness_filters": 6, **TINY}
    model = build("unet", input_shape=(None, None, 3), n_classes=3, **options)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(images))
    assert keras.ops.convert_to_numpy(again(images)) == pytest.approx(expected, abs=1e-6)


def test_the_published_normalisation_divides_columns_of_grey_by_their_norm(tmp_path: Path) -> None:
    model = build(
        "unet", input_shape=(None, None, 3), n_classes=3, normalisation="published", **TINY
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    images[1] = 0
    columns = keras.Model(model.input, model.get_layer("columns").output)(images)
    grey = images[0] @ np.array([0.299, 0.587, 0.114])
    expected = grey / np.linalg.norm(grey, axis=0)
    found = keras.ops.convert_to_numpy(columns)[..., 0]
    assert found[0] == pytest.approx(expected, abs=1e-6)
    assert (found[1] == 0).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    both = (keras.ops.convert_to_numpy(m(images)) for m in (model, again))
    assert next(both) == pytest.approx(next(both), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (100, 128, 3)}, "multiples of 32"),
        ({"input_shape": (64, 64, 3), "stem": 4}, "multiples of 128"),
        ({"input_shape": (256, 3)}, "`input_shape` must be"),
        ({"n_classes": 1}, "`n_classes` must be at least 2"),
        ({"filters": (8,), "dropout": (0.1,)}, "`filters` must have at least 2"),
        ({"dropout": (0.1,)}, "`dropout` must have as many"),
        ({"brightness_filters": -1}, "`brightness_filters` must be at least 0"),
        ({"normalisation": "zscore"}, "`normalisation` must be 'range' or 'published'"),
        ({"stem": 3}, "`stem` must be 1, 2 or 4. Received: stem=3"),
        ({"dropout_up": (0.1,)}, "`dropout_up` must have one value less"),
        ({"dropout_type": "random"}, "`dropout_type` must be one of"),
    ],
)
def test_what_cannot_be_built_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("unet", **{"input_shape": (256, 256, 3), "n_classes": 3, **options})


def test_an_unknown_model_names_the_key_and_the_choices() -> None:
    with pytest.raises(ModelError, match=r"no model 'vnet'; set the recipe's key 'model.name' to"):
        build("vnet", input_shape=(256, 256, 3), n_classes=3)
