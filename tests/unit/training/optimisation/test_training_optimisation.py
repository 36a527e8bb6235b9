"""Optimizers and schedules that a recipe can name."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import pytest

from polynya.recipe.classes import SEA_ICE
from polynya.recipe.optimisation import OptimizerOptions, ScheduleOptions
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.training import TrainingOptions
from training.input.batches import TileSource
from training.optimisation.registry import (
    OPTIMIZERS,
    SCHEDULES,
    build_optimizer,
    build_schedule,
    coupled_decay,
)
from training.optimisation.schedules import WarmupSchedule
from training.ranks.port import SingleProcess
from training.step.graph import StepOptions
from training.step.trainer import Trainer


def _training(**options: Any) -> TrainingOptions:
    return parse_recipe({"training": options}, "test").training


def test_every_option_of_a_recipe_has_a_builder() -> None:
    for union, builders in ((OptimizerOptions, OPTIMIZERS), (ScheduleOptions, SCHEDULES)):
        assert set(get_args(get_args(union)[0])) == set(builders)


@pytest.mark.parametrize("name", ["constant", "cosine", "plateau", "step", "one_cycle"])
def test_every_schedule_starts_and_ends(name: str) -> None:
    schedule = build_schedule(
        _training(schedule=name).schedule, 0.1, warmup_steps=2, epoch_steps=5, epochs=20
    )
    rates = np.array([float(schedule(step)) for step in range(100)])
    assert rates.max() == pytest.approx(0.1)
    assert rates[0] < 0.06
    ends = {"constant": 0.1, "plateau": 0.1, "step": 0.01, "one_cycle": 4e-7}
    assert rates[-1] == pytest.approx(ends.get(name, 0.0), abs=1e-4)


def test_a_plateau_has_its_keys_beside_its_name_or_in_the_section() -> None:
    assert _training(schedule="cosine").plateau is None
    assert _training(schedule="plateau", plateau_epochs=3).plateau == (3, 0.5)
    options = {"name": "plateau", "epochs": 2, "factor": 0.1}
    assert _training(schedule=options, plateau_epochs=3).plateau == (2, 0.1)


def _changes(optimizer: Any, clip_norm: float | None = None) -> tuple[Any, Any, Any]:
    """Kernel before and after one step of learning rate 0.5, and without any weight decay."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    source = TileSource(images, images[..., 0] // 90, nodata=255, threads=1)
    results = []
    for options in (optimizer, {**optimizer, "weight_decay": 0.0}):
        chosen = _training(optimizer=options).optimizer
        keras.utils.set_random_seed(0)
        convolution = keras.layers.Conv2D(3, 1, activation="softmax")
        model = keras.Sequential(
            [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), convolution]
        )
        before = convolution.kernel.numpy()
        schedule = WarmupSchedule(0.5, warmup_steps=0, total_steps=9)
        trainer = Trainer(
            model,
            build_optimizer(chosen, schedule, clip_norm=clip_norm),
            SingleProcess(),
            classes=SEA_ICE,
            options=StepOptions(clip_norm=clip_norm, weight_decay=coupled_decay(chosen)),
        )
        list(trainer.train(source.all_batches(2)))
        results.append(convolution.kernel.numpy())
    return before, *results


@pytest.mark.parametrize("name", ["adam", "nadam", "sgd", "rmsprop", "adamw"])
def test_decoupled_decay_takes_its_share_off_whatever_the_gradient(name: str) -> None:
    options = {"name": name, "weight_decay": 0.1, "decay": "decoupled"}
    before, after, without = _changes(options)
    assert np.abs(without - before).max() > 1e-3
    np.testing.assert_allclose(after, without - 0.5 * 0.1 * before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("clip_norm", [None, 1e-3])
def test_coupled_decay_is_added_to_the_clipped_gradient(clip_norm: float | None) -> None:
    options = {"name": "sgd", "momentum": 0.0, "weight_decay": 0.1}
    before, after, without = _changes(options, clip_norm)
    np.testing.assert_allclose(after, without - 0.5 * 0.1 * before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "nadam", "rmsprop"])
def test_coupled_decay_goes_through_the_optimizer(name: str) -> None:
    before, after, without = _changes({"name": name, "weight_decay": 10.0})
    # So strong that only the sign of the weight counts, by which all of these go their way.
    moved = after - before
    assert (np.sign(moved) == -np.sign(before)).all()
    assert not np.allclose(after, without - 0.5 * 10.0 * before)


def test_adamw_is_decoupled_and_the_others_only_if_asked() -> None:
    assert coupled_decay(_training(optimizer="adamw").optimizer) == 0
    adam = {"name": "adam", "weight_decay": 0.1}
    assert coupled_decay(_training(optimizer=adam).optimizer) == 0.1
    assert build_optimizer(_training().optimizer, 0.1, clip_norm=1.0).weight_decay is None
