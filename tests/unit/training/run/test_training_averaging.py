"""Stochastic weight averaging: the mean, its statistics, its place in a run, and a cut in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.thread_ranks import ThreadRank, on_ranks
from polynya.errors import RecipeError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import parse_recipe
from training.augment.geometry import RandomDihedral
from training.errors import StoppedError
from training.model_folder.training_log import StepRecord
from training.optimisation.averaging import WeightMean
from training.optimisation.schedules import HeldSchedule, WarmupSchedule
from training.ranks.port import SingleProcess
from training.run.listener import Listener
from training.run.start import start_run
from training.step.batch_norm import moving_statistics
from training.step.trainer import Trainer

TRAINING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 5,
    "learning_rate": 0.01,
    "augment": {"dihedral": True},
    "checkpoints": {"every_steps": 1},
}
MODEL = {"filters": [4, 8], "dropout": [0.2, 0.2], "batch_norm": "local"}


class Weights(Listener):
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        self.model: Any = None
        self.of_steps: list[list[np.ndarray]] = []
        self.moments = 0

    def step(self, record: StepRecord) -> None:
        self.of_steps.append(self.model.get_weights())

    def average(self, position: Any, moments: int) -> None:
        self.moments = moments


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("averaging")
    recipe = parse_recipe({"seed": 1, "tiles": {"size": 32}}, "test")
    write_tiny_shards(folder / "shards", recipe)
    return folder


def start(place: Path, out: str, averaging: Any, model: Any = MODEL, **options: Any) -> Any:
    recipe = {
        "seed": 1,
        "tiles": {"size": 32},
        "split": {"validation": 0.25},
        "model": model,
        "training": {**TRAINING, "averaging": averaging},
    }
    parse_recipe(recipe, "test").save(place / f"{out}.yaml")
    return start_run(
        place / "shards", place / out, place / f"{out}.yaml", SingleProcess(), **options
    )


def saved(folder: Path) -> list[np.ndarray]:
    return keras.saving.load_model(folder / "model.keras").get_weights()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("averaging", "moments"),
    [
        ({"start": 0.5, "learning_rate": 0.003}, (8, 11)),
        ({"start_epoch": 1, "every_epochs": 2}, (8,)),
        ({"start_epoch": 2, "every_steps": 4}, (9,)),
    ],
)
def test_the_model_that_is_kept_is_numpy_s_mean_of_the_weights(
    place: Path, averaging: Any, moments: tuple[int, ...]
) -> None:
    # Three steps in each of four epochs; of steps 6.. on, where averaging begins after two.
    seen = Weights()
    model = {**MODEL, "batch_norm": "none"}
    run = start(place, f"mean{moments}", averaging, model, listeners=[seen])
    seen.model = run.trainer.model
    summary = run.train()
    assert seen.moments == summary.averaged_moments == len(moments)
    for number, found in enumerate(saved(summary.folder)):
        stack = [seen.of_steps[moment][number] for moment in moments]
        mean = np.mean(stack, axis=0, dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(found, mean)
    rates = [record.learning_rate for record in summary.history]
    if "learning_rate" in averaging:
        assert rates[2:] == pytest.approx([0.003, 0.003])
    # metrics.json and the card are of the mean, as `evaluate` would find it.
    metrics = json.loads((summary.folder / "metrics.json").read_text())
    assert metrics["averaged_moments"] == len(moments)
    again = run.trainer.validate(run.data.validation.all_batches(5))
    assert metrics["validation"]["confusion"] == again.confusion.tolist()
    assert metrics["validation"]["loss"] == pytest.approx(again.loss)
    card = (summary.folder / "README.md").read_text()
    assert f"mean of the weights at {len(moments)} moments" in card
    provenance = json.loads((summary.folder / "provenance.json").read_text())
    assert provenance["averaged_moments"] == str(len(moments))


@pytest.mark.slow
def test_a_training_that_is_cut_while_it_averages_goes_on_to_the_same_model(place: Path) -> None:
    averaging = {"start_epoch": 1, "every_steps": 2, "learning_rate": 0.005}
    whole = start(place, "whole", averaging).train()
    steps = iter(range(1, 99))
    with pytest.raises(StoppedError):
        start(place, "cut", averaging).train(lambda: next(steps) == 8)
    run = start(place, "cut", averaging, resume=True)
    assert (run.position.averaged, run.position.averaging_steps) == (2, 5)
    summary = run.train()
    assert summary.averaged_moments == whole.averaged_moments == 4
    for one, other in zip(saved(whole.folder), saved(summary.folder), strict=True):
        np.testing.assert_array_equal(one, other)
    texts = [(folder / "metrics.json").read_text() for folder in (whole.folder, summary.folder)]
    assert texts[0] == texts[1]


# === Statistics of batch normalisation ===


@pytest.fixture
def eager() -> Iterator[None]:
    """Ranks that are threads can't exchange anything inside a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def a_model(synchronized: bool, dropout: float) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(synchronized=synchronized),
            keras.layers.Dropout(dropout),
            keras.layers.Conv2D(3, 3, padding="same"),
            keras.layers.BatchNormalization(synchronized=synchronized),
            keras.layers.Softmax(),
        ]
    )


def images_of(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def a_trainer(model: keras.Model, collective: SingleProcess, **options: Any) -> Trainer:
    return Trainer(model, keras.optimizers.SGD(0.1), collective, classes=SEA_ICE, **options)


@pytest.mark.parametrize("synchronized", [False, True])
def test_statistics_are_those_of_all_tiles_on_any_number_of_ranks(
    eager: None, synchronized: bool
) -> None:
    batches = [(number, images_of(number, 2 + number % 2)) for number in range(5)]

    def statistics(ranks: int) -> list[np.ndarray]:
        models = [a_model(synchronized, 0.3) for _ in range(ranks)]

        def task(rank: ThreadRank) -> list[np.ndarray]:
            flips = [RandomDihedral(seed=rank.rank)]
            trainer = a_trainer(models[rank.rank], rank, augmentation=flips)
            random = [v.value.numpy() for v in trainer.random_state()]
            first, past = 5 * rank.rank // ranks, 5 * (rank.rank + 1) // ranks
            own = [(n, tf.constant(x), tf.constant(x[..., 0])) for n, x in batches[first:past]]
            trainer.find_statistics(own, seed=3)
            for before, after in zip(random, trainer.random_state(), strict=True):
                np.testing.assert_array_equal(before, after.value.numpy())
            return [v.value.numpy() for v in moving_statistics(models[rank.rank])]

        results = on_ranks(ranks, task)
        for result in results:
            assert not isinstance(result, BaseException), result
            for one, other in zip(results[0], result, strict=True):  # type: ignore[arg-type]
                np.testing.assert_array_equal(one, other)
        return results[0]  # type: ignore[return-value]

    alone = statistics(1)
    for ranks in (2, 3, 7):
        for one, other in zip(alone, statistics(ranks), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)


def test_statistics_are_mean_and_variance_of_what_a_layer_sees() -> None:
    model = a_model(False, 0.0)
    trainer = a_trainer(model, SingleProcess())
    parts = [images_of(0, 3), images_of(1, 2)]
    own = [(n, tf.constant(x), tf.constant(x[..., 0])) for n, x in enumerate(parts)]
    trainer.find_statistics(own, seed=0)
    first, second = (model.layers[index] for index in (2, 5))
    seen = np.concatenate([model.layers[1](x / np.float32(255)).numpy() for x in parts])
    exact = seen.astype(np.float64)
    np.testing.assert_allclose(first.moving_mean.numpy(), exact.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(first.moving_variance.numpy(), exact.var((0, 1, 2)), rtol=1e-5)
    # A layer behind others sees each batch as these leave it in training.
    deeper = []
    for x in parts:
        raw = model.layers[1](x / np.float32(255)).numpy().astype(np.float64)
        scaled = (raw - raw.mean((0, 1, 2))) / np.sqrt(raw.var((0, 1, 2)) + first.epsilon)
        deeper.append(model.layers[4](scaled.astype(np.float32)).numpy())
    exact = np.concatenate(deeper).astype(np.float64)
    np.testing.assert_allclose(second.moving_mean.numpy(), exact.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(second.moving_variance.numpy(), exact.var((0, 1, 2)), rtol=1e-4)
    # Layers are as before: the next step moves the statistics by Keras' momentum.
    kept = first.moving_mean.numpy()
    x = tf.constant(parts[0])
    list(trainer.train([(x, x[..., 0] // 90)]))
    assert np.abs(first.moving_mean.numpy() - kept).max() > 0
    # A layer that isn't trained keeps its own.
    first.trainable = False
    kept = first.moving_mean.numpy()
    a_trainer(model, SingleProcess()).find_statistics(own[:1], seed=0)
    np.testing.assert_array_equal(first.moving_mean.numpy(), kept)


# === Parts ===


def test_whole_numbers_are_those_of_the_last_moment() -> None:
    mean = WeightMean()
    for value in (1, 2, 4):
        mean.add([np.float32([value, 0.1]), np.int32([value])])
    floats, whole = mean.mean([np.float32, np.int32])
    np.testing.assert_array_equal(floats, np.float32([7 / 3, np.float32(0.1)]))
    assert whole.tolist() == [4]
    assert floats.dtype == np.float32


def test_a_rate_is_held_from_its_step_on_whatever_the_schedule_s_scale() -> None:
    inner = WarmupSchedule(0.4, warmup_steps=4, total_steps=8)
    held = HeldSchedule(inner, rate=0.05, first_step=5)
    held.scale.assign(0.5)
    assert [float(held(step)) for step in (0, 4, 5, 7)] == pytest.approx([0.05, 0.2, 0.05, 0.05])
    assert [held.rate(step) for step in (0, 4, 5)] == [0.1, 0.4, 0.05]
    optimizer = keras.optimizers.SGD(held)
    again = keras.optimizers.SGD.from_config(optimizer.get_config())
    assert float(again.learning_rate) == pytest.approx(0.1)
    finer = WarmupSchedule(0.4, warmup_steps=4, total_steps=16, done_steps=4, done_share=0.5)
    assert float(HeldSchedule(finer, rate=0.05, first_step=8)(4)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "averaging", [{"start_epoch": 4}, {"start_epoch": 2, "every_epochs": 3}, {"start_epoch": 9}]
)
def test_averaging_without_a_moment_is_refused(averaging: Any) -> None:
    training = {"epochs": 4, "averaging": averaging}
    with pytest.raises(RecipeError, match="no moment to average; set 'training.averaging.start"):
        parse_recipe({"training": training}, "test")


def test_trees_are_not_averaged() -> None:
    for training in ({"averaging": {}}, {"metrics": {"training": True}}):
        with pytest.raises(RecipeError, match="is for networks"):
            parse_recipe({"model": "xgboost", "training": training}, "test")
