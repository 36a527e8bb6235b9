"""Every metric of the registry against an independent definition, and what holds for all."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from helpers.schemes import scheme_of
from helpers.training.thread_ranks import ThreadRank, on_ranks
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.metrics import MetricName, MetricsOptions
from training.metrics.base import Metric, Sample
from training.metrics.registry import all_metrics, confusion_metrics, measured
from training.metrics.tally import Tally

NODATA = SEA_ICE.nodata
SIZE = 14
TOLERANCE = 1.5
MASKS = scheme_of(3, "masks")
EVERYTHING = MetricsOptions(further=get_args(MetricName), tolerance=TOLERANCE)
every_metric = pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
of_each_kind = pytest.mark.parametrize("classes", [SEA_ICE, MASKS], ids=lambda c: c.kind)


def a_sample(seed: int, classes: ClassScheme = SEA_ICE, nodata_rows: int = 2) -> Sample:
    """Regions with a prediction that is somewhat wrong, and some rows of nodata."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes.n_labels, (4, 4))
    truth = np.kron(coarse, np.ones((4, 4), int))[:SIZE, :SIZE].astype(np.uint8)
    wrong = rng.random(truth.shape) < 0.15
    predicted = np.where(wrong, rng.integers(0, classes.n_labels, truth.shape), truth)
    predicted = np.roll(predicted, 1, axis=1).astype(np.uint8)
    truth[:nodata_rows] = NODATA
    predicted[-1, :3] = NODATA
    probabilities = rng.dirichlet(np.ones(classes.n_classes), truth.shape).astype(np.float32)
    return Sample(truth, predicted, classes, probabilities)


# === Definitions, of a sample ===


def flat(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels of pixels that count; of masks 0 and 1 as (pixels, masks)."""
    pixels = sample.truth[sample.valid], sample.predicted[sample.valid]
    if not sample.classes.has_masks:
        return pixels
    return tuple(x[:, None] >> np.arange(sample.classes.n_classes) & 1 for x in pixels)  # type: ignore[return-value]


def of_classes(name: str) -> Callable[[Sample], Any]:
    def definition(sample: Sample) -> Any:
        truth, found = flat(sample)
        options = {} if sample.classes.has_masks else {"labels": sample.classes.codes}
        score = getattr(sklearn_metrics, name)
        return score(truth, found, average=None, zero_division=np.nan, **options)

    return definition


def accuracy(sample: Sample) -> float:
    truth, found = flat(sample)
    return float((truth == found).mean())


def iou(sample: Sample) -> list[float]:
    values = []
    for code in sample.classes.codes:
        true, found = (sample.classes.where(x, code) for x in (sample.truth, sample.predicted))
        true, found = true & sample.valid, found & sample.valid
        either = (true | found).sum()
        values.append((true & found).sum() / either if either else np.nan)
    return values


def frequency_weighted_iou(sample: Sample) -> float:
    weights = [
        (sample.classes.where(sample.truth, c) & sample.valid).sum() for c in sample.classes.codes
    ]
    return float(np.average(np.nan_to_num(iou(sample)), weights=weights))


def matthews(sample: Sample) -> float:
    truth, found = flat(sample)
    if not sample.classes.has_masks:
        return float(sklearn_metrics.matthews_corrcoef(truth, found))
    masks = range(sample.classes.n_classes)
    score = sklearn_metrics.matthews_corrcoef
    return float(np.mean([score(truth[:, m], found[:, m]) for m in masks]))


def kullback_leibler(sample: Sample) -> float:
    assert sample.probabilities is not None
    truth, _ = flat(sample)
    p = sample.probabilities[sample.valid]
    if not sample.classes.has_masks:
        return float(sklearn_metrics.log_loss(truth, p, labels=sample.classes.codes))
    masks = range(sample.classes.n_classes)
    log_loss = sklearn_metrics.log_loss
    return float(np.mean([log_loss(truth[:, m], p[:, m], labels=[0, 1]) for m in masks]))


def calibration_error(sample: Sample) -> float:
    """Weighted by the pixels of a bin; of masks by scikit-learn's own curve."""
    assert sample.probabilities is not None
    truth, found = flat(sample)
    p = sample.probabilities[sample.valid].astype(np.float64)
    if sample.classes.has_masks:
        right, mean = calibration_curve(truth.ravel(), p.ravel(), n_bins=15)
        pixels = np.histogram(p.ravel(), np.linspace(0, 1, 16))[0]
        return float(np.average(np.abs(right - mean), weights=pixels[pixels > 0]))
    confidence = p[np.arange(len(p)), found]
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            gap = (truth == found)[inside].mean() - confidence[inside].mean()
            total += abs(gap) * inside.mean()
    return total


def ssim(sample: Sample) -> float:
    """The average over windows of TensorFlow's own; windows with nodata don't count."""
    import tensorflow as tf

    first, second = (sample.classes.paint(x) for x in (sample.truth, sample.predicted))
    values = []
    for row, column in np.ndindex(SIZE - 10, SIZE - 10):
        window = np.s_[row : row + 11, column : column + 11]
        if sample.valid[window].all():
            pair = (tf.constant(image[window]) for image in (first, second))
            values.append(float(tf.image.ssim(*pair, max_val=255)))
    return float(np.mean(values)) if values else float("nan")


def boundary_f1(sample: Sample) -> list[float]:
    """All distances between all pixels of both edges."""

    def edge(labels: np.ndarray, code: int) -> np.ndarray:
        inside = sample.classes.where(labels, code)
        outside = {tuple(place) for place in np.argwhere(~inside & sample.valid)}
        places = [
            (row, column)
            for row, column in np.argwhere(inside & sample.valid)
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1))
            if (row + down, column + right) in outside
        ]
        return np.unique(np.array(places, float).reshape(-1, 2), axis=0)

    values = []
    for code in sample.classes.codes:
        found, true = edge(sample.predicted, code), edge(sample.truth, code)
        if not len(found) and not len(true):
            values.append(np.nan)
            continue
        near = np.linalg.norm(found[:, None] - true[None], axis=-1) <= TOLERANCE
        precision = near.any(axis=1).mean() if len(found) and len(true) else 0.0
        recall = near.any(axis=0).mean() if len(found) and len(true) else 0.0
        both = precision + recall
        values.append(2 * precision * recall / both if both else 0.0)
    return values


DEFINITIONS: dict[str, Callable[[Sample], Any]] = {
    "accuracy": accuracy,
    "precision": of_classes("precision_score"),
    "recall": of_classes("recall_score"),
    "f1": of_classes("f1_score"),
    "iou": iou,
    "frequency_weighted_iou": frequency_weighted_iou,
    "matthews": matthews,
    "kullback_leibler": kullback_leibler,
    "calibration_error": calibration_error,
    "ssim": ssim,
    "boundary_f1": boundary_f1,
}


def values_of(*samples: Sample) -> dict[str, Any]:
    tally = Tally(samples[0].classes, EVERYTHING)
    for sample in samples:
        tally.add(sample)
    return tally.together()


def test_every_metric_has_a_module_and_a_definition_here() -> None:
    assert set(DEFINITIONS) == set(get_args(MetricName))
    for name in get_args(MetricName):
        assert importlib.import_module(f"training.metrics.{name}").METRIC.name == name
    assert measured() == confusion_metrics()
    assert [metric.name for metric in measured(("ssim",))][-1] == "ssim"


@of_each_kind
@every_metric
def test_the_value_is_that_of_the_definition(metric: Metric, classes: ClassScheme) -> None:
    for seed in range(3):
        # A sample without nodata rows has whole windows for the structural similarity.
        sample = a_sample(seed, classes, nodata_rows=2 * (seed % 2))
        expected = DEFINITIONS[metric.name](sample)
        np.testing.assert_allclose(values_of(sample)[metric.name], expected, rtol=2e-5, atol=1e-7)


@of_each_kind
@every_metric
def test_a_perfect_map_has_the_best_value_and_nothing_none(
    metric: Metric, classes: ClassScheme
) -> None:
    sample = a_sample(0, classes, nodata_rows=0)
    perfect = Sample(sample.truth, sample.truth, classes, sample.targets)
    best = 0.0 if metric.less_is_better else 1.0
    found = np.asarray(values_of(perfect)[metric.name])
    np.testing.assert_allclose(found[~np.isnan(found)], best, atol=1e-6)
    nothing = np.full((SIZE, SIZE), NODATA, np.uint8)
    empty = values_of(Sample(nothing, sample.predicted, classes, sample.probabilities))
    assert np.isnan(empty[metric.name]).all()
    assert np.isnan(empty[metric.overall])


@of_each_kind
@every_metric
def test_nodata_with_any_content_changes_nothing(metric: Metric, classes: ClassScheme) -> None:
    sample = a_sample(1, classes)
    out = ~sample.valid
    assert sample.probabilities is not None
    expected = values_of(sample)[metric.name]
    for number in range(classes.n_labels):
        predicted, probabilities = sample.predicted.copy(), sample.probabilities.copy()
        predicted[sample.truth == NODATA] = number
        probabilities[out] = (np.nan, 0, 1)[number % 3]
        other = Sample(sample.truth, predicted, classes, probabilities)
        np.testing.assert_array_equal(values_of(other)[metric.name], expected)


@of_each_kind
def test_any_number_of_ranks_has_the_scores_of_one(classes: ClassScheme) -> None:
    samples = [a_sample(seed, classes, nodata_rows=seed % 15) for seed in range(6)]
    samples.append(a_sample(6, classes, nodata_rows=SIZE))  # One without a label.
    alone = Tally(classes, EVERYTHING)
    own = [alone.add(sample) for sample in samples[:6]]
    assert alone.images == 6
    # Both definitions: of all pixels as one image, and the mean over images that have the score.
    for metric in all_metrics():
        mean = np.nanmean([value[metric.name] for value in own], axis=0)
        np.testing.assert_allclose(alone.per_image()[metric.name], mean, rtol=1e-12)
        np.testing.assert_allclose(
            alone.per_image()[metric.overall],
            np.nanmean([value[metric.overall] for value in own]),
            rtol=1e-12,
        )

    for ranks in (2, 3, 9):  # Of nine, some have nothing.

        def task(rank: ThreadRank, ranks: int = ranks) -> Tally:
            tally = Tally(classes, EVERYTHING)
            for sample in samples[rank.rank :: ranks]:
                tally.add(sample)
            tally.take(rank.sum(tally.numbers()))
            return tally

        for found in on_ranks(ranks, task):
            assert isinstance(found, Tally), found
            np.testing.assert_array_equal(found.confusion, alone.confusion)
            assert found.images == alone.images
            for mine, others in (
                (found.together(), alone.together()),
                (found.per_image(), alone.per_image()),
            ):
                for name, value in others.items():
                    np.testing.assert_allclose(mine[name], value, rtol=1e-12, err_msg=name)


def test_scores_of_all_pixels_are_those_of_one_large_image() -> None:
    samples = [a_sample(seed) for seed in range(3)]
    parts = [[getattr(s, name) for s in samples] for name in ("truth", "predicted")]
    whole = Sample(*(np.concatenate(part) for part in parts), SEA_ICE)
    for metric in confusion_metrics():
        expected = values_of(*samples)[metric.name]
        found = metric.value(Tally(SEA_ICE)._sums_of(whole)[metric])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_soft_labels_have_a_divergence_of_their_own() -> None:
    sample = a_sample(0)
    assert sample.probabilities is not None
    shares = np.random.default_rng(5).dirichlet((1, 1, 1), sample.truth.shape)
    own = Sample(sample.truth, sample.predicted, SEA_ICE, shares, shares)
    assert values_of(own)["kullback_leibler"] == pytest.approx(0, abs=1e-9)
    other = Sample(sample.truth, sample.predicted, SEA_ICE, sample.probabilities, shares)
    t, p = shares[sample.valid], sample.probabilities[sample.valid]
    expected = np.mean(np.sum(t * np.log(t / p), axis=-1))
    assert values_of(other)["kullback_leibler"] == pytest.approx(expected)
