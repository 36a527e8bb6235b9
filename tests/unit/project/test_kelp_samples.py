"""Generated kelp tiles: same seed same bytes, the competition's form, a table of faults."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
import rasterio
import typer
from typer.testing import CliRunner

from data_samples.__main__ import main
from data_samples.kelp import (
    BANDS,
    FAULTS,
    IMAGES,
    KELP,
    MASKS,
    NODATA,
    SIZE,
    TABLE,
    make_place,
    make_tiles,
    plan_kelp,
    planted_pairs,
    take_picture,
    write_kelp,
)

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def test_a_plan_has_each_fault_and_its_duplicates():
    plan = plan_kelp(5, 400, 3)
    assert len({tile.tile for tile in plan}) == len(plan) == 400
    assert Counter(tile.fault for tile in plan if tile.fault) == dict.fromkeys(FAULTS, 3)
    good = [tile for tile in plan if not tile.fault]
    assert 0.33 < np.mean([tile.kind != "kelp" for tile in good]) < 0.5  # Two fifths are empty.
    water = [tile.place for tile in plan if tile.kind == "water"]
    assert len(set(water)) == len(water)  # Each is a place of its own.
    assert max(Counter(tile.place for tile in plan).values()) == 3
    assert plan == plan_kelp(5, 400, 3) != plan_kelp(6, 400, 3)
    assert planted_pairs([1, 2, 1]).tolist() == [False, True, False]


def test_pictures_of_a_place_are_shifted_and_under_cloud():
    rng = np.random.default_rng(0)
    place = make_place(rng, "kelp", 96)
    first, other = take_picture(rng, place), take_picture(rng, place, is_first=False)
    qa, elevation = first.image[..., 5], other.image[..., 6]
    assert not qa.any()
    assert abs((other.image[..., 5] == 1).mean() - 0.3) < 0.01
    shifts = [
        (row, col)
        for row in range(11)
        for col in range(11)
        if (place.elevation[row : row + 96, col : col + 96].astype(np.int16) == elevation).all()
    ]
    assert len(shifts) == 1
    assert first.mask.sum() == (first.surface == KELP).sum() > 0
    assert other.mask[other.image[..., 5] == 1].sum() == 0


def test_water_has_no_elevation_and_land_no_kelp():
    rng = np.random.default_rng(0)
    water, land = make_place(rng, "water", 64), make_place(rng, "land", 64)
    assert not water.elevation.any()
    assert (land.elevation > 0).all()
    assert not ((water.surface == KELP) | (land.surface == KELP)).any()


def test_the_files_are_those_of_the_competition(tmp_path):
    planted = write_kelp(tmp_path, 3, 24, 48, 1)
    first = {path: path.read_bytes() for path in tmp_path.rglob("[!_]*.*")}
    write_kelp(tmp_path, 3, 24, 48, 1)
    assert all(path.read_bytes() == content for path, content in first.items())
    with (tmp_path / TABLE).open() as file:
        table = {row["tile"]: row for row in csv.DictReader(file)}
    for tile, (image, mask) in zip(planted, make_tiles(planted, 3, 48), strict=True):
        assert table[tile.tile]["fault"] == tile.fault
        with rasterio.open(tmp_path / IMAGES / f"{tile.tile}_satellite.tif") as source:
            assert source.dtypes == ("int16",) * len(BANDS)
            np.testing.assert_array_equal(np.moveaxis(source.read(), 0, -1), image)
        if not tile.fault:
            with rasterio.open(tmp_path / MASKS / f"{tile.tile}_kelp.tif") as source:
                np.testing.assert_array_equal(source.read(1), mask)
        if tile.fault == "no image":
            assert (image[..., :5] == NODATA).all()
    places = {tile.place: tile.tile for tile in planted if tile.fault != "copy"}
    (copy,) = [tile for tile in planted if tile.fault == "copy"]
    contents = [
        (tmp_path / IMAGES / f"{name}_satellite.tif").read_bytes()
        for name in (copy.tile, places[copy.place])
    ]
    assert contents[0] == contents[1]


def test_the_command_makes_tiles_of_the_competitions_size(tmp_path):
    app = typer.Typer()
    app.command()(main)
    words = ["--kelp", "--out", str(tmp_path / "tiles"), "--count", "2"]
    assert CliRunner().invoke(app, words).exit_code == 0
    path = next((tmp_path / "tiles" / IMAGES).glob("*.tif"))
    with rasterio.open(path) as source:
        assert source.shape == (SIZE, SIZE) == (350, 350)
    both = CliRunner().invoke(app, [*words, "--clouds"])
    assert both.exit_code != 0
    assert "give one of them" in both.output
