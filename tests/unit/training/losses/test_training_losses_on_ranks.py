"""Every loss of the registry: the same gradient however its pixels are spread over ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.schemes import scheme_of
from helpers.training.thread_ranks import ThreadRank, on_ranks
from polynya.errors import RecipeError
from polynya.recipe.base import tags_of
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.loss import LossOptions
from polynya.recipe.recipe import parse_recipe
from training.input.batches import TileSource
from training.losses.registry import build_loss
from training.ranks.port import SingleProcess
from training.step.graph import StepOptions
from training.step.trainer import Trainer

_SPELT: tuple[Any, ...] = (
    "crossentropy",
    {"name": "crossentropy", "label_smoothing": 0.1},
    "binary_crossentropy",
    {"name": "binary_crossentropy", "label_smoothing": 0.1},
    "focal",
    {"name": "focal", "gamma": 1.5, "binary": True},
    "dice",
    {"name": "dice", "smoothing": 1.0, "classes": "present"},
    {"name": "dice", "per_image": True},
    "jaccard",
    {"name": "jaccard", "per_image": True, "classes": "present"},
    {"name": "jdt", "per_image": True, "gamma": 1.5},
    {"name": "hinge", "binary": True},
    {
        "name": "sum",
        "terms": [{"loss": "binary_crossentropy"}, {"loss": "dice", "weight": 0.5}],
    },
    {"name": "sum", "terms": [{"loss": "crossentropy", "weight": 2}, {"loss": "focal"}]},
)
_NAMES = {spelling if isinstance(spelling, str) else spelling["name"] for spelling in _SPELT}
SPELLINGS = (*_SPELT, *(n for n in tags_of(LossOptions, "name") if n not in _NAMES))
"""Of every loss one or more, also of one that nobody has thought of here."""
WEIGHTS = (1.0, 0.5, 2.0)
NODATA = 255
NODATA_SHARES = (0.0, 0.95, 0.5, 1.0, 0.1, 0.99)


def _options(spelling: Any, **training: Any) -> LossOptions:
    return parse_recipe({"training": {"loss": spelling, **training}}, "test").training.loss


def _name(spelling: Any) -> str:
    return str(spelling if isinstance(spelling, str) else list(spelling.values()))


every_loss = pytest.mark.parametrize("spelling", SPELLINGS, ids=_name)
MASKS = scheme_of(3, "masks")
of_each_kind = pytest.mark.parametrize(
    ("spelling", "classes"),
    [(spelling, SEA_ICE) for spelling in SPELLINGS]
    + [(spelling, MASKS) for spelling in SPELLINGS if _options(spelling).suits_masks],
    ids=lambda value: value.kind if isinstance(value, ClassScheme) else _name(value),
)


def _source(tiles: slice, classes: ClassScheme = SEA_ICE) -> TileSource:
    """Some of six tiles with very different shares of nodata."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes.n_labels, (6, 16, 16)).astype(np.uint8)
    images = (
        np.stack([labels % 3] * 3, axis=-1) * 90 + rng.integers(0, 60, (6, 16, 16, 3))
    ).astype(np.uint8)
    labels[rng.random(labels.shape) < np.reshape(NODATA_SHARES, (6, 1, 1))] = NODATA
    return TileSource(images[tiles], labels[tiles], nodata=NODATA, threads=1)


def _model(classes: ClassScheme = SEA_ICE) -> keras.Model:
    keras.utils.set_random_seed(0)
    activation = "sigmoid" if classes.has_masks else "softmax"
    convolution = keras.layers.Conv2D(3, 3, padding="same", activation=activation)
    return keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), convolution]
    )


def _trainer(
    spelling: Any,
    collective: SingleProcess,
    model: keras.Model | None = None,
    classes: ClassScheme = SEA_ICE,
    **options: Any,
) -> Trainer:
    return Trainer(
        model or _model(),
        keras.optimizers.SGD(1.0),
        collective,
        classes=classes,
        loss=build_loss(_options(spelling), n_classes=3, class_weights=WEIGHTS),
        options=StepOptions(**options),
    )


@pytest.fixture
def eager() -> Iterator[None]:
    """Ranks that are threads can't exchange anything inside a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _step(spelling: Any, ranks: int, classes: ClassScheme) -> tuple[list[np.ndarray], float, float]:
    """Gradients, loss and validation loss of one step of six tiles."""
    # Keras draws first weights from one generator of the process, so one model after the other.
    models = [_model(classes) for _ in range(ranks)]
    before = models[0].get_weights()

    def task(rank: ThreadRank) -> tuple[list[np.ndarray], float, float]:
        own = 6 // ranks
        source = _source(slice(rank.rank * own, (rank.rank + 1) * own), classes)
        trainer = _trainer(spelling, rank, models[rank.rank], classes)
        validation = trainer.validate(source.all_batches(2))
        (result,) = trainer.train(source.all_batches(own))
        after = trainer.model.get_weights()
        gradients = [old - new for old, new in zip(before, after, strict=True)]
        return gradients, result.loss, validation.loss

    results = on_ranks(ranks, task)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    for other in results[1:]:
        for one, two in zip(results[0][0], other[0], strict=True):
            np.testing.assert_array_equal(one, two)
        assert results[0][1:] == other[1:]
    return results[0]


@of_each_kind
def test_gradients_of_any_number_of_ranks_are_those_of_one(
    spelling: Any, classes: ClassScheme, eager: None
) -> None:
    gradients, loss, validation = _step(spelling, 1, classes)
    assert max(np.abs(g).max() for g in gradients) > 1e-3
    assert loss == pytest.approx(validation, abs=1e-5)
    for ranks in (2, 3):
        found, other_loss, other_validation = _step(spelling, ranks, classes)
        assert other_loss == pytest.approx(loss, abs=1e-5)
        assert other_validation == pytest.approx(validation, abs=1e-5)
        for one, other in zip(gradients, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spelling", ["crossentropy", "dice"])
def test_with_adasum_each_rank_takes_the_loss_of_its_own_tiles(spelling: str, eager: None) -> None:
    models, own = [_model() for _ in range(2)], [slice(0, 1), slice(1, 6)]

    def task(rank: ThreadRank) -> tuple[list[np.ndarray], float]:
        # What Adasum makes of the ranks' gradients is Horovod's; here they are added up.
        rank.adasum = True
        before = models[rank.rank].get_weights()
        trainer = _trainer(spelling, rank, models[rank.rank])
        (result,) = trainer.train(_source(own[rank.rank]).all_batches(5))
        after = models[rank.rank].get_weights()
        return [old - new for old, new in zip(before, after, strict=True)], result.loss

    expected = [np.zeros(w.shape) for w in models[0].get_weights()]
    losses = []
    for tiles in own:
        trainer = _trainer(spelling, SingleProcess())
        before = trainer.model.get_weights()
        (result,) = trainer.train(_source(tiles).all_batches(5))
        losses.append(result.loss)
        for total, old, new in zip(expected, before, trainer.model.get_weights(), strict=True):
            total += old - new
    for found in on_ranks(2, task):
        assert not isinstance(found, BaseException), found
        for one, other in zip(found[0], expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
        if spelling == "dice":
            assert found[1] == pytest.approx(np.mean(losses), abs=1e-5)


@every_loss
def test_the_gradient_is_that_of_the_value_of_the_sums(spelling: Any) -> None:
    trainer = _trainer(spelling, SingleProcess())
    ((images, labels),) = _source(slice(0, 6)).all_batches(6)
    loss = build_loss(_options(spelling), n_classes=3, class_weights=WEIGHTS)
    targets = tf.one_hot(tf.where(labels == NODATA, tf.zeros_like(labels), labels), 3)
    with tf.GradientTape() as tape:
        probabilities = trainer.model(tf.cast(images, tf.float32), training=True)
        value = loss.value(loss.sums(targets, probabilities, (labels != NODATA)[..., None]))
    expected = tape.gradient(value, [v.value for v in trainer.model.trainable_variables])
    before = trainer.model.get_weights()
    (result,) = trainer.train([(images, labels)])
    assert result.loss == pytest.approx(float(value), rel=1e-5)
    for old, new, gradient in zip(before, trainer.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient.numpy(), rtol=0, atol=1e-5)


@every_loss
def test_compiled_and_accumulated_steps_are_the_same(spelling: Any) -> None:
    plain = _trainer(spelling, SingleProcess())
    list(plain.train(_source(slice(0, 6)).all_batches(6)))
    loss = build_loss(_options(spelling), n_classes=3)
    accumulate = 2 if loss.additive else 1
    other = _trainer(spelling, SingleProcess(), jit=True, accumulate=accumulate)
    list(other.train(_source(slice(0, 6)).all_batches(6 // accumulate)))
    for one, two in zip(plain.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-5)


@every_loss
def test_a_recipe_and_its_loss_agree_whether_batches_add_up(spelling: Any) -> None:
    options = _options(spelling)
    loss = build_loss(options, n_classes=3)
    assert options.adds_up == loss.additive
    if not loss.additive:
        with pytest.raises(RecipeError, match="recipe f.yaml .*'training.accumulate' is 2.*set "):
            parse_recipe({"training": {"loss": spelling, "accumulate": 2}}, "f.yaml")
        with pytest.raises(ValueError, match="`accumulate` must be 1"):
            _trainer(spelling, SingleProcess(), accumulate=2)
