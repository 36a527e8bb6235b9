"""From the scores of scenes and tiles to `Results`: groups, intervals, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluate.bootstrap import FEW, Draws, by_unit, interval, verdict
from inference.evaluate.results import (
    ALL,
    Bin,
    Comparison,
    Group,
    Interval,
    Measure,
    MethodScore,
    Missed,
    Results,
    SceneRow,
    Settings,
)
from inference.evaluate.scores import Evaluation, SceneScore, TileScore
from polynya import __version__
from training.metrics.calibration_error import BINS
from training.metrics.registry import all_metrics
from training.metrics.tally import Tally

RIGHT = "right"
COMPARED = (RIGHT, "mean_f1", "mean_iou", "ssim", "calibration_error")
"""Scores of which methods are compared, if they are measured."""

MORE, LESS = "more", "less"

Numbers = NDArray[np.float64]


def results_of(evaluation: Evaluation, settings: Settings, samples: str) -> Results:
    """Sum up an evaluation. Pictures are added later (`Results.model_copy`).

    Args:
        evaluation: Scores of scenes and their tiles.
        settings: How groups and intervals are made.
        samples: "scenes" or "tiles": what means over samples are taken of.
    """
    scenes, tallies = evaluation.scenes, evaluation.scenes[0].tallies
    names = {metric.name for tally in tallies.values() for metric in tally.metrics}
    measures = [
        Measure(
            name=metric.name, title=metric.title, unit=metric.unit, per_class=metric.per_class,
            less_is_better=metric.less_is_better,
        )
        for metric in all_metrics() if metric.name in names
    ]  # fmt: skip
    parts = [_all(scenes), *_by_cover(scenes, settings)]
    made = [_group(part, tallies, settings) for part in parts if part.rows]
    return Results(
        polynya=__version__,
        samples=samples,  # type: ignore[arg-type]  # Pydantic checks it.
        classes=evaluation.classes,
        settings=settings,
        metrics=measures,
        methods=list(evaluation.about),
        groups=[group for group, _ in made],
        comparisons=[one for _, compared in made for one in compared],
        scenes=[_scene_row(scene, evaluation) for scene in scenes],
        missed=[Missed(scene=name, reason=reason) for name, reason in evaluation.missed.items()],
        notes=_notes(evaluation, settings),
        figures=[],
    )


def tally_of(numbers: Numbers, like: Tally) -> Tally:
    """Make a tally of added numbers.

    Args:
        numbers: `Tally.numbers`, or a sum of them.
        like: A tally of the same scheme and metrics.
    """
    tally = Tally(like.classes, like.options)
    tally.take(numbers)
    return tally


@dataclass(frozen=True)
class _Row:
    """One scene or tile of a group."""

    scene: str
    site: str
    pixels: int
    numbers: dict[str, Numbers]


@dataclass(frozen=True)
class _Part:
    """A group before it is summed up."""

    name: str
    title: str
    rows: list[_Row]
    tiles: int


def _all(scenes: Sequence[SceneScore]) -> _Part:
    rows = [
        _Row(
            scene.scene_id,
            scene.site,
            scene.pixels,
            {name: t.numbers() for name, t in scene.tallies.items()},
        )
        for scene in scenes
    ]
    return _Part(ALL, "all tiles", rows, sum(len(scene.tiles) for scene in scenes))


def _by_cover(scenes: Sequence[SceneScore], settings: Settings) -> list[_Part]:
    """Divide the tiles by cover; none if nothing is known of it."""
    limit = settings.cover_limit
    known = [(s, t, t.cover) for s in scenes for t in s.tiles if t.cover is not None and t.pixels]

    def part(name: str, word: str, chosen: Sequence[tuple[SceneScore, TileScore]]) -> _Part:
        rows = [
            _Row(scene.scene_id, tile.site, tile.pixels, tile.numbers) for scene, tile in chosen
        ]
        estimated = " (estimated)" if settings.cover == "estimated" else ""
        title = f"{word} than {100 * limit:g} % cloud and shadow{estimated}"
        return _Part(name, title, rows, len(rows))

    return [
        part(MORE, "more", [(s, t) for s, t, cover in known if cover > limit]),
        part(LESS, "not more", [(s, t) for s, t, cover in known if cover <= limit]),
    ]


def _group(
    part: _Part, tallies: dict[str, Tally], settings: Settings
) -> tuple[Group, list[Comparison]]:
    units = [getattr(row, settings.resampled) for row in part.rows]
    number = len(set(units))
    draws = None
    if settings.resamples and number > 1:
        draws = Draws.make(number, settings.resamples, settings.seed)
    scores, samples = [], {}
    for method, tally in tallies.items():
        own = tally_of(np.zeros_like(tally.numbers()), tally)
        sums = np.array([[row.pixels, *row.numbers[method]] for row in part.rows])
        found = _flat(own, sums.sum(axis=0))
        if draws is not None:
            values = draws.values(by_unit(units, sums), partial(_values, own))
            samples[method] = dict(zip(found[0], values.T, strict=True))
        # `_flat` has put the last sample into the tally.
        own.take(sums.sum(axis=0)[1:])
        scores.append(_method_score(method, own, int(sums[:, 0].sum()), samples.get(method)))
    group = Group(
        name=part.name,
        title=part.title,
        tiles=part.tiles,
        scenes=len({row.scene for row in part.rows}),
        pixels=sum(row.pixels for row in part.rows),
        scores=scores,
    )
    return group, _comparisons(part.name, scores, samples, number)


def _flat(tally: Tally, row: Numbers) -> tuple[list[tuple[str, int]], Numbers]:
    """Keys and values of all scores of one sample.

    Args:
        tally: Any; it takes the numbers.
        row: Number of pixels, and numbers of the tally.

    Returns:
        Name and class (-1 for all) of each score; float64 (S,).
    """
    tally.take(row[1:])
    keys, values = [(RIGHT, -1)], [_right(tally, row[0])]
    for name, value in tally.together().items():
        for number, one in enumerate(np.atleast_1d(value)):
            keys.append((name, number if np.ndim(value) else -1))
            values.append(float(one))
    return keys, np.array(values)


def _values(tally: Tally, row: Numbers) -> Numbers:
    return _flat(tally, row)[1]


def _right(tally: Tally, pixels: float) -> float:
    """Share of pixels that are right; NaN for none."""
    masks = tally.classes.n_classes if tally.classes.has_masks else 1
    right = float(np.trace(tally.confusion, axis1=-2, axis2=-1).sum())
    return right / (pixels * masks) if pixels else float("nan")


def _method_score(
    method: str, tally: Tally, pixels: int, samples: dict[tuple[str, int], Numbers] | None
) -> MethodScore:
    confusion = tally.confusion
    counted = int((confusion[0] if tally.classes.has_masks else confusion).sum())
    intervals: dict[str, Any] = {}
    for (name, number), values in (samples or {}).items():
        ends: Interval = interval(values)
        if number < 0:
            intervals[name] = ends
        else:
            intervals.setdefault(name, []).append(ends)
    return MethodScore(
        method=method,
        right=_right(tally, pixels),
        unlabelled=pixels - counted,
        confusion=confusion.tolist(),
        values=_plain(tally.together()),
        per_sample=_plain(tally.per_image()),
        intervals=intervals,
        calibration=_calibration(tally),
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else float(v) for k, v in values.items()}


def _calibration(tally: Tally) -> list[Bin] | None:
    sums = tally.sums_of("calibration_error")
    if sums is None:
        return None
    with np.errstate(invalid="ignore"):
        shares = sums[:, 1:] / sums[:, :1]
    return [
        Bin(
            low=number / BINS, high=(number + 1) / BINS, pixels=int(pixels),
            confidence=float(confidence), right=float(right),
        )
        for number, (pixels, (confidence, right)) in enumerate(zip(sums[:, 0], shares, strict=True))
    ]  # fmt: skip


def _comparisons(
    group: str,
    scores: Sequence[MethodScore],
    samples: dict[str, dict[tuple[str, int], Numbers]],
    units: int,
) -> list[Comparison]:
    found = []
    less_is_better = {metric.name for metric in all_metrics() if metric.less_is_better}
    for first, second in combinations(scores, 2):
        for score in COMPARED:
            one, other = _value(first, score), _value(second, score)
            if one is None or other is None:
                continue
            ends = (np.nan, np.nan)
            if samples:
                key = (score, -1)
                ends = interval(samples[first.method][key] - samples[second.method][key])
            less = score in less_is_better
            found.append(
                Comparison(
                    group=group,
                    score=score,
                    first=first.method,
                    second=second.method,
                    difference=one - other,
                    interval=ends,
                    verdict=verdict(ends, units, less),
                )
            )
    return found


def _value(score: MethodScore, name: str) -> float | None:
    value = score.right if name == RIGHT else score.values.get(name)
    assert not isinstance(value, list)
    return value


def _scene_row(scene: SceneScore, evaluation: Evaluation) -> SceneRow:
    return SceneRow(
        scene=scene.scene_id,
        site=scene.site,
        sky=scene.sky,
        pixels=scene.pixels,
        cover=scene.cover,
        trained=[m for m, own in evaluation.trained_by.items() if scene.scene_id in own],
        right={method: scene.accuracy(method) for method in evaluation.methods},
    )


def _notes(evaluation: Evaluation, settings: Settings) -> list[str]:
    notes = []
    units = {s.site if settings.resampled == "site" else s.scene_id for s in evaluation.scenes}
    if settings.resamples and len(units) < 2:
        notes.append(f"There is one {settings.resampled}, so nothing is known of the noise.")
    elif settings.resamples and len(units) < FEW:
        notes.append(
            f"There are {len(units)} {settings.resampled}s; of fewer than {FEW}, intervals by"
            " bootstrap are too narrow."
        )
    sites = {scene.site for scene in evaluation.scenes}
    if settings.resampled == "scene" and len(sites) < len(units):
        notes.append(
            f"{len(units)} scenes show {len(sites)} sites; scenes of one site are alike, so"
            " intervals by scene are too narrow. Take --resample site."
        )
    for method, trained in evaluation.trained_by.items():
        own = sorted(trained & {scene.scene_id for scene in evaluation.scenes})
        if own:
            notes.append(
                f"{method} was trained on {len(own)} of {len(evaluation.scenes)} scenes, so scores"
                f" on these say little about others: {', '.join(own)}."
            )
    return notes
