"""Labels if the light were known: the true light, taken out, gives the clear scene."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.labels.known_light import (
    BOTH,
    HAZE,
    SHADOW,
    KnownResult,
    known_table,
    measure_known,
    without_light,
)
from benchmarks.labels.methods import WITH_BANDS
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.sets import FIRST_SEEDS, SETS, SceneSpec, Split
from data_samples import make_scene
from data_samples.spectral import make_spectral
from polynya.errors import PolynyaError

SIZE = 192


def spec_of(name: str, sky: str) -> SceneSpec:
    return SceneSpec(name, FIRST_SEEDS[Split.DEV], sky, SIZE)


@pytest.mark.parametrize("name", ["standard", "spectral-young", "spectral-pack"])
@pytest.mark.parametrize("sky", ["shadow", "cloud", "both"])
def test_the_clear_scene_comes_back(name: str, sky: str) -> None:
    spec = spec_of(name, sky)
    scene = make_bench_scene(spec)
    if name == "standard":
        clear = make_scene(spec.seed, 0, (SIZE, SIZE), sky).clear
    else:
        structure = SETS[name].structure
        clear = make_spectral(spec.seed, (SIZE, SIZE), sky, structure=structure).clear
    assert scene.light is not None
    found = without_light(scene, scene.light, haze=True, shadow=True)
    error = np.abs(found.astype(int) - clear)[scene.valid]
    before = np.abs(scene.observed.astype(int) - clear)[scene.valid]
    # What is left is noise, also where the light changed much.
    assert error.mean() < 1.5
    assert np.percentile(error, 99) < 8
    assert error.mean() < before.mean()
    assert (found[~scene.valid] == 0).all()


@pytest.mark.parametrize("sky", ["shadow", "cloud"])
def test_what_there_is_not_changes_nothing(sky: str) -> None:
    scene = make_bench_scene(spec_of("spectral-young", sky))
    assert scene.light is not None
    missing = {"haze": sky == "shadow", "shadow": sky == "cloud"}
    assert np.array_equal(without_light(scene, scene.light, **missing), scene.observed)


def test_known_light_is_better_than_any_method() -> None:
    results = [
        measure_known(spec_of(name, sky))
        for name in ("standard", "spectral-young")
        for sky in ("shadow", "both")
    ]
    for one in results:
        others = [share for name, share in one.right.items() if name not in (HAZE, SHADOW, BOTH)]
        assert one.right[BOTH] > max(others)
    assert [WITH_BANDS in one.right for one in results] == [False, False, True, True]
    assert results[0].right[SHADOW] == results[0].right[BOTH]


def test_table_has_a_row_for_each_set_and_sky_and_the_worst_scene() -> None:
    def result(name: str, sky: str, **right: float) -> KnownResult:
        return KnownResult(spec_of(name, sky), right)

    table = known_table(
        [
            result("standard", sky, none=0.5, **{BOTH: 0.9}) if part else
            result("standard", sky, none=0.7, **{BOTH: 0.99})
            for sky in ("shadow", "cloud", "both")
            for part in (True, False)
        ]
        + [
            result("spectral-young", sky, none=0.5, **{WITH_BANDS: 0.6, BOTH: 0.9})
            for sky in ("shadow", "cloud", "both")
        ]
    )  # fmt: skip
    assert table.columns == ("set", "sky", "thresholds", WITH_BANDS, BOTH)
    assert table.rows[0] == ("standard", "shadow", "60.00 (50.0)", "", "94.50 (90.0)")
    assert table.rows[3] == (
        "spectral-young",
        "shadow",
        "50.00 (50.0)",
        "60.00 (60.0)",
        "90.00 (90.0)",
    )
    assert len(table.rows) == 6


@pytest.mark.parametrize("name", ["blobs", "overcast", "spectral-stretched"])
def test_sets_without_a_known_light_are_refused(name: str) -> None:
    with pytest.raises(PolynyaError, match=f"the light of the set {name} isn't known"):
        measure_known(spec_of(name, "both"))
