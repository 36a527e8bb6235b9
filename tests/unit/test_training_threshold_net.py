"""The network that finds moved thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from training.models import build

TINY: dict[str, Any] = {"filters": (4, 6, 8), "dropout": (0.0, 0.1, 0.0), "stem": 4}


def _build(n_classes: int = 3, **options: Any) -> keras.Model:
    chosen = {"input_shape": (None, None, 3), **TINY, "head_filters": 4, **options}
    return build("threshold_net", n_classes=n_classes, **chosen)


def _images(size: int = 32, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (batch, size, size, 3)).astype(np.uint8)


def _predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images))


def test_untrained_it_is_the_thresholds_themselves() -> None:
    images = _images()
    found = _predict(_build(), images).argmax(axis=-1)
    assert (found == np.digitize(images.max(axis=-1), [31, 205])).all()


def test_other_classes_start_with_even_thresholds() -> None:
    images = _images()
    found = _predict(_build(n_classes=4), images).argmax(axis=-1)
    assert (found == np.digitize(images.max(axis=-1) / 255.0, [0.25, 0.5, 0.75])).all()


def test_probabilities_are_float32_and_sum_to_one_whatever_it_computes_in() -> None:
    model = _build(dtype="mixed_bfloat16")
    assert model.get_layer("stem").compute_dtype == "bfloat16"
    found = _predict(model, _images())
    assert found.dtype == np.float32
    assert found.sum(axis=-1) == pytest.approx(1.0, abs=1e-5)


def test_only_brightness_counts() -> None:
    images = _images()
    grey = np.repeat(images.max(axis=-1, keepdims=True), 3, axis=-1)
    model = _moved(_build())
    assert _predict(model, images) == pytest.approx(_predict(model, grey), abs=1e-6)


def test_a_brighter_pixel_in_the_same_light_never_has_a_darker_class() -> None:
    model = _moved(_build())
    dark, bright = np.full((1, 32, 32, 3), 90, np.uint8), np.full((1, 32, 32, 3), 90, np.uint8)
    bright[0, 16, 16] = 250  # Changes its own brightness more than the light of its cell.
    light = keras.Model(model.input, model.get_layer("light_enlarge").output)
    moved = np.abs(_predict(light, dark) - _predict(light, bright))[0, 16, 16]
    assert moved.max() < 3
    low, high = (_predict(model, image)[0, 16, 16] for image in (dark, bright))
    assert (np.cumsum(high)[:-1] <= np.cumsum(low)[:-1] + 1e-6).all()


def test_thresholds_stay_in_order_however_far_they_move() -> None:
    model = _moved(_build(n_classes=4), scale=30.0)
    value = np.linspace(0, 255, 64).astype(np.uint8)
    ramp = np.broadcast_to(value[None, None, :, None], (1, 64, 64, 3)).copy()
    light = _predict(keras.Model(model.input, model.get_layer("light_enlarge").output), ramp)
    assert np.abs(light).max() > 1
    assert np.isfinite(_predict(model, ramp)).all()


def test_every_weight_that_learns_gets_a_gradient() -> None:
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = _moved(_build())
    with tf.GradientTape() as tape:
        found = model(_images(64, batch=4).astype(np.float32), training=True)
        loss = tf.reduce_mean(tf.math.log(found[..., 0] + 1e-3))
    for gradient, variable in zip(
        tape.gradient(loss, [v.value for v in model.trainable_variables]),
        model.trainable_variables,
        strict=True,
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient.numpy() != 0), variable.path
    assert {"brightness_levels/kernel", "brightness_levels/bias"} == {
        v.path for v in model.non_trainable_variables if v.dtype == "float32"
    }


def test_it_learns_that_one_tile_lies_in_shadow() -> None:
    keras.utils.set_random_seed(0)
    model = _build()
    images = np.full((2, 32, 32, 3), 230, np.float32)
    images[:, :, 16:] = 15
    labels = np.where(images[..., 0] > 100, 2, 0)
    images[1] *= 0.5
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=60, verbose=0)
    assert (_predict(model, images).argmax(axis=-1) == labels).mean() > 0.97


def test_a_saved_model_loads_in_safe_mode_without_custom_objects(tmp_path: Path) -> None:
    model = _moved(_build())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert _predict(again, _images()) == pytest.approx(_predict(model, _images()), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (100, 128, 3)}, "multiples of 16"),
        ({"input_shape": (256, 3)}, "`input_shape` must be"),
        ({"n_classes": 1}, "`n_classes` must be at least 2"),
        ({"filters": (8,), "dropout": (0.1,)}, "`filters` must have at least 2"),
        ({"dropout": (0.1,)}, "`dropout` must have as many"),
        ({"brightness_filters": 1}, "`brightness_filters` must be at least 2"),
        ({"normalisation": "published"}, "`normalisation` must be 'range'"),
        ({"stem": 1}, "`stem` must be one of 2, 4. Received: stem=1"),
    ],
)
def test_what_cannot_be_built_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _build(**options)


def _moved(model: keras.Model, scale: float = 1.0) -> keras.Model:
    """Give the last layers, which start at zero, random weights."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.name.startswith("light") and isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([scale * rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    return model
