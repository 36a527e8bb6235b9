"""What every family of networks must do; new families are found by themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.training.small_families import SMALL
from polynya.recipe.recipe import parse_recipe
from training.families.listing import purpose_of, source_of
from training.model_facts.drawing import draw_network
from training.model_facts.facts import facts_of
from training.models import NETWORKS, build, build_from


def gradients_of(model: keras.Model, images: Any, labels: Any) -> list[Any]:
    """Gradients of the mean cross-entropy."""
    with tf.GradientTape() as tape:
        picked = tf.gather(model(images, training=True), labels, axis=-1, batch_dims=3)
        loss = -tf.reduce_mean(tf.math.log(picked + 1e-7))
    assert np.isfinite(loss.numpy())
    return tape.gradient(loss, [v.value for v in model.trainable_variables])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_is_a_network_for_any_bands_classes_and_sizes(
    name: str, tmp_path: Path
) -> None:
    options = parse_recipe({"model": {"name": name, **SMALL.get(name, {})}}, name).model
    keras.utils.set_random_seed(0)
    edge = -(-8 // options.multiple) * options.multiple
    for bands, n_classes in ((1, 3), (3, 5), (13, 11)):
        shape = (edge, 3 * edge, bands)
        model = build_from(options, input_shape=shape, n_classes=n_classes)
        assert model.output_shape == (None, edge, 3 * edge, n_classes)
    assert draw_network(model, name).count("<rect") >= 2
    facts = facts_of(model)
    assert (facts.height, facts.width) == (edge, 3 * edge)
    assert facts.parameters == model.count_params() >= facts.trainable > 0
    assert facts.flops > 2 * facts.trainable
    assert facts.pass_mb > 8 * math.prod(model.output_shape[1:]) / 2**20
    assert facts.receptive_field is None or min(facts.receptive_field) > 2
    assert purpose_of(name)
    assert source_of(name)

    # Any size, also odd multiples; probabilities; saved and loaded; gradients; a finite step.
    model = build_from(options, input_shape=(None, None, 5), n_classes=7)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, edge, 3 * edge, 5)).astype(np.float32)
    found = np.asarray(model(images))
    assert (found.shape, found.dtype) == ((2, edge, 3 * edge, 7), np.float32)
    assert found.sum(axis=-1) == pytest.approx(1.0, abs=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert (np.asarray(again(images)) == found).all()
    for weight in model.trainable_variables:
        if weight.name in ("beta", "bias"):  # So that few units are silent.
            weight.assign(np.full(weight.shape, 0.1))
        elif "squeeze_conv" in weight.path:  # One or two units, which ReLU may silence.
            weight.assign(np.abs(weight.value.numpy()))
    found = np.asarray(model(images))
    labels = rng.integers(7, size=found.shape[:3])
    gradients = gradients_of(model, images, labels)
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        # Batch normalisation takes away whatever a bias before it adds.
        assert variable.name == "bias" or np.any(gradient.numpy() != 0), variable.path
    keras.optimizers.Adam(1e-3).apply(gradients, model.trainable_variables)
    changed = np.asarray(model(images))
    assert np.isfinite(changed).all()
    assert (changed != found).any()

    # Masks; what stands before the first layer takes the place of the fixed range.
    model = build_from(
        options,
        input_shape=(None, None, 2),
        n_classes=1,
        activation="sigmoid",
        features=lambda x: x[..., :1] / 255.0,
    )
    found = np.asarray(model(images[..., :2]))
    assert (found.shape, model.input_shape[-1]) == ((2, edge, 3 * edge, 1), 2)
    assert 0 < found.min() <= found.max() < 1


def trained(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("gym_unet", (251_236, 1_002_692, 2_254_372, 4_006_276, 9_010_756)),
        ("gym_resunet", (388_772, 1_550_436, 3_484_996, 6_192_452, 13_926_052)),
    ],
)
def test_gym_networks_have_the_parameters_of_their_paper(
    name: str, counts: tuple[int, ...]
) -> None:
    for filters, parameters in zip((2, 4, 6, 8, 12), counts, strict=True):
        model = build(name, input_shape=(None, None, 5), n_classes=4, filters=filters)
        assert model.count_params() == parameters


@pytest.mark.parametrize("upsampling", ["repeat", "transpose"])
def test_the_cloud_network_has_the_layers_of_its_study(upsampling: str) -> None:
    model = build(
        "cloud_unet",
        input_shape=(256, 256, 3),
        n_classes=4,
        activation="sigmoid",
        upsampling=upsampling,
    )
    assert (model.count_params(), trained(model)) == (488_788, 487_316)
    counts = [layer.count_params() for layer in model.layers if layer.count_params()]
    assert counts[:4] == [224, 32, 584, 32]
    assert 32_832 in counts
    assert counts[-1] == 36
    # Dropout after each pooling and each concatenation.
    before = [
        type(layer.input._keras_history.operation).__name__
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert before == ["MaxPooling2D"] * 4 + ["Concatenate"] * 4


@pytest.mark.parametrize(
    ("name", "n_classes", "parameters", "pass_mb"),
    [
        ("unet_base", 8, 31_043_976, None),
        ("unet_base", 5, 31_043_781, 3966),
        ("unet_short", 5, 8_254_981, 5842),
        ("unet_skinny", 5, 20_095_781, 1292.25),
        ("unet_less_conv", 5, 20_281_253, 2444.25),
    ],
)
def test_faster_unets_have_the_parameters_and_pass_sizes_of_their_study(
    name: str, n_classes: int, parameters: int, pass_mb: float | None
) -> None:
    facts = facts_of(build(name, input_shape=(512, 512, 3), n_classes=n_classes))
    assert facts.trainable == parameters
    if pass_mb is not None:
        assert facts.pass_mb == pytest.approx(pass_mb, abs=0.01)


def test_dropout_of_gym_networks_changes_from_layer_to_layer() -> None:
    def rates(name: str, **options: Any) -> list[float]:
        shape = (None, None, 3)
        model = build(name, input_shape=shape, n_classes=2, filters=2, dropout=0.1, **options)
        kinds = (keras.layers.Dropout, keras.layers.SpatialDropout2D)
        return [round(layer.rate, 6) for layer in model.layers if isinstance(layer, kinds)]

    assert rates("gym_unet") == [0.1] * 6
    changing = {"dropout_change": 0.1, "dropout_up": True, "dropout_type": "spatial"}
    assert rates("gym_unet", **changing) == [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1]
    assert rates("gym_simple_unet", **changing) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert rates("gym_resunet", dropout_change=-0.1) == [0.1, 0.1]  # Then the rate is 0 or less.
