"""Suggested limits on scenes of four seasons' light, against the best limits that there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolabel.thresholds.brightness import brightness
from autolabel.thresholds.profiles import PROFILES, ROSS_SEA_SUMMER, brightness_steps
from autolabel.tuner.suggest import Suggestion, otsu_limits, suggest
from benchmarks.common.report import percent, table_of
from benchmarks.labels.sets import Split
from data_samples import make_scene
from data_samples.seasons import SEASONS
from polynya.report.tables import Table

SUGGEST_SEEDS = {Split.DEV: 4001, Split.HELDOUT: 14001}
"""Seed of the first scene; seasons are 100 seeds apart."""

WRONG = 0.01
"""Accuracy that a suggestion may lose against the best limits; if it loses more, it is wrong."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SeasonSpec:
    """One scene; small enough to send to the worker that makes it."""

    season: str
    seed: int
    index: int
    """Number in its season; with a mixed sky it decides the kind of sky."""
    sky: str
    size: int


@dataclass(frozen=True)
class SeasonResult:
    """Accuracy of several limits on one scene, shares of its pixels with data."""

    spec: SeasonSpec
    counts: Counts
    """int64 (3, 256), pixels by true class and brightness."""
    suggestion: Suggestion
    best: float
    """By the best limits, found by trying all pairs."""
    suggested: float
    paper: float
    shipped: float
    """By the profile of the season."""
    otsu: float

    @property
    def loss(self) -> float:
        """Accuracy that the suggestion loses against the best limits."""
        return self.best - self.suggested

    @property
    def is_wrong(self) -> bool:
        return self.loss > WRONG


def list_season_scenes(split: Split, sites: int, size: int, sky: str) -> list[SeasonSpec]:
    """Return `sites` scenes of each season."""
    return [
        SeasonSpec(season, SUGGEST_SEEDS[split] + 100 * number + index, index, sky, size)
        for number, season in enumerate(SEASONS)
        for index in range(sites)
    ]


def score_season_scene(spec: SeasonSpec) -> SeasonResult:
    """Make a scene and label it by each kind of limits."""
    shape = (spec.size, spec.size)
    index = 0 if spec.sky == "clear" else spec.index
    scene = make_scene(spec.seed, index, shape, spec.sky, season=spec.season)
    value = brightness(scene.observed)
    counts = np.stack([np.bincount(value[scene.truth == code], minlength=256) for code in range(3)])
    suggestion = suggest([(scene.observed, scene.valid)])
    limits = suggestion.limits
    shipped = brightness_steps(PROFILES[spec.season]) or (0, 0)
    paper = brightness_steps(ROSS_SEA_SUMMER) or (0, 0)
    return SeasonResult(
        spec,
        counts,
        suggestion,
        best=best_limits(counts)[0],
        suggested=_right(counts, limits.water, limits.thick),
        paper=_right(counts, paper[0] - 1, paper[1]),
        shipped=_right(counts, shipped[0] - 1, shipped[1]),
        otsu=_right(counts, *otsu_limits(counts.sum(axis=0))),
    )


def best_limits(counts: Counts) -> tuple[float, int, int]:
    """Try all pairs of limits.

    Args:
        counts: int64 (3, 256), pixels by true class and brightness.

    Returns:
        Share of correct pixels, greatest V of water and least V of thick ice of the best pair.
    """
    below = np.concatenate([np.zeros((3, 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    water, thin, thick = below
    right = water[:, None] + (thin[None] - thin[:, None]) + (thick[-1] - thick)[None]
    right = np.where(np.arange(257)[:, None] <= np.arange(257)[None], right, -1)
    # Of several equally good limits, the middle ones.
    lows, highs = np.nonzero(right == right.max())
    middle = len(lows) // 2
    return float(right.max() / counts.sum()), int(lows[middle]) - 1, int(highs[middle])


def _right(counts: Counts, water: int, thick: int) -> float:
    right = counts[0, : water + 1].sum() + counts[1, water + 1 : thick].sum()
    return float((right + counts[2, thick:].sum()) / counts.sum())


def season_table(results: Sequence[SeasonResult]) -> Table:
    """Return the mean accuracy of each season and over all, by each kind of limits."""

    def mean(of: str, name: str) -> str:
        return percent(float(np.mean([getattr(r, name) for r in _of(results, of)])))

    columns = {
        "season": lambda of: of,
        "scenes": lambda of: str(len(_of(results, of))),
        "best": lambda of: mean(of, "best"),
        "suggested": lambda of: mean(of, "suggested"),
        "least": lambda of: percent(min(r.suggested for r in _of(results, of))),
        "season's profile": lambda of: mean(of, "shipped"),
        "paper's limits": lambda of: mean(of, "paper"),
        "Otsu": lambda of: mean(of, "otsu"),
    }
    title = f"Accuracy in percent, sky: {results[0].spec.sky}"
    return table_of(title, [*SEASONS, "all"], columns)


def sureness_table(groups: Sequence[Sequence[SeasonResult]]) -> Table:
    """Return how many suggestions are wrong, and how many of these say that they are unsure."""

    def count(results: Iterable[SeasonResult], wrong: bool, sure: bool) -> str:
        of = [r for r in results if r.is_wrong == wrong and r.suggestion.is_sure == sure]
        return str(len(of))

    columns = {
        "sky": lambda of: of[0].spec.sky,
        "right, sure": lambda of: count(of, False, True),
        "right, unsure": lambda of: count(of, False, False),
        "wrong, unsure": lambda of: count(of, True, False),
        "wrong, sure": lambda of: count(of, True, True),
        "sureness, mean": lambda of: percent(np.mean([r.suggestion.sureness for r in of])),
        "accuracy, mean": lambda of: percent(np.mean([r.suggested for r in of])),
    }
    return table_of("Is a suggestion unsure where it is wrong?", groups, columns)


def limits_table(results: Sequence[SeasonResult]) -> Table:
    """Return the limits that suit all scenes of a season best, and the profile that ships."""

    def best(of: str) -> str:
        share, water, thick = best_limits(np.sum([r.counts for r in _of(results, of)], axis=0))
        return f"{water} / {thick} ({percent(share)} %)"

    def shipped(of: str) -> str:
        steps = brightness_steps(PROFILES[of]) or (0, 0)
        return f"{steps[0] - 1} / {steps[1]}"

    columns = {
        "season": lambda of: of,
        "best of all scenes": best,
        "profile": shipped,
        "suggested": lambda of: ", ".join(
            f"{r.suggestion.limits.water} / {r.suggestion.limits.thick}" for r in _of(results, of)
        ),
    }
    return table_of("Greatest V of water / least V of thick ice", list(SEASONS), columns)


def _of(results: Sequence[SeasonResult], season: str) -> list[SeasonResult]:
    return [r for r in results if season in (r.spec.season, "all")]
