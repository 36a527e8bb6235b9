"""The search for the decision with the best score: one key after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.prepare import Placement, fit_nearest
from inference.predict.decision import Connectivity, Decision, said, tidy_labels
from inference.predict.predict import predict_scene
from inference.predict.resize import Size, bilinear
from inference.predict.windows import Band, Codes, Probabilities
from inference.tune.known import Known
from inference.tune.masks import LEAST, MaskImage, best_threshold_and_least
from inference.tune.metric_size import decision_in_scene_pixels, in_scene_pixels, pixels_below
from inference.tune.thresholds import Score, best_threshold
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.report.tables import Table
from training.ballots import HALF

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

_LEAST_GAIN = 1e-4
"""Least gain of a change that is kept. Differences between scenes are larger than this."""
_TTA = ("flips", "dihedral")
_SMOOTH = (0.5, 1.0, 2.0)
_FACTORS = (0.5, 0.7, 0.8, 0.9, 1.1, 1.25, 1.4, 2.0)
_RADII = (1, 2, 3)
_PIXELS = (4, 9, 16, 32, 64, 128)
_SAMPLED_PIXELS = 4_000_000
"""Number of evenly spaced pixels on which weights of classes are tried."""


@dataclass(frozen=True)
class Trial:
    """The best value of one key, and the scores without and with it."""

    key: str
    value: str
    before: float
    after: float

    @property
    def kept(self) -> bool:
        return self.after >= self.before + _LEAST_GAIN


def default_score(classes: ClassScheme) -> Score:
    """Find the score to maximise by default."""
    return "mean_f1" if classes.has_masks else "mean_iou"


def find_decision(
    model: TrainedModel,
    known: Sequence[Known],
    score: Score | None = None,
    connectivity: Connectivity = 4,
    size: Size | None = None,
) -> tuple[Decision, list[Trial]]:
    """Try one key after the other, together with the best values so far; keep a value if it gains.

    What the recipe says is taken as it is (`inference.predict.decision.said`).

    Args:
        model: Model from `training.model_folder.folder.load_model`; a decision in its folder isn't
            used.
        known: Scenes with truth; their probabilities are kept in memory.
        score: Score to maximise, over all pixels of all scenes, or for mean_dice the mean over
            scenes; default `default_score`.
        connectivity: Neighbours of a pixel in regions and holes.
        size: Rows and columns at which the score is taken, with probabilities by bilinear
            interpolation and truth from the nearest pixel; default: the size of each scene.

    Returns:
        The decision, and one trial for every key, in order. Thresholds have one trial per mask,
        with the score of this mask alone. For mean_dice, the last trials have the Dice of each
        class without any decision and with all of it.

    Raises:
        SceneError: There is a size, and the scenes have different sizes.
    """
    classes = model.recipe.classes
    score = score or default_score(classes)
    fixed = said(model.recipe.inference)
    start = Decision(connectivity=connectivity).model_copy(update=fixed)
    search = _Search(model, known, score, start, size)
    plain = search.dice_of_classes()
    for key, values in (("tta", _TTA), ("smooth", _SMOOTH)):
        if key not in fixed:
            search.try_values(key, list(values), predict_again=True)
    found_regions = classes.has_masks and score == "mean_dice" and "threshold" not in fixed
    if "threshold" in fixed:
        pass  # It is found for each scene.
    elif found_regions:
        search.try_thresholds_and_regions()
    elif classes.has_masks:
        search.try_thresholds()
    else:
        search.try_weights()
    for key, numbers in (
        ("closing", _RADII),
        ("opening", _RADII),
        ("least_hole", _PIXELS),
        ("least_region", LEAST[1:] if classes.has_masks else _PIXELS),
    ):
        if key != "least_region" or not found_regions:
            search.try_per_class(key, numbers, classes.n_classes)
    if score == "mean_dice":
        together = zip(classes.names, plain, search.dice_of_classes(), strict=True)
        search.trials += [Trial(f"all of it, {name}", "", *pair) for name, *pair in together]
    return decision_in_scene_pixels(search.decision, search.pixels), search.trials


@dataclass(frozen=True)
class _Seen:
    """The prediction of a model for a scene, in the size of the score."""

    probabilities: Probabilities
    """float32 (H, W, C)."""
    valid: NDArray[np.bool_]
    """bool (H, W)."""


class _Search:
    """The best decision so far, in pixels of the score's size."""

    def __init__(
        self,
        model: TrainedModel,
        known: Sequence[Known],
        score: Score,
        start: Decision,
        size: Size | None,
    ) -> None:
        self.decision = start
        self.trials: list[Trial] = []
        self.pixels = 1.0 if size is None else pixels_below(known, size)
        """Pixels of a scene below a pixel of the score's size."""
        self._model = model
        self._classes = model.recipe.classes
        self._known = known
        self._score = score
        self._size = size
        self._truths = [self._resized(one.truth) for one in known]
        self._seen = self._predict(self.decision)
        self._best = self._evaluate(self.decision, self._seen)

    def try_values(self, key: str, values: list[Any], predict_again: bool = False) -> None:
        """Try values of one key, and keep the best value if it gains."""
        self._try(key, [{key: value} for value in values], predict_again)

    def _try(
        self, name: str, choices: Sequence[Mapping[str, Any]], predict_again: bool = False
    ) -> None:
        """Try values of some keys together, and keep the best choice if it gains."""
        found: list[tuple[float, Mapping[str, Any], list[_Seen]]] = []
        for choice in choices:
            candidate = self.decision.model_copy(update=dict(choice))
            seen = self._predict(candidate) if predict_again else self._seen
            found.append((self._evaluate(candidate, seen), choice, seen))
        score, choice, seen = max(found, key=lambda result: result[0])
        text = "; ".join(self._text(key, value) for key, value in choice.items())
        trial = Trial(name, text, self._best, score)
        self.trials.append(trial)
        if trial.kept:
            self.decision = self.decision.model_copy(update=dict(choice))
            self._seen, self._best = seen, score

    def try_per_class(self, key: str, numbers: Sequence[int], n_classes: int) -> None:
        """Try numbers for one class after the other."""
        start = self._best
        current = [0] * n_classes
        for code in range(n_classes):
            for number in numbers:
                tried = [*current[:code], number, *current[code + 1 :]]
                candidate = self.decision.model_copy(update={key: tuple(tried)})
                score = self._evaluate(candidate, self._seen)
                if score >= self._best + _LEAST_GAIN:
                    self._best, current = score, tried
        self.trials.append(Trial(key, self._text(key, tuple(current)), start, self._best))
        if any(current):
            self.decision = self.decision.model_copy(update={key: tuple(current)})

    def try_weights(self) -> None:
        """Try factors on one class after the other, in two rounds, on a sample of the pixels."""
        truths, flat = self._sample()

        def score_with(weights: NDArray[np.float64]) -> float:
            return self._score_of([(f * weights).argmax(axis=1) for f in flat], truths)

        weights = np.ones(self._classes.n_classes)
        best = start = score_with(weights)
        for code in [*range(len(weights)), *range(len(weights))]:
            for factor in _FACTORS:
                tried = weights.copy()
                tried[code] *= factor
                score = score_with(tried)
                if score >= best + _LEAST_GAIN:
                    best, weights = score, tried
        if best > start:
            value = tuple(float(f"{weight:.4g}") for weight in weights / weights.max())
            self.try_values("weights", [value])
        else:
            self.trials.append(Trial("weights", "", self._best, self._best))

    def try_thresholds(self) -> None:
        """Find the threshold of each mask separately, on a sample of the pixels."""
        assert self._score != "mean_dice"  # It is no score of pixels alone.
        truths, flats = self._sample()
        truth, flat = np.concatenate(truths), np.concatenate(flats)
        thresholds = []
        for code, name in enumerate(self._classes.names):
            found = best_threshold(flat[:, code], self._classes.where(truth, code), self._score)
            trial = Trial(f"threshold of {name}", f"{found.best:g}", found.before, found.after)
            self.trials.append(trial)
            thresholds.append(found.best if trial.kept else HALF)
        if any(threshold != HALF for threshold in thresholds):
            self.try_values("thresholds", [tuple(thresholds)])

    def try_thresholds_and_regions(self) -> None:
        """Find threshold and least region of each mask, together; by Dice of each image."""
        thresholds, least = [], []
        for code, name in enumerate(track(self._classes.names, "Searching masks")):
            images = self._images_of(code)
            trial, values = Trial(f"threshold and region of {name}", "", np.nan, np.nan), (HALF, 0)
            if any(image.truth.any() for image in images):
                found = best_threshold_and_least(images, self.decision.connectivity)
                region = self._text("least_region", (found.least,))
                trial = Trial(
                    trial.key, f"{found.threshold:g}; {region}", found.before, found.after
                )
                values = (found.threshold, found.least) if trial.kept else values
            self.trials.append(trial)
            thresholds.append(values[0])
            least.append(values[1])
        choice = {"thresholds": tuple(thresholds), "least_region": tuple(least)}
        self._try("thresholds; least_region", [choice])

    def dice_of_classes(self) -> list[float]:
        """Mean over scenes of the Dice of each class, by the best decision so far."""
        from training.metrics.confusion import image_dice

        codes = self._labels(self.decision, self._seen)
        dice = image_dice(self._confusions(codes, self._truths)).mean(axis=0)
        return [float(value) for value in dice]

    def _images_of(self, code: int) -> list[MaskImage]:
        classes = self._classes
        return [
            MaskImage(
                np.ascontiguousarray(seen.probabilities[..., code]),
                seen.valid,
                classes.where(truth, code),
                seen.valid & (truth != classes.nodata),
            )
            for seen, truth in zip(self._seen, self._truths, strict=True)
        ]

    def _sample(self) -> tuple[list[Codes], list[Probabilities]]:
        """Sample evenly spaced pixels with known truth.

        Returns:
            Truth, uint8 (N,), and probabilities, float32 (N, C), of each scene.
        """
        pairs = list(zip(self._truths, self._seen, strict=True))
        counted = [seen.valid & (truth != self._classes.nodata) for truth, seen in pairs]
        step = -(-sum(int(mask.sum()) for mask in counted) // _SAMPLED_PIXELS)
        chosen = list(zip(pairs, counted, strict=True))
        truths = [truth[mask][::step] for (truth, _), mask in chosen]
        return truths, [seen.probabilities[mask][::step] for (_, seen), mask in chosen]

    def _predict(self, decision: Decision) -> list[_Seen]:
        title = f"Predicting: tta {decision.tta}, smooth {decision.smooth:g}"
        seen = []
        for known in track(self._known, title):
            found = predict_scene(
                self._model, known.scene, decision=decision, with_probabilities=True
            )
            assert found.probabilities is not None  # `with_probabilities` was set.
            probabilities, valid = found.probabilities, found.codes != self._classes.nodata
            if self._size is not None:
                probabilities = bilinear(probabilities, valid, self._size)
                valid = self._resized(valid)
            seen.append(_Seen(probabilities, valid))
        return seen

    def _resized(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring truth or valid pixels to the size of the score: the nearest pixels."""
        if self._size is None:
            return array
        return fit_nearest(array, Placement.stretched(*self._size))

    def _evaluate(self, decision: Decision, scenes: list[_Seen]) -> float:
        return self._score_of(self._labels(decision, scenes), self._truths)

    def _labels(self, decision: Decision, scenes: list[_Seen]) -> list[Codes]:
        classes = self._classes
        return [
            tidy_labels(
                decision.labels(Band(0, seen.valid, seen.probabilities), classes), decision, classes
            )
            for seen in scenes
        ]

    def _score_of(self, codes: Sequence[NDArray[Any]], truths: Sequence[Codes]) -> float:
        from training.metrics.confusion import image_dice, scores

        confusions = self._confusions(codes, truths)
        if self._score == "mean_dice":
            return float(image_dice(confusions).mean())
        return float(scores(np.sum(confusions, axis=0))[self._score])

    def _confusions(
        self, codes: Sequence[NDArray[Any]], truths: Sequence[Codes]
    ) -> list[NDArray[np.int64]]:
        from training.metrics.confusion import confusion_of

        pairs = zip(truths, codes, strict=True)
        return [confusion_of(truth, found, self._classes) for truth, found in pairs]

    def _text(self, key: str, value: Any) -> str:
        """Write a value as it is in decision.yaml, in pixels of the scenes."""
        value = in_scene_pixels(key, value, self.pixels)
        if isinstance(value, tuple):
            return ", ".join(f"{number:g}" for number in value)
        return str(value)


def _number(score: float) -> str:
    return "" if np.isnan(score) else f"{score:.5f}"


def trials_table(trials: Sequence[Trial], score: Score) -> Table:
    """Table with one row per key: the best value, and the scores without and with it."""
    columns = ("key", "best value", f"{score} before", "with it", "kept")
    rows = tuple(
        (
            trial.key,
            trial.value,
            _number(trial.before),
            _number(trial.after),
            "yes" if trial.kept else "no",
        )
        for trial in trials
    )
    return Table("How probabilities become classes", columns, rows)
