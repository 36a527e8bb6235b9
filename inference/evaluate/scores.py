"""Accuracy of labels and maps: confusion matrices with the truth, by method and sky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluate.results import Method
from inference.evaluate.sources import Found
from polynya.errors import TruthError
from polynya.grid import Tile, tile_grid
from polynya.recipe.classes import ClassScheme
from polynya.recipe.metrics import MetricsOptions
from polynya.report.pictures import confusion_grid
from polynya.report.tables import Table
from polynya.scenes.truth import SKIES
from training.metrics.base import Numbers, Sample
from training.metrics.confusion import image_dice, scores
from training.metrics.registry import find_metric
from training.metrics.tally import Tally

Codes = NDArray[np.uint8]
Confusion = NDArray[np.int64]

OVERALL = "overall"


@dataclass(frozen=True)
class TileScore:
    """Metrics of one tile."""

    row: int
    col: int
    site: str
    pixels: int
    """Number of valid pixels, as of `SceneScore`."""
    cover: float | None
    """Share of them under cloud or shadow; None if unknown."""
    numbers: dict[str, Numbers]
    """By method, `Tally.numbers` of the tile alone: a few hundred bytes in place of a tally."""


@dataclass(frozen=True)
class SceneScore:
    """Metrics of one scene."""

    scene_id: str
    sky: str
    pixels: int
    """Number of valid pixels: pixels with data and a known truth."""
    tallies: dict[str, Tally]
    """All metrics of the scene by method."""
    site: str = ""
    cover: float | None = None
    """Share of the valid pixels under cloud or shadow; None if unknown."""
    tiles: list[TileScore] = field(default_factory=list)
    """The tiles of the scene with a valid pixel."""

    @property
    def confusions(self) -> dict[str, Confusion]:
        """Confusion matrix by method: int64 (C, C), rows the truth, columns the prediction.

        For masks (C, 2, 2), see `training.metrics.confusion.confusion_of`.
        """
        return {method: tally.confusion for method, tally in self.tallies.items()}

    def accuracy(self, method: str) -> float:
        """Share of valid pixels that are correct; a pixel without a class is not correct.

        For masks, it is the mean of the shares of all masks.
        """
        return _share_right(self.confusions[method], self.pixels)


@dataclass(frozen=True)
class Evaluation:
    """Scores of several scenes by the same methods."""

    classes: ClassScheme
    methods: tuple[str, ...]
    """Methods in the order of the tables' rows; the last method gets detailed tables."""
    scenes: list[SceneScore] = field(default_factory=list)
    missed: dict[str, str] = field(default_factory=dict)
    """Reasons why other scenes have no score, by scene."""
    trained_by: dict[str, set[str]] = field(default_factory=dict)
    """By method, the scenes that its model was trained on."""
    about: tuple[Method, ...] = ()
    """What the methods are, in their order."""

    @property
    def trained(self) -> set[str]:
        """Scenes that a model was trained on."""
        return set().union(*self.trained_by.values())

    @property
    def skies(self) -> list[str]:
        """Kinds of sky that occur, in a fixed order."""
        present = {scene.sky for scene in self.scenes}
        return [sky for sky in (*SKIES, "other") if sky in present]

    def confusion(self, method: str, sky: str = OVERALL) -> Confusion:
        """Sum `SceneScore.confusions` over scenes with one kind of sky, or over all scenes."""
        return np.sum([scene.confusions[method] for scene in self._of(sky)], axis=0)

    def tally(self, method: str) -> Tally:
        """Add up the tallies of all scenes."""
        return Tally.sum([scene.tallies[method] for scene in self.scenes])

    def accuracy(self, method: str, sky: str = OVERALL) -> float:
        """Share of all valid pixels that are correct; for masks, the mean over the masks."""
        pixels = sum(scene.pixels for scene in self._of(sky))
        return _share_right(self.confusion(method, sky), pixels)

    def _of(self, sky: str) -> list[SceneScore]:
        return [scene for scene in self.scenes if sky in (OVERALL, scene.sky)]


def _share_right(confusion: Confusion, pixels: int) -> float:
    """Share of pixels on the diagonal, NaN of none; for masks, of pairs of a pixel and a mask."""
    masks = len(confusion) if confusion.ndim == 3 else 1
    right = float(np.trace(confusion, axis1=-2, axis2=-1).sum())
    return right / (pixels * masks) if pixels else float("nan")


def score_scene(
    scene_id: str,
    sky: str,
    truth: Codes,
    valid: NDArray[np.bool_],
    results: Mapping[str, Found],
    classes: ClassScheme,
    metrics: MetricsOptions | None = None,
    *,
    site: str = "",
    cover: NDArray[np.bool_] | None = None,
    tile_size: int | None = None,
) -> SceneScore:
    """Compare results with the truth of a scene, where the scene has data and the truth is known.

    Args:
        scene_id: Name of the scene.
        sky: Kind of sky.
        truth: uint8 (H, W), labels of the `ClassScheme`, nodata where unknown.
        valid: bool (H, W), True where the scene has data.
        results: Labels, and perhaps probabilities, by method.
        classes: Scheme of all labels.
        metrics: What is measured in addition to the confusion matrix. What needs probabilities is
            measured of the methods that have them.
        site: Name of the place.
        cover: bool (H, W), True under cloud or shadow; None if unknown.
        tile_size: Edge of the tiles that are scored too; None: no tiles.

    Raises:
        TruthError: There are no pixels to compare.
    """
    known = np.where(valid, truth, classes.nodata)
    here = known != classes.nodata
    pixels = int(here.sum())
    if pixels == 0:
        raise TruthError(
            f"The scene {scene_id} has no pixel with data and known truth; leave it out."
        )
    tallies = {}
    for method, found in results.items():
        tallies[method] = Tally(classes, options_of(found, metrics))
        tallies[method].add(_sample(known, found, classes))
    score = SceneScore(
        scene_id, sky, pixels, tallies, site, None if cover is None else float(cover[here].mean())
    )
    if tile_size is not None:
        scorer = TileScorer(classes, metrics)
        height, width = known.shape
        for tile in tile_grid(height, width, tile_size):
            parts = {
                method: Found(
                    found.codes[tile.slices],
                    None if found.probabilities is None else found.probabilities[tile.slices],
                )
                for method, found in results.items()
            }
            own = None if cover is None else cover[tile.slices]
            made = scorer.score(tile, site, known[tile.slices], parts, own)
            score.tiles.extend([made] if made.pixels else [])
    return score


class TileScorer:
    """Scores tiles one by one.

    Args:
        classes: Scheme of all labels.
        metrics: See `score_scene`.
    """

    def __init__(self, classes: ClassScheme, metrics: MetricsOptions | None) -> None:
        self._classes, self._metrics = classes, metrics
        self.tallies: dict[str, Tally] = {}
        """An empty tally by method."""

    def score(
        self,
        tile: Tile,
        site: str,
        known: Codes,
        results: Mapping[str, Found],
        cover: NDArray[np.bool_] | float | None,
    ) -> TileScore:
        """Score one tile.

        Args:
            tile: Its place in the scene.
            site: Name of the place.
            known: uint8 (H, W), truth, nodata where unknown.
            results: See `score_scene`.
            cover: bool (H, W), or the share; None if unknown.
        """
        here = known != self._classes.nodata
        pixels = int(here.sum())
        numbers = {}
        for method, found in results.items():
            tally = self.tallies.get(method)
            if tally is None:  # Making one costs more than a tile.
                tally = Tally(self._classes, options_of(found, self._metrics))
                self.tallies[method] = tally
            nothing = np.zeros_like(tally.numbers())
            tally.add(_sample(known, found, self._classes))
            numbers[method] = tally.numbers()
            tally.take(nothing)
        if isinstance(cover, np.ndarray):
            cover = float(cover[here].mean()) if pixels else None
        return TileScore(tile.row, tile.col, site, pixels, cover, numbers)


def options_of(found: Found, metrics: MetricsOptions | None) -> MetricsOptions:
    """Leave out the metrics that need probabilities if there are none."""
    metrics = metrics or MetricsOptions()
    if found.probabilities is not None:
        return metrics
    further = (m for m in metrics.further if not find_metric(m).needs_probabilities)
    return metrics.model_copy(update={"further": tuple(further)})


def _sample(known: Codes, found: Found, classes: ClassScheme) -> Sample:
    return Sample(known, found.codes, classes, found.probabilities)


def accuracy_table(evaluation: Evaluation) -> Table:
    """Table of shares of correct pixels: one row per method, one column per kind of sky."""
    columns = [*evaluation.skies, OVERALL]
    rows = [
        (method, *(_percent(evaluation.accuracy(method, sky)) for sky in columns))
        for method in evaluation.methods
    ]
    pixels = sum(scene.pixels for scene in evaluation.scenes)
    what = f"Pixels right{_of_masks(evaluation.classes)}, %"
    title = f"{what} ({len(evaluation.scenes)} scenes, {pixels / 1e6:.2f} million pixels)"
    return Table(title, ("method", *columns), tuple(rows))


def class_table(evaluation: Evaluation, methods: Sequence[str]) -> Table:
    """Table of precision, recall, F1, IoU and Dice of each class or mask and their means.

    Dice is the mean over scenes (`image_dice`); the other scores are of all scenes together.
    """
    measures = ("precision", "recall", "f1", "iou")
    rows = []
    for method in methods:
        numbers: dict[str, Any] = dict(scores(evaluation.confusion(method)))
        dice = image_dice([scene.confusions[method] for scene in evaluation.scenes]).mean(axis=0)
        for code, title in enumerate(evaluation.classes.titles):
            of_class = [*(numbers[m][code] for m in measures), dice[code]]
            rows.append((method, title, *map(_percent, of_class)))
        of_all = (numbers["mean_f1"], numbers["mean_iou"], dice.mean())
        means = ("", "", *map(_percent, of_all))
        rows.append((method, "mean", *means))
    kind = "mask" if evaluation.classes.has_masks else "class"
    columns = ("method", kind, "precision", "recall", "F1", "IoU", "Dice by scene")
    return Table(f"Scores by {kind}, %", columns, tuple(rows))


def confusion_table(evaluation: Evaluation, method: str) -> Table:
    """Table of numbers of pixels: one row per true class, one column per predicted class.

    Each mask has two rows, for pixels outside and inside the mask, and two columns.
    """
    matrix, truths, found = confusion_grid(evaluation.confusion(method), evaluation.classes)
    rows = [
        (title, *(f"{count:,}" for count in counts))
        for title, counts in zip(truths, matrix, strict=True)
    ]
    return Table(f"Confusion of {method}, pixels", ("truth \\ predicted", *found), tuple(rows))


def scene_table(evaluation: Evaluation) -> Table:
    """Table of shares of correct pixels by scene and method; failed scenes have a reason."""
    rows = [
        (
            scene.scene_id,
            scene.sky,
            str(scene.pixels),
            *(_percent(scene.accuracy(method)) for method in evaluation.methods),
            "yes" if scene.scene_id in evaluation.trained else "",
            "",
        )
        for scene in evaluation.scenes
    ]
    none = ("",) * len(evaluation.methods)
    rows += [(name, "", "", *none, "", reason) for name, reason in evaluation.missed.items()]
    columns = ("scene", "sky", "pixels", *evaluation.methods, "trained the model", "reason")
    title = f"Pixels right{_of_masks(evaluation.classes)} by scene, %"
    return Table(title, columns, tuple(rows))


def _of_masks(classes: ClassScheme) -> str:
    return ", mean over the masks" if classes.has_masks else ""


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{share * 100:.2f}"
