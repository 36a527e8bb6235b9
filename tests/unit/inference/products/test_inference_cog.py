"""Rasters hold what was written, or they don't get their name."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.maps.made_maps import make_scene, random_codes
from inference.products import cog
from inference.products.class_map import read_map, write_map
from inference.products.cog import RasterLayout, cog_rows, raster_rows
from inference.products.label_png import write_label
from polynya.errors import OutputError
from polynya.recipe.classes import SEA_ICE
from polynya.storage.ledger import LEDGER_FILE

NOISE = np.random.default_rng(0).integers(0, 255, (700, 1300), np.uint8)
LAYOUT = RasterLayout(700, 1300, ("noise",), "uint8", 255, None, None)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file of this process can get larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_noise(path: Path) -> None:
    with cog_rows(path, LAYOUT, {"key": "text"}) as rows:
        rows.write_all(NOISE)


def write_measures(path: Path) -> None:
    """Two bands of float32, NaN among them."""
    values = np.dstack([NOISE, NOISE[::-1]]).astype(np.float32) / 7
    values[100:300, 50:900] = np.nan
    layout = RasterLayout(700, 1300, ("a", "b"), "float32", float("nan"), None, None)
    with cog_rows(path, layout, {}) as rows:
        for row in (512, 0, 256):
            rows.write(row, values[row : row + 256])


def write_codes(path: Path) -> None:
    write_map(path, random_codes(700, 1300), make_scene(700, 1300), SEA_ICE, {})


def write_png(path: Path) -> None:
    codes, scene = random_codes(700, 1300), make_scene(700, 1300)
    write_label(path, codes, scene, SEA_ICE, {}, colored=True)


WRITERS = {
    "noise.tif": write_noise,
    "measures.tif": write_measures,
    "codes.tif": write_codes,
    "label.png": write_png,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_limit_of_file_size_gives_an_error_or_the_whole_file(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    WRITERS[name](whole / name)
    expected = (whole / name).read_bytes()
    reasons = []
    for size in (3_000, *np.linspace(5_000, 1.2 * len(expected), 12, dtype=int).tolist()):
        folder = tmp_path / str(size)
        folder.mkdir()
        reason = ""
        with at_most(size):
            try:
                WRITERS[name](folder / name)
            except OutputError as error:
                reason = str(error)
        if reason:
            assert os.listdir(folder) == [LEDGER_FILE]
            reasons.append(reason)
        else:
            assert (folder / name).read_bytes() == expected
    assert len(reasons) >= 3
    assert all("is there space left on the disk?" in r or "make room" in r for r in reasons)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", [0.15, 0.5, 0.9])
@pytest.mark.parametrize("damage", ["cut", "hole"])
def test_a_copy_that_is_damaged_never_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: float, damage: str
) -> None:
    def copy(source: Any, target: Path, **options: Any) -> None:
        original(source, target, **options)
        start = int(target.stat().st_size * place)
        if damage == "cut":
            os.truncate(target, start)
            return
        with target.open("r+b") as file:
            file.seek(start)
            file.write(bytes(400))

    original = cog.copy
    monkeypatch.setattr(cog, "copy", copy)
    with pytest.raises(OutputError, match=r"can't be written.*space left on the disk"):
        WRITERS[name](tmp_path / name)
    assert os.listdir(tmp_path) == [LEDGER_FILE]


def test_a_block_of_an_overview_that_is_missing_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(source: Any, target: Path, **options: Any) -> None:
        """GDAL leaves out blocks of nodata only, if it is told to."""
        original(source, target, **options, SPARSE_OK="YES")

    original = cog.copy
    monkeypatch.setattr(cog, "copy", copy)
    with (
        pytest.raises(OutputError, match="a block of an overview is missing"),
        cog_rows(tmp_path / "a.tif", LAYOUT, {}) as rows,
    ):
        rows.write_all(np.full_like(NOISE, 255))


def test_rows_that_nobody_wrote_are_noticed(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="doesn't have all rows"),
        cog_rows(tmp_path / "a.tif", LAYOUT, {}) as rows,
    ):
        rows.write(0, NOISE[:600])
    assert os.listdir(tmp_path) == [LEDGER_FILE]


def test_a_row_file_that_lost_something_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    with raster_rows(tmp_path / "a.tif", LAYOUT) as rows:
        rows.write_all(NOISE)
        assert sum(len(values) for _, values in rows.read(1)) == 700
        file = rows.finish()
        with file.open("r+b") as target:
            target.seek(file.stat().st_size // 2)
            target.write(bytes(3000))
        with pytest.raises(OutputError, match="differs from what was written"):
            rows.finish()


def test_a_file_that_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        (tmp_path / name).write_text("a user's own")
        with pytest.raises(OutputError, match="is not a file that Polynya wrote"):
            write(tmp_path / name)
        assert (tmp_path / name).read_text() == "a user's own"


def test_a_damaged_map_is_one_sentence(tmp_path: Path) -> None:
    write_codes(tmp_path / "a.tif")
    os.truncate(tmp_path / "a.tif", 3000)
    with pytest.raises(Exception, match="can't be read"):
        read_map(tmp_path / "a.tif")
