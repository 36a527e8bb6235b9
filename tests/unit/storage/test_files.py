"""Files get their name when they can be read back, and not before."""

from __future__ import annotations

import os
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image

from polynya.errors import OutputError
from polynya.storage.files import whole_file, write_bytes
from polynya.storage.ledger import LEDGER_FILE

_NOISE = np.random.default_rng(0).integers(1, 255, (3, 200, 200), np.uint8)


def _tif(path: Path) -> None:
    profile = {"driver": "GTiff", "width": 200, "height": 200, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, compress="deflate") as target:
        target.write(_NOISE)


def _png(path: Path) -> None:
    Image.fromarray(np.moveaxis(_NOISE, 0, -1)).save(path)


def _parquet(path: Path) -> None:
    pq.write_table(pa.table({"a": _NOISE.ravel()}), path)


def _gpkg(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (a BLOB)")
        database.executemany("INSERT INTO t VALUES (?)", [(_NOISE.tobytes(),)] * 3)


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights", _NOISE.tobytes())


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    with whole_file(path) as partial:
        write(partial)


_WRITERS: dict[str, Callable[[Path], None]] = {
    "x.tif": _tif,
    "x.png": _png,
    "x.parquet": _parquet,
    "x.gpkg": _gpkg,
    "x.npz": _archive,
    "x.keras": _archive,
}


@pytest.mark.parametrize("name", _WRITERS)
def test_a_whole_file_gets_its_name(tmp_path: Path, name: str) -> None:
    with whole_file(tmp_path / name) as partial:
        _WRITERS[name](partial)
    assert sorted(os.listdir(tmp_path)) == [LEDGER_FILE, name]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("name", _WRITERS)
def test_a_file_that_is_cut_when_it_is_closed_never_gets_its_name(
    tmp_path: Path, name: str, share: float
) -> None:
    def write(path: Path) -> None:
        _WRITERS[name](path)
        os.truncate(path, int(path.stat().st_size * share))

    with pytest.raises(OutputError, match=r"can't be read back .* space left"):
        _write_whole(tmp_path / name, write)
    assert os.listdir(tmp_path) == [LEDGER_FILE]


@pytest.mark.parametrize("name", ["x.tif", "x.gpkg", "x.npz", "x.png"])
def test_a_file_with_a_hole_never_gets_its_name(tmp_path: Path, name: str) -> None:
    def write(path: Path) -> None:
        _WRITERS[name](path)
        content = bytearray(path.read_bytes())
        hole = slice(len(content) // 3, len(content) // 2)
        content[hole] = bytes(len(content[hole]))
        path.write_bytes(content)

    with pytest.raises(OutputError, match="can't be read back"):
        _write_whole(tmp_path / name, write)
    assert os.listdir(tmp_path) == [LEDGER_FILE]


def test_a_file_that_the_writer_did_not_make_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), whole_file(tmp_path / "a"):
        pass


@pytest.mark.parametrize("size", [0, 1, 40_000_000])
@pytest.mark.parametrize("kind", [bytes, pa.py_buffer])
def test_bytes_are_written_as_they_are(
    tmp_path: Path, size: int, kind: Callable[[bytes], bytes]
) -> None:
    content = np.arange(size, dtype=np.uint8).tobytes()
    write_bytes(tmp_path / "a", kind(content))
    assert (tmp_path / "a").read_bytes() == content


def test_a_limit_of_file_size_is_one_sentence(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match="a can't be written: File too large"):
            write_bytes(tmp_path / "a", bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == [LEDGER_FILE]


def test_a_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written: No such file"):
        write_bytes(tmp_path / "missing/a", b"")
