"""The benchmark of suggested limits: the best limits, and what its tables say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.labels.sets import Split
from benchmarks.labels.suggested import (
    best_limits,
    limits_table,
    list_season_scenes,
    score_season_scene,
    season_table,
    sureness_table,
)
from data_samples.seasons import SEASONS


def test_the_best_limits_are_the_best_of_all_pairs():
    rng = np.random.default_rng(2)
    counts = np.zeros((3, 256), np.int64)
    for code, (low, high) in enumerate(((2, 40), (25, 190), (150, 255))):
        counts[code, low:high] = rng.integers(0, 50, high - low)
    share, water, thick = best_limits(counts)
    pairs = [
        counts[0, : w + 1].sum() + counts[1, w + 1 : t].sum() + counts[2, t:].sum()
        for w in range(-1, 256)
        for t in range(w + 1, 257)
    ]
    assert share == pytest.approx(max(pairs) / counts.sum())
    right = counts[0, : water + 1].sum() + counts[1, water + 1 : thick].sum()
    assert right + counts[2, thick:].sum() == max(pairs)


def test_tables_have_every_season_and_no_seed_twice():
    dev, held = (list_season_scenes(split, 12, 128, "clear") for split in Split)
    assert len({spec.seed for spec in [*dev, *held]}) == 2 * 12 * len(SEASONS)
    results = [score_season_scene(spec) for spec in list_season_scenes(Split.DEV, 1, 128, "clear")]
    for result in results:
        assert result.best >= max(result.suggested, result.paper, result.shipped, result.otsu)
    assert [row[0] for row in season_table(results).rows] == [*SEASONS, "all"]
    counted = sureness_table([results]).rows[0][1:5]
    assert sum(map(int, counted)) == len(results)
    assert len(limits_table(results).rows) == len(SEASONS)
