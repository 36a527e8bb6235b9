"""Real pictures as judges of labels: masks, skies, agreement and crops, by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.report import Report
from benchmarks.labels.real import clear, skies
from benchmarks.labels.real.judges import judge_all
from benchmarks.labels.real.labelling import (
    BRIGHT,
    DARK,
    brightness_profile,
)
from benchmarks.labels.real.pictures import (
    AQUA,
    CLEAR,
    TERRA,
    RealScene,
    clear_part,
    cropped,
    is_land,
    read_pictures,
    scaled,
)
from benchmarks.labels.real.same_day import compared_areas, kappa, opacity
from data_samples.sky import Sky
from helpers.scenes.real_pictures import LAND_COLUMNS, SHAPE, write_stand_ins


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    write_stand_ins(tmp_path / "data")
    return tmp_path / "data"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_land_is_opaque_or_not_black() -> None:
    rgba = np.array([[(75, 75, 75, 255), (0, 0, 0, 0), (42, 42, 42, 9)]], np.uint8)
    assert is_land(rgba).tolist() == is_land(rgba[..., :3]).tolist() == [[True, False, True]]


def test_clear_area_is_where_band_7_is_dark(stand_ins: Path) -> None:
    scene = read_pictures(stand_ins)[TERRA]
    assert scene.counted[:, LAND_COLUMNS:].all()
    assert not scene.counted[:, :LAND_COLUMNS].any()
    part = clear_part(scene)
    # The area grows by 3 pixels into the cloud.
    assert part.valid[:, :133].all()
    assert not part.valid[:, 133:].any()
    assert (part.counted == part.valid & scene.counted).all()
    black = scaled(part, 1)
    assert not black.rgb[:, 133:].any()
    assert (black.rgb[:, :133] == scene.rgb[:, :133]).all()
    # A small dark area is no clear ground.
    bands = np.full_like(scene.bands, 170)
    bands[10:60, 50:100, 0] = 4
    assert not clear_part(replace(scene, bands=bands)).valid.any()


def test_infrared_is_number_over_255_and_0_for_nodata(stand_ins: Path) -> None:
    scene = clear_part(read_pictures(stand_ins)[AQUA])
    layers = scene.infrared()
    assert layers is not None
    assert layers.swir is not None
    assert layers.nir is not None
    assert layers.swir[0, 0] == np.float32(4 / 255)
    assert layers.nir[0, 0] == np.float32(scene.rgb[0, 0, 2] / 255)
    assert not layers.swir[:, 113:].any()


def test_scaled_and_cropped_pictures_keep_their_parts(stand_ins: Path) -> None:
    scene = read_pictures(stand_ins)[TERRA]
    assert scene.bands is not None
    for scale in (0.5, 2.0):
        other = scaled(scene, scale)
        shape = tuple(int(scale * n) for n in SHAPE)
        assert other.rgb.shape == (*shape, 3)
        assert other.bands is not None
        assert other.bands.shape == (*shape, 3)
        assert other.counted.mean() == scene.counted.mean()
    part = cropped(scene, 10, 120, 50)
    assert part.rgb.shape == (50, 40, 3)
    assert part.bands is not None
    assert (part.bands == scene.bands[10:60, 120:]).all()


def test_a_sky_darkens_and_whitens_every_band() -> None:
    ones, one = np.ones((1, 2), bool), np.ones((1, 2), np.uint8)
    rgb, bands = np.dstack([100 * one] * 3), np.dstack([10 * one, 200 * one, 100 * one])
    scene = RealScene(TERRA, rgb, np.array([[True, False]]), ones, None, bands)
    sky = Sky("both", np.full((1, 2), 0.5, np.float32), np.full((1, 2), 0.4, np.float32),
              200.0, 0.0, 30.0, 500.0)  # fmt: skip
    seen = skies.under_sky(scene, sky, cloud_band7=0.5)
    # R g (1 - h) + W h: 100 * 0.5 * 0.6 + 200 * 0.4; the second pixel has no data.
    assert seen.rgb.tolist() == [[[110] * 3, [0] * 3]]
    assert seen.bands is not None
    assert seen.bands.tolist() == [[[43, 140, 110], [0, 0, 0]]]


def test_skies_of_a_seed_have_the_same_cloud() -> None:
    def case(kind: str) -> skies.SkyCase:
        return skies.SkyCase(CLEAR, 1.0, kind, 2)

    cloud, both, shadow = (
        skies.sky_over(SHAPE, case(kind)) for kind in ("cloud", "both", "shadow")
    )
    assert (cloud.haze == both.haze).all()
    assert (shadow.gain == both.gain).all()
    assert cloud.haze.max() > 0.05
    assert shadow.gain.min() < 0.95


def test_share_won_back_by_hand() -> None:
    def result(base: float, published: float, filtered: float) -> skies.SkyResult:
        right = {"thresholds": base, "published": published, "illumination": filtered}
        return skies.SkyResult(skies.SkyCase(CLEAR, 1.0, "both", 1), 100, right)

    results = [result(0.9, 0.8, 0.95), result(0.7, 0.8, 0.75)]
    # Thresholds lose 0.2 in the mean; the filter loses 0.15.
    assert skies.won_back(results, "illumination") == pytest.approx(0.25)
    assert skies.won_back(results, "published") == pytest.approx(0.0)
    assert [r.below_better("illumination") for r in results] == pytest.approx([-0.05, 0.05])
    assert np.isnan(skies.won_back([result(1.0, 1.0, 1.0)], "illumination"))


def test_truth_is_thresholds_of_the_clear_picture(stand_ins: Path) -> None:
    scene = read_pictures(stand_ins)[CLEAR]
    case = skies.SkyCase(CLEAR, 1.0, "clear", 1)
    result = skies.measure_case(scene, case, brightness_profile(DARK, BRIGHT))
    assert result.right["thresholds"] == 1.0
    assert result.pixels == scene.counted.sum()


def test_kappa_by_hand() -> None:
    # 20 both yes, 15 both no, 5 and 10 differ: agreed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    first = np.array([True] * 25 + [False] * 25)
    second = np.array([True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa(first, first) == 1.0
    assert kappa(first, ~first) == pytest.approx(-1.0)
    assert np.isnan(kappa(first[:0], first[:0]))
    assert np.isnan(kappa(first | True, first | True))


def test_opacity_is_linear_in_band_7(stand_ins: Path) -> None:
    bands = np.array([[(0, 9, 9), (85, 9, 9), (170, 9, 9), (255, 9, 9)]], np.uint8)
    assert opacity(bands).tolist() == [[0.0, 0.5, 1.0, 1.0]]
    pictures = read_pictures(stand_ins)
    areas = compared_areas(pictures[TERRA], pictures[AQUA])
    # Aqua has cloud from column 110 on, Terra from 130 on; both must be clear.
    clear_sea = SHAPE[0] * (110 - LAND_COLUMNS)
    assert {about: int(area.sum()) for about, area in areas.items()} == {
        "opacity below 0.5 in both": clear_sea,
        "opacity below 0.7 in both": clear_sea,
        "all sea": SHAPE[0] * (SHAPE[1] - LAND_COLUMNS),
    }


def test_share_changed_by_hand() -> None:
    def part(pixels: int, changed: int, column: int) -> clear.ClearResult:
        return clear.ClearResult(CLEAR, 2.0, 256, 0, column, pixels, {"illumination": changed})

    results = [part(100, 1, 0), part(300, 3, 256), part(100, 5, 512)]
    assert clear.changed_share(results, "illumination") == pytest.approx(9 / 500)
    worst = clear.most_changed(results, "illumination")
    assert worst is not None
    assert worst.place == "modis_clear x 2, 256 px at row 0, column 512"
    assert clear.most_changed([part(100, 0, 0)], "illumination") is None
    assert np.isnan(clear.changed_share([], "illumination"))


def test_crops_cover_the_picture_and_end_at_its_edge() -> None:
    assert list(clear.parts_of(300, 600, 256)) == [
        (0, 0), (0, 256), (0, 344), (44, 0), (44, 256), (44, 344),
    ]  # fmt: skip
    assert list(clear.parts_of(200, 600, 400)) == [(0, 0), (0, 200)]
    assert list(clear.parts_of(256, 256, 256)) == []


@pytest.mark.slow
def test_real_pictures_give_tables_and_pictures(real_data: Path, tmp_path: Path) -> None:
    report = Report(tmp_path, "python -m benchmarks.labels real")
    pictures = judge_all(real_data, report)
    assert len(pictures) == len(set(pictures)) >= 13
    assert all(path.stat().st_size < 400_000 for path in pictures)
    same_day = {row["area"]: row for row in rows_of(tmp_path / "real_same_day.csv")}
    below = same_day["opacity below 0.7 in both"]
    assert 50_000 < int(below["pixels"]) < 150_000
    assert float(below["thresholds"]) == pytest.approx(0.437, abs=0.005)
