"""`polynya tune`: finds the best way from probabilities to labels, on scenes with truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from inference.evaluate.command import open_scenes
from inference.predict.decision import HALF, Connectivity, Decision, tidy_labels, write_decision
from inference.predict.predict import open_model, predict_scene
from inference.predict.windows import Band, Codes, Probabilities
from inference.tune.thresholds import Score, best_threshold
from polynya.errors import SceneError
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.report.tables import Table
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, truth_path
from polynya.storage.locks import locked
from polynya.storage.ownership import check_free
from training.model_folder.folder import DECISION_FILE, TUNING_FILE, trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

_LEAST_GAIN = 1e-4
"""Least gain of a change that is kept. Differences between scenes are larger than this."""
_TURNS = ("flips", "dihedral")
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


@dataclass(frozen=True)
class Known:
    """A scene with its truth."""

    scene: Scene
    truth: Codes
    """uint8 (H, W), labels."""


def tune(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    scenes: Annotated[
        list[str],
        typer.Option("--scenes", metavar="PATTERN...", help="Scenes X_Y.tif beside X_truth.tif."),
    ],
    more_scenes: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN...]", hidden=True)
    ] = None,
    score: Annotated[
        Score | None,
        typer.Option(help="Score to maximise; default: mean_iou, or mean_f1 for masks."),
    ] = None,
    connectivity: Annotated[
        int,
        typer.Option(
            min=4, max=8, help="Neighbours of a pixel in a region: 4, or 8 with those at corners."
        ),
    ] = 4,
) -> None:
    """Find test-time augmentation, weights of classes or thresholds of masks, and tidying.

    The result is saved in the model's folder (decision.yaml), and every later prediction uses it.
    Give scenes that the model was not trained on; scenes of the training are left out.
    """
    if connectivity not in (4, 8):
        raise typer.BadParameter("it is 4 or 8", param_hint="--connectivity")
    opened = open_model(model)
    places = [model / DECISION_FILE, model / TUNING_FILE]
    # Lock and check the folder before and during the search, because the search takes long.
    with locked(model):
        check_free(places)
        known = known_scenes(opened, [*scenes, *(more_scenes or [])])
        decision, trials = find_decision(opened, known, score, 8 if connectivity == 8 else 4)
        table = trials_table(trials, score or default_score(opened.recipe.classes))
        table.print()
        check_free(places)
        table.write_csv(model / TUNING_FILE)
        write_decision(model, decision)
    plain = "0.5 for each mask" if opened.recipe.classes.has_masks else "the most probable class"
    kept = decision.model_dump(exclude_defaults=True) or f"{plain}, as before"
    typer.echo(f"Kept in {model}: {kept}")


def default_score(classes: ClassScheme) -> Score:
    """Find the score to maximise by default."""
    return "mean_f1" if classes.has_masks else "mean_iou"


def known_scenes(model: TrainedModel, patterns: list[str]) -> list[Known]:
    """Open scenes with their truth, without the scenes that the model was trained on.

    Raises:
        SceneError: No scene is left.
    """
    opened = open_scenes(patterns, model.recipe)
    trained = trained_on(model.folder, opened)
    scenes = [scene for scene in opened if scene.id not in trained]
    if not scenes:
        raise SceneError(
            f"The model in {model.folder} was trained on all {len(opened)} scenes, so they can't"
            " show its quality on other scenes; give other scenes, such as those under 'validation'"
            " in its split.json."
        )
    classes = model.recipe.classes
    return [Known(scene, read_truth(truth_path(scene.uri), scene, classes)) for scene in scenes]


def find_decision(
    model: TrainedModel,
    known: Sequence[Known],
    score: Score | None = None,
    connectivity: Connectivity = 4,
) -> tuple[Decision, list[Trial]]:
    """Try one key after the other, together with the best values so far; keep a value if it gains.

    Args:
        model: Model from `training.model_folder.folder.load_model`; a decision in its folder isn't
            used.
        known: Scenes with truth; their probabilities are kept in memory.
        score: Score to maximise, over all pixels of all scenes; default `default_score`.
        connectivity: Neighbours of a pixel in regions and holes.

    Returns:
        The decision, and one trial for every key, in order. Thresholds have one trial per mask,
        with the score of this mask alone.
    """
    classes = model.recipe.classes
    start = Decision(connectivity=connectivity)
    search = _Search(model, known, score or default_score(classes), start)
    for key, values in (("turns", _TURNS), ("smooth", _SMOOTH)):
        search.try_values(key, list(values), predict_again=True)
    if classes.has_masks:
        search.try_thresholds()
    else:
        search.try_weights()
    for key, numbers in (
        ("closing", _RADII),
        ("opening", _RADII),
        ("least_hole", _PIXELS),
        ("least_region", _PIXELS),
    ):
        search.try_per_class(key, numbers, classes.n_classes)
    return search.decision, search.trials


@dataclass(frozen=True)
class _Seen:
    """The prediction of a model for a scene."""

    probabilities: Probabilities
    """float32 (H, W, C)."""
    valid: NDArray[np.bool_]
    """bool (H, W)."""


class _Search:
    """The best decision so far."""

    def __init__(
        self, model: TrainedModel, known: Sequence[Known], score: Score, start: Decision
    ) -> None:
        self.decision = start
        self.trials: list[Trial] = []
        self._model = model
        self._known = known
        self._score = score
        self._seen = self._predict(self.decision)
        self._best = self._evaluate(self.decision, self._seen)

    def try_values(self, key: str, values: list[Any], predict_again: bool = False) -> None:
        """Try values of one key, and keep the best value if it gains."""
        found: list[tuple[float, Any, list[_Seen]]] = []
        for value in values:
            candidate = self.decision.model_copy(update={key: value})
            seen = self._predict(candidate) if predict_again else self._seen
            found.append((self._evaluate(candidate, seen), value, seen))
        score, value, seen = max(found, key=lambda result: result[0])
        trial = Trial(key, _text(value), self._best, score)
        self.trials.append(trial)
        if trial.kept:
            self.decision = self.decision.model_copy(update={key: value})
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
        self.trials.append(Trial(key, _text(tuple(current)), start, self._best))
        if any(current):
            self.decision = self.decision.model_copy(update={key: tuple(current)})

    def try_weights(self) -> None:
        """Try factors on one class after the other, in two rounds, on a sample of the pixels."""
        truth, flat = self._sample()
        weights = np.ones(flat.shape[1])
        best = start = self._score_of((flat * weights).argmax(axis=1), truth)
        for code in [*range(len(weights)), *range(len(weights))]:
            for factor in _FACTORS:
                tried = weights.copy()
                tried[code] *= factor
                score = self._score_of((flat * tried).argmax(axis=1), truth)
                if score >= best + _LEAST_GAIN:
                    best, weights = score, tried
        if best > start:
            value = tuple(float(f"{weight:.4g}") for weight in weights / weights.max())
            self.try_values("weights", [value])
        else:
            self.trials.append(Trial("weights", "", self._best, self._best))

    def try_thresholds(self) -> None:
        """Find the threshold of each mask separately, on a sample of the pixels."""
        classes = self._model.recipe.classes
        truth, flat = self._sample()
        thresholds = []
        for code, name in enumerate(classes.names):
            found = best_threshold(flat[:, code], classes.where(truth, code), self._score)
            trial = Trial(f"threshold of {name}", f"{found.best:g}", found.before, found.after)
            self.trials.append(trial)
            thresholds.append(found.best if trial.kept else HALF)
        if any(threshold != HALF for threshold in thresholds):
            self.try_values("thresholds", [tuple(thresholds)])

    def _sample(self) -> tuple[NDArray[np.uint8], Probabilities]:
        """Sample evenly spaced pixels with known truth: truth (N,) and probabilities (N, C)."""
        nodata = self._model.recipe.classes.nodata
        counted = [
            seen.valid & (known.truth != nodata)
            for known, seen in zip(self._known, self._seen, strict=True)
        ]
        step = -(-sum(int(mask.sum()) for mask in counted) // _SAMPLED_PIXELS)
        pairs = list(zip(self._known, self._seen, counted, strict=True))
        truth = np.concatenate([known.truth[mask][::step] for known, _, mask in pairs])
        flat = np.concatenate([seen.probabilities[mask][::step] for _, seen, mask in pairs])
        return truth, flat

    def _predict(self, decision: Decision) -> list[_Seen]:
        title = f"Predicting: turns {decision.turns}, smooth {decision.smooth:g}"
        nodata, seen = self._model.recipe.classes.nodata, []
        for known in track(self._known, title):
            found = predict_scene(
                self._model, known.scene, decision=decision, with_probabilities=True
            )
            assert found.probabilities is not None  # `with_probabilities` was set.
            seen.append(_Seen(found.probabilities, found.codes != nodata))
        return seen

    def _evaluate(self, decision: Decision, scenes: list[_Seen]) -> float:
        classes = self._model.recipe.classes
        codes = [
            tidy_labels(
                decision.labels(Band(0, seen.valid, seen.probabilities), classes),
                decision,
                classes,
            ).ravel()
            for seen in scenes
        ]
        truth = [known.truth.ravel() for known in self._known]
        return self._score_of(np.concatenate(codes), np.concatenate(truth))

    def _score_of(self, codes: NDArray[Any], truth: NDArray[np.uint8]) -> float:
        from training.metrics.confusion import confusion_of, scores

        return float(scores(confusion_of(truth, codes, self._model.recipe.classes))[self._score])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{number:g}" for number in value)
    return str(value)


def _number(score: float) -> str:
    return "" if np.isnan(score) else f"{score:.5f}"


def trials_table(trials: Sequence[Trial], score: Score) -> Table:
    """Table with one row per key: the best value, and the scores without and with it."""
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
    columns = ("key", "best value", f"{score} before", "with it", "kept")
    return Table("How probabilities become classes", columns, rows)
