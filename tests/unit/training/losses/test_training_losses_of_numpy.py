"""Every loss of the registry against a definition in NumPy, pixel by pixel, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from polynya.recipe.base import tags_of
from polynya.recipe.loss import LossOptions
from polynya.recipe.recipe import parse_recipe
from training.losses.base import Loss
from training.losses.registry import build_loss

WEIGHTS = (1.0, 0.5, 2.0)
Pixels = np.ndarray
"""float64 (N, C): targets or probabilities of valid pixels of one image."""


def options_of(spelling: Any) -> LossOptions:
    return parse_recipe({"training": {"loss": spelling}}, "test").training.loss


def loss_of(spelling: Any) -> Loss:
    return build_loss(options_of(spelling), n_classes=3, class_weights=WEIGHTS)


# === Definitions: the loss of a set of pixels, and of some of them the number of pixels ===


def crossentropy(t: Pixels, p: Pixels) -> float:
    return float(np.mean([-sum(w * a * np.log(b) for w, a, b in zip(WEIGHTS, x, y, strict=True))
                          for x, y in zip(t, p, strict=True)]))  # fmt: skip


def smooth_crossentropy(t: Pixels, p: Pixels) -> float:
    return crossentropy(0.9 * t + 0.1 / 3, p)


def binary_crossentropy(t: Pixels, p: Pixels) -> float:
    return float(np.mean(-np.array(WEIGHTS) * (t * np.log(p) + (1 - t) * np.log(1 - p))))


def focal(t: Pixels, p: Pixels) -> float:
    return float(np.mean(np.sum(-np.array(WEIGHTS) * t * (1 - p) ** 2 * np.log(p), axis=-1)))


def hinge(t: Pixels, p: Pixels) -> float:
    total = 0.0
    for x, y in zip(t, p, strict=True):
        own = int(x.argmax())
        other = max(y[c] for c in range(3) if c != own)
        total += WEIGHTS[own] * max(0.0, 1 + other - y[own])
    return total / len(t)


def binary_hinge(t: Pixels, p: Pixels) -> float:
    signs = np.where(t > 0.5, 1, -1)
    return float(np.mean(np.array(WEIGHTS) * np.maximum(0, 1 - signs * (2 * p - 1))))


def weighted_mean(of_classes: list[float], counted: list[bool]) -> float:
    pairs = [(w, v) for w, v, c in zip(WEIGHTS, of_classes, counted, strict=True) if c]
    return sum(w * v for w, v in pairs) / sum(w for w, _ in pairs)


def tversky_like(a: float, b: float, gamma: float, s: float, present: bool) -> Any:
    def loss(t: Pixels, p: Pixels) -> float:
        values = []
        for c in range(3):
            true = np.minimum(t[:, c], p[:, c]).sum()
            extra, missing = p[:, c].sum() - true, t[:, c].sum() - true
            values.append((1 - (true + s) / (true + a * extra + b * missing + s)) ** gamma)
        return weighted_mean(values, [not present or t[:, c].any() for c in range(3)])

    return loss


def lovasz(t: Pixels, p: Pixels) -> float:
    """Definition 1 of the paper: errors times the growth of the set function, worst first."""
    values = []
    for c in range(3):
        errors = np.abs(t[:, c] - p[:, c])
        wrong: set[int] = set()
        value, before = 0.0, 0.0
        truth = {i for i in range(len(t)) if t[i, c] > 0}
        for pixel in np.argsort(-errors):
            wrong.add(int(pixel))
            # 1 - Jaccard of the truth and a prediction that is wrong in these pixels.
            found = truth ^ wrong
            after = 1 - len(truth & found) / len(truth | found) if truth | found else 0.0
            value += errors[pixel] * (after - before)
            before = after
        values.append(value)
    return weighted_mean(values, [bool(t[:, c].any()) for c in range(3)])


Definition = Callable[[Pixels, Pixels], float]
DEFINITIONS: list[tuple[Any, Definition]] = [
    ("crossentropy", crossentropy),
    ({"name": "crossentropy", "label_smoothing": 0.1}, smooth_crossentropy),
    ("binary_crossentropy", binary_crossentropy),
    ("focal", focal),
    ("hinge", hinge),
    ({"name": "hinge", "binary": True}, binary_hinge),
    # Of labels 0 and 1, whose entropy is 0.
    ("kullback_leibler", crossentropy),
    ({"name": "dice", "smoothing": 0}, tversky_like(0.5, 0.5, 1, 0, False)),
    ({"name": "jaccard", "smoothing": 2}, tversky_like(1, 1, 1, 2, False)),
    ({"name": "jaccard", "per_image": True}, tversky_like(1, 1, 1, 1e-5, False)),
    ("tversky", tversky_like(0.3, 0.7, 1, 1e-5, False)),
    (
        {"name": "tversky", "alpha": 0.6, "beta": 0.4, "gamma": 1.5, "per_image": True},
        tversky_like(0.6, 0.4, 1.5, 1e-5, False),
    ),
    ("jdt", tversky_like(1, 1, 1, 1e-3, True)),
    (
        {"name": "jdt", "alpha": 0.5, "beta": 0.5, "gamma": 2, "classes": "all"},
        tversky_like(0.5, 0.5, 2, 1e-3, False),
    ),
    ("lovasz", lovasz),
    (
        {"name": "sum", "terms": [{"loss": "crossentropy"}, {"loss": "dice", "weight": 0.5}]},
        lambda t, p: crossentropy(t, p) + 0.5 * tversky_like(0.5, 0.5, 1, 5e-6, False)(t, p),
    ),
]


def name_of(spelling: Any) -> str:
    return str(spelling if isinstance(spelling, str) else list(spelling.values()))


of_every_loss = pytest.mark.parametrize(
    ("spelling", "definition"), DEFINITIONS, ids=[name_of(s) for s, _ in DEFINITIONS]
)


def a_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three images of 3 x 5 pixels: targets, probabilities, (3, 3, 5, 3), and what is valid."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (3, 3, 5))
    labels[1] = labels[1] % 2  # The last class isn't in this image.
    # Not near 0, where the slope of a logarithm changes much within a small step.
    probabilities = 0.8 * rng.dirichlet((1, 1, 1), labels.shape) + 0.2 / 3
    return np.eye(3)[labels], probabilities, rng.random((3, 3, 5, 1)) < 0.7


def value_of(loss: Loss, t: Any, p: Any, valid: Any) -> Any:
    as_tensors = (tf.cast(t, tf.float32), tf.cast(p, tf.float32), tf.constant(valid))
    return loss.value(loss.sums(*as_tensors))


def test_every_loss_has_a_definition_here() -> None:
    assert {options_of(spelling).name for spelling, _ in DEFINITIONS} == set(
        tags_of(LossOptions, "name")
    )


@of_every_loss
def test_the_value_is_that_of_the_definition(spelling: Any, definition: Definition) -> None:
    loss = loss_of(spelling)
    for seed in range(4):
        t, p, valid = a_case(seed)
        found = float(value_of(loss, t, p, valid))
        kept = valid[..., 0]
        if loss.per_image:
            parts = [definition(t[i][kept[i]], p[i][kept[i]]) for i in range(3) if kept[i].any()]
            expected = float(np.mean(parts))
        else:
            expected = definition(t[kept], p[kept])
        assert found == pytest.approx(expected, rel=2e-5), seed


@of_every_loss
def test_the_gradient_is_that_of_finite_differences(spelling: Any, definition: Definition) -> None:
    del definition
    loss = loss_of(spelling)
    t, p, valid = a_case(7)
    probabilities = tf.Variable(p, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = value_of(loss, t, probabilities, valid)
    gradient = tape.gradient(value, probabilities).numpy()
    rng = np.random.default_rng(0)
    for _ in range(4):
        direction = rng.normal(size=p.shape)
        step = 2e-4
        ahead, behind = (
            float(value_of(loss, t, p + sign * step * direction, valid)) for sign in (1, -1)
        )
        slope = (ahead - behind) / (2 * step)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=2e-2, abs=2e-3)


@of_every_loss
def test_nodata_with_any_content_changes_nothing(spelling: Any, definition: Definition) -> None:
    del definition
    loss = loss_of(spelling)
    t, p, valid = a_case(3)
    out = ~valid[..., 0]
    for content in ((0.01, 0.98, 0.01), (0, 0, 0), (1, 1, 1), (-9, 9, 1e6), (np.nan,) * 3):
        other_t, other_p = t.copy(), p.copy()
        other_t[out] = (0, 0, 1)
        other_p[out] = content
        probabilities = tf.Variable(other_p, dtype=tf.float32)
        with tf.GradientTape() as tape:
            value = value_of(loss, other_t, probabilities, valid)
        assert float(value) == pytest.approx(float(value_of(loss, t, p, valid)), rel=1e-6)
        assert not tape.gradient(value, probabilities).numpy()[out].any(), content


# === Against Keras' own losses, where it has them ===


def test_hinge_and_divergence_are_those_of_keras() -> None:
    t, p, _ = a_case(1)
    everywhere = np.ones((*t.shape[:3], 1), bool)
    for name, theirs in (
        ("hinge", keras.losses.CategoricalHinge()),
        ("kullback_leibler", keras.losses.KLDivergence()),
    ):
        own = build_loss(options_of(name), n_classes=3)
        targets = t if name == "hinge" else 0.7 * t + 0.1
        assert float(value_of(own, targets, p, everywhere)) == pytest.approx(
            float(theirs(targets.astype(np.float32), p.astype(np.float32))), rel=1e-5
        )


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_the_jdt_loss_has_its_minimum_at_soft_labels(gamma: float) -> None:
    spelling = {"name": "jdt", "gamma": gamma, "classes": "all"}
    loss = build_loss(options_of(spelling), n_classes=3)
    rng = np.random.default_rng(5)
    soft = rng.dirichlet((1, 1, 1), (1, 4, 4))
    everywhere = np.ones((1, 4, 4, 1), bool)
    assert float(value_of(loss, soft, soft, everywhere)) == pytest.approx(0, abs=1e-6)
    for _ in range(5):
        other = rng.dirichlet((1, 1, 1), (1, 4, 4))
        assert float(value_of(loss, soft, other, everywhere)) > 0.01


def test_lovasz_of_certain_answers_is_one_minus_jaccard() -> None:
    rng = np.random.default_rng(2)
    truth, found = (np.eye(3)[rng.integers(0, 3, (1, 6, 6))] for _ in range(2))
    jaccard = [
        (truth[..., c] * found[..., c]).sum() / np.maximum(truth[..., c], found[..., c]).sum()
        for c in range(3)
    ]
    loss = build_loss(options_of("lovasz"), n_classes=3)
    value = value_of(loss, truth, found, np.ones((1, 6, 6, 1), bool))
    assert float(value) == pytest.approx(1 - np.mean(jaccard), rel=1e-5)
