"""Masks that overlap: targets, scores, models and training, against values worked out by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from helpers.schemes import scheme_of
from polynya.errors import RecipeError
from polynya.recipe.recipe import parse_recipe
from training.losses.base import label_targets
from training.losses.registry import build_loss
from training.metrics.confusion import confusion_of, empty_confusion, scores
from training.models import build
from training.ranks.port import SingleProcess
from training.step.trainer import Trainer

ONE, THREE = scheme_of(1, "masks"), scheme_of(3, "masks")


def recipe_of(training: dict | None = None):
    classes = THREE.model_dump(mode="json")
    return parse_recipe({"classes": classes} | ({"training": training} if training else {}), "test")


def test_targets_have_a_channel_for_each_bit():
    targets, valid = label_targets(np.array([[[5, 0, 255]]], np.uint8), THREE)
    assert np.asarray(targets).tolist() == [[[[1, 0, 1], [0, 0, 0], [0, 0, 0]]]]
    assert np.asarray(valid)[0, 0, :, 0].tolist() == [True, True, False]


def test_each_mask_has_a_confusion_of_its_own():
    truth = np.array([5, 1, 0, 255, 4], np.uint8)
    predicted = np.array([1, 3, 0, 7, 4], np.uint8)
    counts = confusion_of(truth, predicted, THREE)
    # Rows: the truth has the mask not, or has it; columns: likewise the prediction.
    assert counts.tolist() == [[[2, 0], [0, 2]], [[3, 1], [0, 0]], [[2, 0], [1, 1]]]
    found = scores(counts)
    assert found["accuracy"] == pytest.approx(10 / 12)
    assert found["precision"].tolist() == pytest.approx([1, 0, 1])
    assert found["recall"].tolist() == pytest.approx([1, np.nan, 0.5], nan_ok=True)
    assert found["iou"].tolist() == pytest.approx([1, 0, 0.5])
    assert found["f1"].tolist() == pytest.approx([1, 0, 2 / 3])
    assert found["mean_iou"] == pytest.approx(0.5)
    assert (empty_confusion(THREE) == confusion_of(truth[3:4], predicted[3:4], THREE)).all()


def test_labels_that_no_masks_have_are_refused():
    with pytest.raises(ValueError, match="codes 0..1 or 255"):
        confusion_of(np.array([2], np.uint8), np.array([0], np.uint8), ONE)


def test_masks_are_learnt_by_binary_crossentropy_unless_the_recipe_says_else():
    assert recipe_of().training.loss.name == "binary_crossentropy"
    assert recipe_of({"epochs": 3}).training.loss.name == "binary_crossentropy"
    assert recipe_of({"loss": "dice"}).training.loss.name == "dice"
    assert parse_recipe({}, "test").training.loss.name == "crossentropy"


@pytest.mark.parametrize(
    "loss",
    ["crossentropy", "focal", {"name": "sum", "terms": [{"loss": "dice"}, {"loss": "focal"}]}],
)
def test_a_loss_of_exclusive_classes_is_refused_for_masks(loss):
    with pytest.raises(RecipeError, match=r"'classes.kind' is masks; set 'training.loss' to"):
        recipe_of({"loss": loss})


def test_a_model_of_one_mask_has_one_channel_and_a_sigmoid():
    model = build(
        "unet",
        input_shape=(None, None, 2),
        n_classes=1,
        activation="sigmoid",
        filters=(2, 2),
        dropout=(0, 0),
    )
    assert model.output_shape[-1] == 1
    assert model.layers[-1].activation is keras.activations.sigmoid
    with pytest.raises(ValueError, match="`n_classes` must be at least 2"):
        build("unet", input_shape=(None, None, 2), n_classes=1)
    with pytest.raises(ValueError, match="'softmax' or 'sigmoid'"):
        build("unet", input_shape=(None, None, 2), n_classes=1, activation="tanh")


@pytest.mark.parametrize("name", ["binary_crossentropy", "dice"])
def test_validation_has_the_loss_and_the_confusion_of_masks(name):
    # The model's answer is its image: probabilities of three masks.
    image = keras.Input((None, None, 3))
    weights = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)
    same = keras.layers.Conv2D(3, 1, use_bias=False)
    model = keras.Model(image, same(image))
    same.set_weights([weights])
    loss = build_loss(recipe_of({"loss": name}).training.loss, n_classes=3)
    trainer = Trainer(model, keras.optimizers.SGD(0.1), SingleProcess(), classes=THREE, loss=loss)
    images = np.array([[[[0.9, 0.5, 0.2], [0.4, 0.8, 0.6], [0.1, 0.1, 0.1]]]], np.float32)
    labels = np.array([[[3, 1, 255]]], np.uint8)
    found = trainer.validate(
        [(keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels))]
    )
    # Under the masks 0 and 1; under 0; nodata. Found: 0 and 1; 1 and 2.
    assert found.confusion.tolist() == [[[0, 0], [1, 1]], [[0, 1], [0, 1]], [[1, 1], [0, 0]]]
    if name == "dice":
        by_hand = 1 - np.mean([2 * 1.3 / (1.3 + 2), 2 * 0.5 / (1.3 + 1), 0.0])
        assert found.loss == pytest.approx(by_hand, abs=1e-4)
    else:
        right = [0.9, 0.5, 0.8, 0.4, 0.2, 0.4]
        assert found.loss == pytest.approx(-np.mean(np.log(right)), abs=1e-5)
