"""An encoder that keeps its weights for the first epochs, also over a restart."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import RecipeError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import parse_recipe
from training.errors import StoppedError
from training.model_folder.checkpoints import Position
from training.models.encoders import encoder_layers
from training.ranks.port import SingleProcess
from training.run.epochs import Run
from training.run.start import start_run
from training.step.graph import StepOptions
from training.step.trainer import Trainer

STEPS = 3
"""Steps of an epoch: 12 tiles."""
RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {
        "name": "res_unet_pp",
        "filters": [4, 4, 4, 4, 4],
        "rates": [2],
    },
    "training": {
        "epochs": 2,
        "freeze_encoder_epochs": 1,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_epochs": 0,
        "schedule": "cosine",
        "optimizer": "nadam",
        "augment": {"dihedral": True},
        "checkpoints": {"every_steps": 1, "every_epochs": 1, "keep": 3},
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    recipe = parse_recipe(RECIPE, "test")
    recipe.save(folder / "recipe.yaml")
    write_tiny_shards(folder / "shards", recipe)
    return folder


def start(place: Path, out: str, **options: bool) -> Run:
    run = start_run(
        place / "shards", place / out, place / "recipe.yaml", SingleProcess(), **options
    )
    assert isinstance(run, Run)
    return run


def parts(model: keras.Model) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of the encoder, and those of the decoder that training changes by gradients."""
    own = [w for layer in encoder_layers(model) for w in layer.get_weights()]
    ids = {id(v) for layer in encoder_layers(model) for v in layer.weights}
    others = [v.value.numpy() for v in model.trainable_variables if id(v) not in ids]
    return own, others


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> list[bool]:
    return [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]


def table(folder: Path, name: str) -> list[list[str]]:
    with (folder / name).open() as file:
        return [row[:4] for row in csv.reader(file)]


@pytest.mark.slow
def test_the_encoder_trains_from_its_epoch_on_and_a_restart_changes_nothing(place: Path) -> None:
    run = start(place, "whole")
    seen = [parts(run.trainer.model)]
    rates: list[float] = []

    def look() -> bool:
        seen.append(parts(run.trainer.model))
        rates.append(run.trainer.learning_rate())
        return False

    whole = run.train(look)
    # The look at step N sees the weights before its change.
    frozen = seen[: STEPS + 2]
    assert all(all(equal(seen[0][0], encoder)) for encoder, _ in frozen)
    for (_, before), (_, after) in pairwise(frozen[1:]):
        assert not all(equal(before, after))
    before, after = seen[STEPS + 1][0], seen[STEPS + 2][0]
    assert sum(equal(before, after)) < 0.1 * len(before)
    # The schedule goes on where it was.
    expected = [0.005 * (1 + np.cos(np.pi * step / (2 * STEPS))) for step in range(2 * STEPS)]
    assert rates == pytest.approx(expected, rel=1e-5)
    # No file says that it was frozen.
    model = keras.saving.load_model(place / "whole/model.keras")
    assert all(layer.trainable for layer in model.layers)
    # Stopped after the last step of the frozen encoder, and after its first own one.
    for steps in (STEPS, 1):
        looks = iter(range(1, 100))
        with pytest.raises(StoppedError):
            start(place, "cut", resume=True).train(lambda n=steps, looks=looks: next(looks) == n)
    again = start(place, "cut", resume=True).train()
    assert again.weights_digest == whole.weights_digest
    for name in ("steps.csv", "history.csv"):
        assert table(place / "cut", name) == table(place / "whole", name)


@pytest.mark.parametrize("jit", [False, True])
def test_a_frozen_layer_uses_its_statistics_and_the_optimizer_begins_again(jit: bool) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="encoder_conv")(inputs)
    x = keras.layers.BatchNormalization(name="encoder_norm")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1, activation="softmax")(x))
    trainer = Trainer(
        model,
        keras.optimizers.Nadam(0.01),
        SingleProcess(),
        classes=SEA_ICE,
        options=StepOptions(accumulate=2, jit=jit),
        frozen=list(encoder_layers(model)),
    )
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)), tf.float32)
    batch = images, tf.zeros((2, 8, 8), tf.uint8)
    fresh = [v.value.numpy() for v in trainer.state()[len(model.weights) :]]
    encoder, decoder = parts(model)
    list(trainer.train([batch] * 4))
    assert all(equal(parts(model)[0], encoder))
    assert not any(equal(parts(model)[1], decoder))
    statistics = model.get_layer("norm").moving_mean.value.numpy()
    assert statistics.any()
    assert trainer.optimizer.iterations == 2
    assert all(layer.trainable for layer in model.layers)
    trainer.thaw(0.5)
    assert all(equal([v.value.numpy() for v in trainer.state()[len(model.weights) :]], fresh))
    list(trainer.train([batch] * 2))
    assert sum(equal(parts(model)[0], encoder)) <= 1  # The bias before a normalisation.
    assert trainer.optimizer.iterations == 1


def test_thawing_begins_before_the_first_step_after_the_frozen_epochs() -> None:
    for epoch, steps, frozen in ((0, 0, True), (1, 2, True), (2, 0, True), (2, 1, False)):
        assert Position(epoch=epoch, epoch_steps=steps).is_frozen(2) is frozen
    assert not Position().is_frozen(0)


def test_a_model_without_an_encoder_can_not_be_frozen() -> None:
    for model in ("unet", "xgboost"):
        content = {"model": model, "training": {"freeze_encoder_epochs": 1}}
        with pytest.raises(RecipeError, match=f"the model '{model}' has no encoder; set it to 0"):
            parse_recipe(content, "recipe.yaml")
