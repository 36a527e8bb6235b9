"""An encoder that keeps its weights for the first epochs, also over a restart."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import RecipeError
from polynya.recipe.recipe import parse_recipe
from training.errors import StoppedError
from training.model_folder.checkpoints import Position
from training.models.encoders import encoder_layers
from training.ranks.port import SingleProcess
from training.run.epochs import Run
from training.run.start import start_run

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
        "epochs": 4,
        "freeze_encoder_epochs": 2,
        "batch_size": 2,
        "accumulate": 2,
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
    frozen = seen[1 : 2 * STEPS + 1]
    assert all(all(equal(seen[0][0], encoder)) for encoder, _ in frozen)
    for (_, before), (_, after) in pairwise(frozen):
        assert not all(equal(before, after))
    before, after = seen[2 * STEPS][0], seen[2 * STEPS + 2][0]
    assert sum(equal(before, after)) < 0.1 * len(before)
    # The schedule goes on where it was.
    expected = [0.005 * (1 + np.cos(np.pi * step / (4 * STEPS))) for step in range(4 * STEPS)]
    assert rates == pytest.approx(expected, rel=1e-5)
    # No file says that it was frozen.
    model = keras.saving.load_model(place / "whole/model.keras")
    assert all(layer.trainable for layer in model.layers)
    for stop in (2 * STEPS - 1, 2 * STEPS, 2 * STEPS + 1):
        out = f"stopped at {stop}"
        steps = iter(range(1, 100))
        with pytest.raises(StoppedError):
            start(place, out).train(lambda steps=steps, stop=stop: next(steps) == stop)
        again = start(place, out, resume=True).train()
        assert again.weights_digest == whole.weights_digest, stop
        for name in ("steps.csv", "history.csv"):
            assert table(place / out, name) == table(place / "whole", name)


def test_thawing_begins_before_the_first_step_after_the_frozen_epochs() -> None:
    for epoch, steps, frozen in ((0, 0, True), (1, 2, True), (2, 0, True), (2, 1, False)):
        assert Position(epoch=epoch, epoch_steps=steps).is_frozen(2) is frozen
    assert not Position().is_frozen(0)


def test_a_model_without_an_encoder_can_not_be_frozen() -> None:
    for model in ("unet", "xgboost"):
        content = {"model": model, "training": {"freeze_encoder_epochs": 1}}
        with pytest.raises(RecipeError, match=f"the model '{model}' has no encoder; set it to 0"):
            parse_recipe(content, "recipe.yaml")
