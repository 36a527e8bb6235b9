"""Losses as sums and their value."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from training.losses.base import SMALLEST_PROBABILITY, Loss
from training.losses.binary_crossentropy import BinaryCrossEntropy
from training.losses.crossentropy import CrossEntropy, masked_crossentropy
from training.losses.focal import Focal
from training.losses.overlap import Overlap
from training.losses.sum import WeightedSum


def _case(seed: int, batch: int, nodata_share: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (batch, 8, 8)).astype(np.uint8)
    labels[rng.random(labels.shape) < nodata_share] = 255
    raw = rng.random((batch, 8, 8, 3)).astype(np.float32)
    return labels, raw / raw.sum(axis=-1, keepdims=True)


def _numbers(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    total, count = masked_crossentropy(labels, ops.convert_to_tensor(probabilities), nodata=255)
    return float(total), float(count)


def test_sum_is_the_negative_log_probability_of_the_label() -> None:
    labels, probabilities = _case(0, batch=2, nodata_share=0.3)
    valid = labels != 255
    expected = -np.log(np.take_along_axis(probabilities[valid], labels[valid][:, None], axis=1))
    total, count = _numbers(labels, probabilities)
    assert total == pytest.approx(float(expected.sum()), rel=1e-5)
    assert count == valid.sum()


def test_parts_with_different_shares_of_nodata_add_up() -> None:
    parts = [_case(seed, 1, share) for seed, share in enumerate((0.0, 0.9, 1.0, 0.4))]
    sums = np.array([_numbers(*part) for part in parts]).sum(axis=0)
    whole = _numbers(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    assert sums == pytest.approx(whole, rel=1e-6)


def test_only_nodata_gives_zero_and_zero() -> None:
    labels, probabilities = _case(0, batch=1, nodata_share=1.0)
    assert _numbers(labels, probabilities) == (0.0, 0.0)


def test_a_certain_error_is_finite() -> None:
    probabilities = np.array([[[[1.0, 0.0, 0.0]]]], np.float32)
    total, count = _numbers(np.array([[[1]]], np.uint8), probabilities)
    assert total == pytest.approx(-np.log(SMALLEST_PROBABILITY))
    assert count == 1


def test_nan_is_not_hidden() -> None:
    labels, probabilities = _case(0, batch=1, nodata_share=0.0)
    probabilities[0, 3, 3] = np.nan
    total, _ = _numbers(labels, probabilities)
    assert np.isnan(total)


# === Every loss: values worked out by hand ===


def _masks(*values: float) -> np.ndarray:
    """One image of one row: float32 (1, 1, pixels, 1)."""
    return np.float32(values).reshape(1, 1, -1, 1)


def _two_classes(*values: float) -> np.ndarray:
    """Probabilities or labels of the first of two classes: float32 (1, 1, pixels, 2)."""
    first = _masks(*values)
    return np.concatenate([first, 1 - first], axis=-1)


def _value(
    loss: Loss, targets: np.ndarray, probabilities: np.ndarray, valid: np.ndarray | None = None
) -> float:
    """Value, once its gradient is known to be finite."""
    valid = np.ones((*targets.shape[:3], 1), bool) if valid is None else valid
    p = tf.constant(probabilities)
    with tf.GradientTape() as tape:
        tape.watch(p)
        sums = loss.sums(tf.constant(targets), p, tf.constant(valid))
        value = loss.value(sums)
    assert sums.shape == (loss.size,)
    gradient = tape.gradient(value, p)
    assert gradient is None or np.isfinite(gradient.numpy()).all()
    return float(value)


LN2 = float(np.log(2))
CUT_OFF = -float(np.log(SMALLEST_PROBABILITY))


def test_crossentropies_by_hand() -> None:
    targets, half = _two_classes(1, 0), _two_classes(0.5, 0.5)
    for loss in (CrossEntropy(), CrossEntropy(soft_labels=True), BinaryCrossEntropy()):
        assert _value(loss, targets, half) == pytest.approx(LN2)
    assert _value(CrossEntropy((3, 1)), targets, half) == pytest.approx(2 * LN2)
    assert _value(CrossEntropy((3, 1), soft_labels=True), targets, half) == pytest.approx(2 * LN2)
    soft = _two_classes(0.25, 0.5)
    expected = -(0.25 * np.log(0.8) + 0.75 * np.log(0.2) + np.log(0.5)) / 2
    found = _value(CrossEntropy(soft_labels=True), soft, _two_classes(0.8, 0.5))
    assert found == pytest.approx(expected)
    smooth = -(0.95 * np.log(0.8) + 0.05 * np.log(0.2))
    for smoothing in (CrossEntropy(label_smoothing=0.1), BinaryCrossEntropy(label_smoothing=0.1)):
        assert _value(smoothing, _two_classes(1), _two_classes(0.8)) == pytest.approx(smooth)


def test_focal_by_hand() -> None:
    targets, probabilities = _two_classes(1), _two_classes(0.75)
    expected = 0.25**2 * -np.log(0.75)
    assert _value(Focal(), targets, probabilities) == pytest.approx(expected)
    assert _value(Focal(binary=True), targets, probabilities) == pytest.approx(expected)
    expected = 0.5 * -np.log(0.5)
    assert _value(Focal(gamma=1), targets, _two_classes(0.5)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="`gamma` must be at least 1"):
        Focal(gamma=0.5)


def test_overlaps_by_hand() -> None:
    # Of the first class: I = 0.8, P = 1.2, T = 1; of the second 0.6, 0.8, 1.
    targets, probabilities = _two_classes(1, 0), _two_classes(0.8, 0.4)
    dice = (1.6 / 2.2, 1.2 / 1.8)
    jaccard = (0.8 / 1.4, 0.6 / 1.2)
    for measure, values in (("dice", dice), ("jaccard", jaccard)):
        loss = Overlap(measure, n_classes=2, smoothing=0)
        assert _value(loss, targets, probabilities) == pytest.approx(1 - np.mean(values))
        weighted = Overlap(measure, n_classes=2, smoothing=0, class_weights=(3, 1))
        expected = 1 - (3 * values[0] + values[1]) / 4
        assert _value(weighted, targets, probabilities) == pytest.approx(expected)
    smooth = Overlap("dice", n_classes=2, smoothing=1)
    expected = 1 - (2.6 / 3.2 + 2.2 / 2.8) / 2
    assert _value(smooth, targets, probabilities) == pytest.approx(expected)
    with pytest.raises(ValueError, match="`measure` must be 'dice' or 'jaccard'"):
        Overlap("iou", n_classes=2)


@pytest.mark.parametrize("measure", ["dice", "jaccard"])
@pytest.mark.parametrize("smoothing", [0.0, 1e-5, 1.0])
@pytest.mark.parametrize("per_image", [False, True])
def test_an_overlap_of_nothing_with_nothing_is_whole(
    measure: str, smoothing: float, per_image: bool
) -> None:
    loss = Overlap(measure, n_classes=1, smoothing=smoothing, per_image=per_image)
    assert _value(loss, _masks(0, 0), _masks(0, 0)) == 0


def test_an_absent_class_counts_as_wholly_wrong_or_not_at_all() -> None:
    targets, probabilities = _two_classes(1, 1), _two_classes(0.8, 0.6)
    of_first = 2 * 1.4 / 3.4
    loss = Overlap("dice", n_classes=2, smoothing=0)
    assert _value(loss, targets, probabilities) == pytest.approx(1 - of_first / 2)
    loss = Overlap("dice", n_classes=2, smoothing=0, present_only=True)
    assert _value(loss, targets, probabilities) == pytest.approx(1 - of_first)
    loss = Overlap("dice", n_classes=1, present_only=True)
    assert _value(loss, _masks(0), _masks(0.5)) == 0


def test_per_image_is_the_mean_over_images_with_a_valid_pixel() -> None:
    targets = np.float32([1, 0, 1]).reshape(3, 1, 1, 1)
    probabilities = np.float32([0.5, 0.5, 0.9]).reshape(3, 1, 1, 1)
    valid = np.array([True, True, False]).reshape(3, 1, 1, 1)
    loss = Overlap("dice", n_classes=1, smoothing=0, per_image=True)
    expected = ((1 - 1 / 1.5) + 1) / 2
    assert _value(loss, targets, probabilities, valid) == pytest.approx(expected)


ALL = (
    CrossEntropy(),
    CrossEntropy(soft_labels=True),
    BinaryCrossEntropy(),
    Focal(),
    Focal(binary=True),
    Overlap("dice", n_classes=2, smoothing=0),
    Overlap("jaccard", n_classes=2, smoothing=0),
    Overlap("dice", n_classes=2, per_image=True),
    WeightedSum([(1.0, BinaryCrossEntropy()), (2.0, Overlap("dice", n_classes=2, smoothing=0))]),
)
WORST = (CUT_OFF,) * 5 + (1.0, 1.0, 1.0, CUT_OFF + 2)


@pytest.mark.parametrize(("loss", "worst"), list(zip(ALL, WORST, strict=True)))
def test_certain_answers_and_batches_without_labels_are_finite(loss: Loss, worst: float) -> None:
    targets = _two_classes(1, 0)
    assert _value(loss, targets, targets) == pytest.approx(0, abs=2e-7)
    assert _value(loss, targets, 1 - targets) == pytest.approx(worst, rel=1e-4)
    nothing = np.zeros((1, 1, 2, 1), bool)
    assert _value(loss, targets, 1 - targets, nothing) == 0


@pytest.mark.parametrize("loss", ALL)
def test_what_is_not_valid_changes_nothing(loss: Loss) -> None:
    few = _value(loss, _two_classes(1, 0), _two_classes(0.7, 0.4))
    valid = np.array([True, True, False]).reshape(1, 1, 3, 1)
    many = _value(loss, _two_classes(1, 0, 1), _two_classes(0.7, 0.4, 0.2), valid)
    assert many == pytest.approx(few)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal(binary=True), ALL[5], ALL[8]])
def test_masks_may_have_valid_pixels_of_their_own(loss: Loss) -> None:
    """A mask that is valid nowhere leaves what the other says, shared by all masks."""
    targets, probabilities = _two_classes(1, 0), _two_classes(0.7, 0.4)
    valid = np.broadcast_to(np.array([True, False]), targets.shape)
    other = probabilities.copy()
    other[..., 1] = 0.123
    assert _value(loss, targets, probabilities, valid) == _value(loss, targets, other, valid)


def test_only_sums_of_the_same_kind_are_a_mean() -> None:
    dice = Overlap("dice", n_classes=2, per_image=True)
    pixels = WeightedSum([(1.0, CrossEntropy()), (0.5, Focal())])
    assert (pixels.additive, pixels.size) == (True, 2)
    assert WeightedSum([(1.0, dice)]).per_image
    mixed = WeightedSum([(1.0, CrossEntropy()), (0.5, dice)])
    assert (mixed.additive, mixed.size) == (False, 4)
    targets, half = _two_classes(1, 0), _two_classes(0.5, 0.5)
    expected = LN2 + 0.5 * _value(dice, targets, half)
    assert _value(mixed, targets, half) == pytest.approx(expected)
