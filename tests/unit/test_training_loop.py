"""One training step against plain arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from polynya.errors import ModelError
from training.collective import SingleProcess
from training.inputs import TileSource
from training.loop import Trainer
from training.metrics import scores
from training.models import build

TINY = {"filters": (4, 8), "dropout": (0.0, 0.0)}


def _trainer(optimizer: keras.optimizers.Optimizer | None = None) -> Trainer:
    keras.utils.set_random_seed(0)
    model = build("unet", input_shape=(None, None, 3), n_classes=3, **TINY)
    optimizer = optimizer or keras.optimizers.SGD(0.01)
    return Trainer(model, optimizer, SingleProcess(), nodata=255)


def _source(tiles: int = 4, seed: int = 0) -> TileSource:
    rng = np.random.default_rng(seed)
    value = np.kron(rng.choice([12, 110, 232], (tiles, 2, 2)), np.ones((1, 8, 8), int))
    labels = np.digitize(value, [31, 205]).astype(np.uint8)
    labels[0, :12] = 255
    images = np.repeat(value[..., None], 3, axis=-1).astype(np.uint8)
    return TileSource(images, labels, nodata=255, threads=1)


def test_a_step_follows_the_gradient_of_the_mean_over_valid_pixels() -> None:
    trainer, source = _trainer(), _source()
    before = [w.copy() for w in trainer.model.get_weights()]
    ((images, labels),) = source.all_batches(4)
    with tf.GradientTape() as tape:
        probabilities = trainer.model(tf.cast(images, tf.float32), training=True)
        valid = labels != 255
        losses = keras.losses.sparse_categorical_crossentropy(labels[valid], probabilities[valid])
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [v.value for v in trainer.model.trainable_variables])

    (result,) = trainer.train(source.all_batches(4))
    assert result.loss == pytest.approx(float(loss), rel=1e-5)
    assert result.pixels == np.count_nonzero(valid)
    for old, new, gradient in zip(before, trainer.model.get_weights(), gradients, strict=True):
        assert new == pytest.approx(old - 0.01 * gradient.numpy(), abs=1e-6)


def test_padding_changes_nothing() -> None:
    weights = []
    for batch_size in (4, 7):
        trainer = _trainer()
        list(trainer.train(_source().all_batches(batch_size)))
        weights.append(trainer.model.get_weights())
    for one, other in zip(*weights, strict=True):
        assert one == pytest.approx(other, abs=1e-7)


def test_training_learns_and_validation_counts_every_valid_pixel() -> None:
    trainer, source = _trainer(keras.optimizers.Adam(0.02)), _source(8)
    first = trainer.validate(source.all_batches(3))
    for _ in range(30):
        list(trainer.train(source.all_batches(4)))
    last = trainer.validate(source.all_batches(3))
    assert last.confusion.sum() == 8 * 256 - 12 * 16
    assert last.loss < 0.5 * first.loss
    assert scores(last.confusion)["accuracy"] > scores(first.confusion)["accuracy"]


def test_validation_without_tiles_is_undefined_not_zero() -> None:
    empty = TileSource(
        np.empty((0, 16, 16, 3), np.uint8), np.empty((0, 16, 16), np.uint8), nodata=255, threads=1
    )
    result = _trainer().validate(empty.all_batches(2))
    assert np.isnan(result.loss)
    assert result.confusion.sum() == 0


def test_a_loss_that_is_not_finite_stops_with_the_step_and_a_remedy() -> None:
    trainer = _trainer()
    trainer.model.get_layer("probabilities").kernel.assign(np.full((1, 1, 4, 3), np.nan))
    with pytest.raises(
        ModelError, match=r"not a finite number at step 1 .* 'training.learning_rate'"
    ):
        list(trainer.train(_source().all_batches(2)))
