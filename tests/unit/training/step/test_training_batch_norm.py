"""Batch normalisation on ranks that are threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.training.thread_ranks import ThreadRank, on_ranks
from polynya.errors import ModelError
from polynya.recipe.classes import SEA_ICE
from training.input.batches import TileSource
from training.losses.overlap import Overlap
from training.models import build
from training.ranks.port import SingleProcess
from training.step.batch_norm import average_over_ranks, moving_statistics, synchronise
from training.step.graph import StepOptions
from training.step.trainer import Trainer

NODATA = 255
STEPS = 20


@pytest.fixture
def eager() -> Iterator[None]:
    """Ranks that are threads can't exchange anything inside a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _model(synchronized: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(synchronized=synchronized, name="norm1"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(synchronized=synchronized, name="norm2"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(3, 1, activation="softmax"),
        ]
    )


def _source(tiles: slice) -> TileSource:
    """Some of six tiles, each darker than the one before."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (6, 8, 8)).astype(np.uint8)
    shade = np.reshape(np.arange(6), (6, 1, 1, 1))
    images = labels[..., None] * 50 + rng.integers(0, 30, (6, 8, 8, 3)) + 25 * (5 - shade)
    labels[:2, :6] = NODATA
    return TileSource(images.astype(np.uint8)[tiles], labels[tiles], nodata=NODATA, threads=1)


def _trainer(model: keras.Model, collective: SingleProcess, **options: Any) -> Trainer:
    return Trainer(
        model,
        keras.optimizers.SGD(0.05, momentum=0.9),
        collective,
        classes=SEA_ICE,
        **options,
    )


def _on_ranks(
    ranks: int, synchronized: bool, task: Callable[[Trainer, TileSource], Any], **options: Any
) -> list[Any]:
    models = [_model(synchronized) for _ in range(ranks)]

    def of_rank(rank: ThreadRank) -> Any:
        own = 6 // ranks
        tiles = slice(rank.rank * own, (rank.rank + 1) * own)
        return task(_trainer(models[rank.rank], rank, **options), _source(tiles))

    results = on_ranks(ranks, of_rank)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _train(trainer: Trainer, source: TileSource) -> tuple[list[float], float, list[np.ndarray]]:
    losses = [
        result.loss
        for _ in range(STEPS)
        for result in trainer.train(source.all_batches(len(source)))
    ]
    validation = trainer.validate(source.all_batches(2))
    return losses, validation.loss, trainer.model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("loss", [None, Overlap("dice", n_classes=3)])
def test_synchronised_ranks_follow_one_rank(eager: None, loss: Any) -> None:
    ((losses, validation, weights),) = _on_ranks(1, True, _train, loss=loss)
    assert losses[-1] < 0.8 * losses[0]
    for ranks in (2, 3):
        results = _on_ranks(ranks, True, _train, loss=loss)
        for other_losses, other_validation, other_weights in results:
            assert other_losses == pytest.approx(losses, abs=1e-4)
            assert other_validation == pytest.approx(validation, abs=1e-4)
            for one, other in zip(weights, other_weights, strict=True):
                np.testing.assert_allclose(other, one, rtol=0, atol=1e-4)
            for one, other in zip(results[0][2], other_weights, strict=True):
                np.testing.assert_array_equal(one, other)


def test_local_statistics_are_the_same_on_all_ranks_once_they_are_used(eager: None) -> None:
    def task(trainer: Trainer, source: TileSource) -> tuple[Any, ...]:
        list(trainer.train(source.all_batches(len(source))))
        own = [v.value.numpy() for v in moving_statistics(trainer.model)]
        trainer.validate(source.all_batches(3))
        shared = [v.value.numpy() for v in moving_statistics(trainer.model)]
        trainer.check_weights(1)
        return own, shared, trainer.model.get_weights()

    results = _on_ranks(3, False, task)
    owns, shared, weights = zip(*results, strict=True)
    assert len(shared[0]) == 4
    for number, found in enumerate(shared[0]):
        of_ranks = [own[number] for own in owns]
        assert not np.array_equal(of_ranks[0], of_ranks[1])
        np.testing.assert_allclose(found, np.mean(of_ranks, axis=0), rtol=1e-6)
    for other in weights[1:]:
        for one, two in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_equal_values_are_their_own_mean() -> None:
    values = np.random.default_rng(0).random(1000).astype(np.float32)

    def task(rank: ThreadRank) -> np.ndarray:
        variable = keras.Variable(values)
        average_over_ranks([variable], rank)
        return variable.value.numpy()

    for found in on_ranks(3, task):
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_moments_are_those_of_all_pixels_however_large_their_mean(mean: float) -> None:
    x = (np.random.default_rng(0).standard_normal((4, 6, 6, 2)) + mean).astype(np.float32)
    layer = keras.layers.BatchNormalization(synchronized=True, momentum=0.0)
    model = keras.Sequential([keras.Input((6, 6, 2)), layer])
    synchronise(model, SingleProcess())
    model(x, training=True)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(layer.moving_mean.numpy(), exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), exact.var((0, 1, 2)), rtol=1e-3)


def test_a_step_that_is_not_made_leaves_the_statistics_too() -> None:
    trainer = _trainer(_model(False), SingleProcess(), options=StepOptions(accumulate=2))
    source = _source(slice(0, 6))
    list(trainer.train(source.all_batches(3)))
    before = trainer.model.get_weights()
    trainer.model.layers[-1].kernel.assign(np.full((1, 1, 4, 3), np.nan))
    with pytest.raises(ModelError, match="not a finite number"):
        list(trainer.train(source.all_batches(3)))
    for one, other in zip(before[:-2], trainer.model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_statistic_that_is_no_number_is_not_kept() -> None:
    trainer = _trainer(_model(False), SingleProcess())
    moving_statistics(trainer.model)[0].assign(np.full(4, np.nan))
    with pytest.raises(ModelError, match="The weight is not a finite number"):
        trainer.check_weights(1)


@pytest.mark.parametrize("batch_norm", ["none", "local", "synchronised"])
def test_a_unet_with_it_is_a_plain_keras_model(batch_norm: str, tmp_path: Path) -> None:
    options = {"filters": (4, 8), "dropout": (0.0, 0.0), "batch_norm": batch_norm}
    model = build("unet", input_shape=(None, None, 3), n_classes=3, **options)
    assert len(moving_statistics(model)) == (0 if batch_norm == "none" else 12)
    _trainer(model, SingleProcess())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(images).numpy(), model(images).numpy())
    with pytest.raises(ValueError, match="`batch_norm` must be"):
        build("unet", input_shape=(None, None, 3), n_classes=3, batch_norm="group")
