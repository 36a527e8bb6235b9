"""What every check of tiles can do: any size, any bands, nothing at all, damaged tiles."""

from __future__ import annotations

import numpy as np
import pytest

from polynya.recipe.classes import SEA_ICE, ClassScheme, LabelClass
from polynya.shards.scan import TilePixels, TilePlace
from training.inspection.checks.base import Check, Facts
from training.inspection.checks.registry import CHECKS, find_checks

MASK = ClassScheme(
    name="one",
    kind="masks",
    classes=(LabelClass(code=0, name="kelp", title="Kelp", color=(0, 200, 0)),),
)
BANDS = [("red", "green", "blue"), ("nir",), ("elevation", "clouds"), ("green", "nir", "dem")]


def _tile(shape: tuple[int, int], bands: int, content: str, rng: np.random.Generator) -> TilePixels:
    values = rng.normal(1000, 300, (bands, *shape)).astype(np.float32)
    label = rng.integers(0, 2, shape).astype(np.uint8)
    if content == "nodata":
        values[:], label[:] = np.nan, 255
    elif content == "zeros":
        values[:], label[:] = 0, 0
    elif content == "gaps":
        values[rng.random(values.shape) < 0.6] = np.nan
        label[rng.random(shape) < 0.5] = 255
    return TilePixels(values, label, np.full(bands, np.inf, np.float32))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("bands", BANDS, ids="-".join)
@pytest.mark.parametrize("classes", [SEA_ICE, MASK], ids=["classes", "mask"])
def test_a_check_takes_tiles_of_any_kind(
    check: Check, bands: tuple[str, ...], classes: ClassScheme
) -> None:
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (2, 9), (40, 40), (33, 7)]
    tiles = [
        _tile(shape, len(bands), content, rng)
        for shape in shapes
        for content in ("noise", "nodata", "zeros", "gaps")
    ]
    nothing = np.zeros((0, classes.n_classes), np.int64)
    known = Facts(classes, bands, [], [], nothing)
    before = [(tile.values.copy(), tile.label.copy()) for tile in tiles]
    measures = [check.measure(tile, known) if check.measure else None for tile in tiles]
    for tile, (values, label) in zip(tiles, before, strict=True):
        assert np.array_equal(tile.values, values, equal_nan=True)
        assert np.array_equal(tile.label, label)
    places = [TilePlace("a-000.parquet", n, "a", 0, n) for n in range(len(tiles) + 1)]
    counts = np.array([[0] * classes.n_classes] * len(places), np.int64)
    facts = Facts(classes, bands, places, [*[""] * len(tiles), "gone"], counts)
    found = check.judge(facts, [*measures, None])  # The last tile can't be read.
    assert found == check.judge(facts, [*measures, None])
    for one in found:
        assert one.tile is None or 0 <= one.tile < len(places)
        assert one.reason
        assert not one.reason.endswith(".")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_takes_a_data_set_without_tiles_and_has_words(check: Check) -> None:
    facts = Facts(SEA_ICE, BANDS[0], [], [], np.zeros((0, 3), np.int64))
    assert all(one.tile is None for one in check.judge(facts, []))
    assert find_checks([check.name, check.name]) == [check]
    assert check.meaning.endswith(".")
    assert check.remedy.endswith(".")
    assert not check.title.endswith(".")
