"""One training step against plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from polynya.errors import ModelError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.training import AugmentOptions
from training.augment import augmentation_layers
from training.input.batches import TileSource
from training.losses.base import Loss
from training.losses.crossentropy import CrossEntropy
from training.metrics.confusion import scores
from training.models import build
from training.ranks.port import SingleProcess
from training.step.graph import StepOptions
from training.step.trainer import Trainer

TINY = {"filters": (4, 8), "dropout": (0.0, 0.0)}


def _trainer(
    optimizer: keras.optimizers.Optimizer | None = None,
    dtype: str = "float32",
    loss: Loss | None = None,
    **options: Any,
) -> Trainer:
    keras.utils.set_random_seed(0)
    model = build("unet", input_shape=(None, None, 3), n_classes=3, dtype=dtype, **TINY)
    optimizer = optimizer or keras.optimizers.SGD(0.01)
    return Trainer(
        model,
        optimizer,
        SingleProcess(),
        classes=SEA_ICE,
        loss=loss,
        options=StepOptions(pixels=2048, **options),
    )


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


@pytest.mark.slow
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


def _assert_close(one: Sequence[np.ndarray], other: Sequence[np.ndarray], by: float) -> None:
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, abs=by)


def test_accumulated_and_compiled_steps_are_those_of_the_large_batch() -> None:
    large, small = _trainer(), _trainer(accumulate=2, jit=True)
    ((whole,), (parts,)) = (
        (list(large.train(_source().all_batches(4))),),
        (list(small.train(_source().all_batches(2))),),
    )
    assert len(whole) == len(parts) == 1
    assert parts[0].pixels == whole[0].pixels
    assert parts[0].loss == pytest.approx(whole[0].loss, rel=1e-5)
    _assert_close(small.model.get_weights(), large.model.get_weights(), 1e-6)
    # And what was added up is gone for the next step.
    for trainer, batch in ((large, 4), (small, 2)):
        list(trainer.train(_source(seed=1).all_batches(batch)))
    _assert_close(small.model.get_weights(), large.model.get_weights(), 1e-6)


def test_gradients_are_clipped_by_their_norm_together() -> None:
    trainer = _trainer(keras.optimizers.SGD(1.0), clip_norm=1e-3)
    before = trainer.model.get_weights()
    list(trainer.train(_source().all_batches(4)))
    moved = [a - b for a, b in zip(trainer.model.get_weights(), before, strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(1e-3, rel=1e-3)


def test_class_weights_are_factors_on_the_loss_of_their_pixels() -> None:
    results = [
        next(_trainer(loss=CrossEntropy(weights)).train(_source().all_batches(4)))
        for weights in ((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0), (1.0, 2.0, 3.0))
    ]
    assert sum(r.loss for r in results[:3]) == pytest.approx(results[3].loss, rel=1e-5)
    assert len({r.pixels for r in results}) == 1


def test_float16_lowers_its_loss_scale_until_gradients_fit() -> None:
    trainer = _trainer(dtype="mixed_float16", loss_scaling=True)
    scale, _ = trainer.state()[-2:]
    scale.assign(2.0**30)
    before = trainer.model.get_weights()
    (first,) = trainer.train(_source().all_batches(4))
    assert not first.updated
    _assert_close(trainer.model.get_weights(), before, 0)
    results = [next(trainer.train(_source().all_batches(4))) for _ in range(20)]
    assert results[-1].updated
    assert float(scale.value) < 2.0**30
    assert results[-1].loss < first.loss


def test_random_states_are_those_of_dropout_and_augmentation() -> None:
    model = build(
        "unet", input_shape=(None, None, 3), n_classes=3, filters=(4, 8), dropout=(0.1, 0.1)
    )
    layers = augmentation_layers(AugmentOptions(dihedral=True), nodata=255, seed=1)
    trainer = Trainer(
        model, keras.optimizers.SGD(0.1), SingleProcess(), classes=SEA_ICE, augmentation=layers
    )
    before = [v.value.numpy() for v in trainer.random_state()]
    assert len(before) == 4
    list(trainer.train(_source().all_batches(4)))
    after = [v.value.numpy() for v in trainer.random_state()]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))
    assert trainer.reduced_bytes == 0
