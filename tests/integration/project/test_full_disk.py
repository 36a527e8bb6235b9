"""Files that can't be written to their end: never done, never torn, whole after the next run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from helpers.programs.writing_commands import COMMANDS, Inputs, make_inputs, run_command
from polynya.storage.ledger import LEDGER_FILE
from polynya.storage.ownership import is_whole


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def written(
    inputs: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    """What each command writes into an empty folder."""
    found = {}
    for name in COMMANDS:
        out = tmp_path_factory.mktemp("clean") / "out"
        COMMANDS[name].prepare(inputs, out)
        before = _contents(out)
        assert _run(name, inputs, out) == 0
        found[name] = {k: v for k, v in _contents(out).items() if k not in before}
    return found


def _contents(out: Path) -> dict[str, bytes]:
    """Content of all files but the ledgers, which list old runs too."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != LEDGER_FILE
    }


def _run(name: str, inputs: Inputs, out: Path, *more: str, largest_file: int | None = None) -> int:
    code, said = run_command(name, inputs, out, *more, largest_file=largest_file)
    assert "Traceback" not in said
    return code


def _check_whole(name: str, out: Path, written: dict[str, bytes]) -> None:
    """Every file that has its name has all of its bytes."""
    for file in written:
        if (out / file).exists():
            assert is_whole(out / file), file


def _check_next_run(name: str, inputs: Inputs, out: Path, written: dict[str, bytes]) -> None:
    more = ["--overwrite"] if name == "train" else []
    assert _run(name, inputs, out, *more) == 0
    found = _contents(out)
    assert set(found) >= set(written)
    # What has seconds, places or other runs in it differs.
    same = [file for file in written if Path(file).suffix in (".tif", ".png", ".parquet", ".gpkg")]
    assert [file for file in same if found[file] != written[file]] == []
    assert [file for file in found if Path(file).name.startswith(".")] == []


@pytest.mark.parametrize("share", [0.15, 0.6, 0.97])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_limit_of_file_size_ends_in_a_failure_and_the_next_run_is_whole(
    name: str,
    share: float,
    inputs: Inputs,
    written: dict[str, dict[str, bytes]],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    COMMANDS[name].prepare(inputs, out)
    largest = max(map(len, written[name].values()))
    assert _run(name, inputs, out, largest_file=int(share * largest)) != 0
    _check_whole(name, out, written[name])
    _check_next_run(name, inputs, out, written[name])


def _one_of_each_kind(files: Iterable[str]) -> list[str]:
    """One file of those that differ in their scene only, each of another scene than the last."""
    kinds: dict[str, list[str]] = {}
    for file in sorted(files):
        kinds.setdefault(re.sub(r"\bs\d", "s", file), []).append(file)
    return [alike[number % len(alike)] for number, alike in enumerate(kinds.values())]


# A finished model makes way on request only; the next test has one.
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("train", "ensemble")])
def test_files_that_were_cut_after_a_run_are_whole_after_the_next(
    name: str, inputs: Inputs, written: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    COMMANDS[name].prepare(inputs, out)
    assert _run(name, inputs, out) == 0
    shutil.copytree(out, tmp_path / "whole")
    for file in _one_of_each_kind(written[name]):
        size = (out / file).stat().st_size // 2
        os.truncate(out / file, size)
        code, said = run_command(name, inputs, out)
        if code != 0 and Path(file).suffix in (".csv", ".json"):
            # A shorter text that can't be compared with a whole one may be a user's work.
            assert Path(file).name in said
            assert (out / file).stat().st_size == size
            out = shutil.copytree(tmp_path / "whole", tmp_path / Path(file).name)
        else:
            _check_next_run(name, inputs, out, written[name])


def test_a_training_whose_model_was_cut_is_whole_when_it_is_overwritten(
    inputs: Inputs, written: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert _run("train", inputs, out) == 0
    os.truncate(out / "model.keras", (out / "model.keras").stat().st_size // 2)
    assert _run("train", inputs, out) == 1
    _check_next_run("train", inputs, out, written["train"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; tests that need it are skipped where it can't be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_ends_in_a_failure_and_the_next_run_is_whole(
    name: str,
    share: float,
    inputs: Inputs,
    written: dict[str, dict[str, bytes]],
    small_disk: Path,
) -> None:
    out = small_disk / "out"
    COMMANDS[name].prepare(inputs, out)
    room = int(share * sum(map(len, written[name].values())))
    state = os.statvfs(small_disk)
    fill = small_disk / "fill"
    fill.write_bytes(bytes(state.f_bavail * state.f_bsize - room))
    assert _run(name, inputs, out) != 0
    _check_whole(name, out, written[name])
    fill.unlink()
    _check_next_run(name, inputs, out, written[name])
