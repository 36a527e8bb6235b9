"""The real scenes of the label benchmark: on small stand-ins for their files, and on themselves."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.accuracy.models import THROUGH_CLOUD, Workplace
from benchmarks.accuracy.real import map_real
from benchmarks.common.report import Report
from benchmarks.labels.__main__ import app
from benchmarks.labels.methods import WITH_BANDS
from benchmarks.labels.real.days import measure_days, sea_areas
from benchmarks.labels.real.labelling import (
    BRIGHT,
    DARK,
    WITH_CLOUD_LAYER,
    RealResult,
    brightness_profile,
)
from benchmarks.labels.real.pictures import (
    CLEAR,
    CLEAR_PICTURES,
    CLOUD,
    GREENLAND,
    UNDER_SKIES,
    is_overcast,
    read_pictures,
)
from helpers.maps.inference_models import make_recipe, save_threshold_model
from helpers.scenes.real_pictures import (
    LAND_COLUMNS,
    SHAPE,
    painted,
    write_stand_ins,
    write_tiff,
)
from polynya.errors import EXIT_CODE, PolynyaError

CLEAR_FILE = "modis_sea_ice/ne-greenland.20220913.terra.250m.truecolor.tiff"
MASK_FILE = "modis_sea_ice/ne-greenland.20220914.terra.250m.landmask.tiff"
BANDS_FILE = "modis_same_day/ne-greenland.20220914.aqua.250m.bands721.tiff"
METHODS = ["thresholds", "published", "illumination"]


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    write_stand_ins(tmp_path / "data")
    return tmp_path / "data"


def measure_real(data: Path, dark: int = DARK, bright: int = BRIGHT) -> list[RealResult]:
    """The results of the judge with two days."""
    return measure_days(read_pictures(data), brightness_profile(dark, bright))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_stand_ins_are_counted_without_land_and_nodata(stand_ins: Path) -> None:
    results = {result.scene.name: result for result in measure_real(stand_ins)}
    assert list(results) == [GREENLAND, CLEAR, CLOUD]
    assert list(results[GREENLAND].labelled) == METHODS
    assert list(results[CLOUD].labelled) == [*METHODS, WITH_CLOUD_LAYER]
    # On the ice sheet, black is water but for the corner; elsewhere alpha says where data ends.
    corner = np.zeros(SHAPE, bool)
    corner[:4, :4] = True
    assert (results[GREENLAND].scene.counted == ~corner).all()
    sea = (SHAPE[0] - 2) * (SHAPE[1] - LAND_COLUMNS)
    assert results[CLEAR].scene.counted.sum() == sea
    areas = sea_areas(results[CLEAR], results[CLOUD])
    seen = (SHAPE[0] - 2) * (100 - LAND_COLUMNS)
    assert {about: int(area.sum()) for about, area in areas.items()} == {
        "open ocean": sea,
        "not overcast on either day": seen,
    }
    image, area = results[CLEAR].scene.rgb, areas["open ocean"]
    shares = results[CLEAR].shares("thresholds", area)
    assert shares[2] == pytest.approx(np.mean(image.max(axis=2)[area] >= 205))
    assert shares.sum() == pytest.approx(1.0)
    assert np.isnan(results[CLEAR].shares("thresholds", ~area & area)).all()


@pytest.mark.slow
def test_command_writes_tables_and_pictures(stand_ins: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["real", "--data", str(stand_ins), "--out", str(out)])
    assert done.exit_code == 0, done.output
    days = (out / "real.md").read_text(encoding="utf-8")
    assert "Machine: " in days
    assert "python -m benchmarks.labels" in days
    assert WITH_CLOUD_LAYER in days
    for page in ("real_skies", "real_same_day", "real_clear"):
        assert WITH_BANDS in (out / f"{page}.md").read_text(encoding="utf-8")
    rows = rows_of(out / "real_shares.csv")
    assert len(rows) == len(METHODS) + 2 * 2 * (len(METHODS) + 1)
    for row in rows:
        shares = [float(row[name]) for name in ("open_water", "thin_ice", "thick_ice")]
        assert sum(shares) == pytest.approx(100, abs=0.01)
    # Nothing is cloudy outside the cloud: thresholds alone say the same on both days.
    same = [r for r in rows if r["area"].startswith("not") and r["method"] == "thresholds"]
    assert same[0]["thick_ice"] == same[1]["thick_ice"]
    assert {row["scene"] for row in rows_of(out / "real_found.csv")} == {GREENLAND, CLEAR, CLOUD}
    drawn = [f"labels_{name}" for name in (GREENLAND, CLEAR, CLOUD)]
    drawn += [f"skies_{name}" for name in UNDER_SKIES]
    drawn += [f"clear_{name}" for name in CLEAR_PICTURES]
    for name in (*drawn, "same_day"):
        picture = out / f"{name}.png"
        assert np.asarray(cv2.imread(str(picture))).std() > 0
        assert picture.stat().st_size < 400_000


@pytest.mark.parametrize("name", [CLEAR_FILE, MASK_FILE, BANDS_FILE])
def test_missing_file_is_named(stand_ins: Path, name: str) -> None:
    (stand_ins / name).unlink()
    with pytest.raises(PolynyaError, match=f"there is no file .*{Path(name).name}; --data"):
        measure_real(stand_ins)


def test_missing_folder_ends_the_command_with_a_sentence(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(PolynyaError, match="there is no folder .*absent for --data"):
        measure_real(absent)
    done = CliRunner().invoke(app, ["real", "--data", str(absent), "--out", str(tmp_path / "out")])
    assert done.exit_code == EXIT_CODE


def test_mask_of_another_size_is_named(stand_ins: Path) -> None:
    write_tiff(stand_ins / MASK_FILE, painted((0, 0, 0, 0))[:-1])
    with pytest.raises(PolynyaError, match=r"landmask.* 4 bands of 160 x 63 pixels.* 160 x 64"):
        measure_real(stand_ins)


@pytest.mark.parametrize(("dark", "bright"), [(204, 205), (210, 100), (-1, 205), (30, 257)])
def test_no_room_for_thin_ice_is_told(stand_ins: Path, dark: int, bright: int) -> None:
    with pytest.raises(PolynyaError, match=f"--water {dark} and --thick {bright} leave no"):
        measure_real(stand_ins, dark, bright)


def test_brightness_of_classes_can_be_given(stand_ins: Path) -> None:
    given, default = (measure_real(stand_ins, *levels)[1] for levels in ((9, 205), ()))
    sea = given.scene.counted
    assert given.shares("thresholds", sea)[0] == 0 < default.shares("thresholds", sea)[0]


def test_models_map_both_days_beside_the_filters(stand_ins: Path, tmp_path: Path) -> None:
    place = Workplace(tmp_path, quick=True)
    recipe = make_recipe(64, label={"method": "none"})
    save_threshold_model(place.model(THROUGH_CLOUD), recipe)
    report = Report(tmp_path, "python -m benchmarks.accuracy --data DIR")
    map_real(stand_ins, [THROUGH_CLOUD], place, report)
    text = (tmp_path / "real.md").read_text()
    rows = {line.split(" | ")[0]: line for line in text.splitlines()}
    # The stand-in of a model is the thresholds, so its row has their numbers.
    assert rows[f"| {THROUGH_CLOUD.name}"].split(" | ")[1:] == rows["| thresholds"].split(" | ")[1:]
    for name in (CLEAR, CLOUD):
        assert (tmp_path / f"real_{name}.png").stat().st_size > 1000


def test_overcast_is_the_top_step_alone() -> None:
    steps = [(102, 0, 119), (255, 255, 3), (170, 0, 4), (255, 0, 1), (255, 0, 5), (240, 190, 65)]
    assert is_overcast(np.array([steps], np.uint8)).tolist() == [
        [False, False, False, True, True, False]
    ]


def test_real_days_are_counted_over_the_sea(real_data: Path) -> None:
    results = measure_real(real_data)
    areas = sea_areas(results[1], results[2])
    # The land mask leaves the sea and the fjords, somewhat more than half of the scene.
    assert 0.5 < areas["open ocean"].mean() < 0.7
    sea = areas["open ocean"]
    overcast = [np.asarray(result.scene.overcast)[sea].mean() for result in results[1:]]
    assert overcast[0] < 0.05
    assert overcast[1] > 0.5
    for result in results:
        for labelled in result.labelled.values():
            assert (labelled.label[result.scene.counted] != 255).all()
