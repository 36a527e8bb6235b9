"""A user's files in an output folder: not one byte of them changes, whatever a command does."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.programs.writing_commands import COMMANDS, PROGRAM, Inputs, make_inputs, run_command
from polynya.storage.ledger import LEDGER_FILE


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def written(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Names of the files that each command writes into an empty folder."""
    names = {}
    for name in COMMANDS:
        out = tmp_path_factory.mktemp("clean") / "out"
        before = set(_prepare(name, inputs, out))
        assert _run(name, inputs, out) == 0
        names[name] = sorted(set(_files(out)) - before)
    return names


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _prepare(name: str, inputs: Inputs, out: Path) -> list[str]:
    COMMANDS[name].prepare(inputs, out)
    return _files(out)


def _run(name: str, inputs: Inputs, out: Path, *more: str) -> int:
    code, said = run_command(name, inputs, out, *more)
    assert "Traceback" not in said
    return code


def _lay(rng: random.Random, out: Path, names: list[str], count: int) -> dict[Path, bytes]:
    """Files of a user: some called like ours, some like anything, some deep in folders."""
    kinds = [
        lambda: rng.choice(names),
        lambda: rng.choice(names).rpartition(".")[0] + rng.choice([".txt", ".bak", "", ".aux.xml"]),
        lambda: (
            f"{rng.choice(['notes', 'thesis', 'ä', '.git', '_work', '_checkpoints'])}/"
            f"{rng.choice(['a.txt', 'b.tif', 'c.parquet', 'model.keras'])}"
        ),
        lambda: rng.choice(["recipe.yaml", "README.md", "x-12345678-000.parquet", ".hidden", "a"]),
    ]
    laid: dict[Path, bytes] = {}
    while len(laid) < count:
        path = out / rng.choice(kinds)()
        if path.name in ("", LEDGER_FILE) or any(p in laid for p in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        # An empty file of a name of ours may be what a crash has left of ours.
        laid[path] = rng.randbytes(rng.choice([1, 100, 5000]))
        path.write_bytes(laid[path])
    return laid


def _unchanged(laid: dict[Path, bytes]) -> list[Path]:
    return [
        path
        for path, content in laid.items()
        if not path.is_file() or path.is_symlink() or path.read_bytes() != content
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", COMMANDS)
def test_files_that_were_there_before_stay(
    name: str, seed: int, inputs: Inputs, written: dict[str, list[str]], tmp_path: Path
) -> None:
    rng, out = random.Random(f"{name} {seed}"), tmp_path / "out"
    out.mkdir()
    _prepare(name, inputs, out)
    laid = _lay(rng, out, written[name], count=rng.randint(1, 6))
    overwrite = ["--overwrite"] * (COMMANDS[name].overwrite and seed % 2 == 1)
    for _ in range(2):
        _run(name, inputs, out, *overwrite)
        assert _unchanged(laid) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COMMANDS)
def test_files_that_came_after_a_run_stay(
    name: str, seed: int, inputs: Inputs, written: dict[str, list[str]], tmp_path: Path
) -> None:
    rng, out = random.Random(f"{name} after {seed}"), tmp_path / "out"
    _prepare(name, inputs, out)
    assert _run(name, inputs, out) == 0
    # Names of ours among them: files that the user changed.
    laid = _lay(rng, out, written[name], count=4)
    _run(name, inputs, out)
    assert _unchanged(laid) == []
    if COMMANDS[name].overwrite:
        _run(name, inputs, out, "--overwrite")
        assert _unchanged(laid) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_files_stay_when_a_run_is_killed_and_the_next_makes_all_whole(
    name: str, inputs: Inputs, written: dict[str, list[str]], tmp_path: Path
) -> None:
    rng, out = random.Random(f"{name} killed"), tmp_path / "out"
    _prepare(name, inputs, out)
    laid: dict[Path, bytes] = {}
    for how in (signal.SIGKILL, signal.SIGTERM):
        command = [PROGRAM, *COMMANDS[name].words(inputs, out)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for_a_file(running, out, beside=set(laid), more=rng.uniform(0, 1.0))
        finally:
            running.send_signal(how)
            running.wait()
        # Between the runs, so nothing of theirs keeps a folder from being taken again.
        laid |= _lay_beside(rng, out)
        assert _unchanged(laid) == []
    more = ["--resume"] if name == "train" else []
    assert _run(name, inputs, out, *more) in (0, 1)  # 1: a finished model is there already.
    assert _unchanged(laid) == []
    left = {path for path in _files(out) if out / path not in laid}
    assert set(written[name]) <= left
    assert [path for path in left if Path(path).name.startswith(".")] == []


def _lay_beside(rng: random.Random, out: Path) -> dict[Path, bytes]:
    laid = {}
    if not out.is_dir():
        return laid
    for _ in range(3):
        path = (
            out
            / f"{rng.choice(['', '.', '_'])}mine{rng.randrange(10**6)}{rng.choice(['', '.tif'])}"
        )
        laid[path] = rng.randbytes(50)
        path.write_bytes(laid[path])
    return laid


def _wait_for_a_file(
    running: subprocess.Popen[bytes], out: Path, beside: set[Path], more: float
) -> None:
    """Until a command has begun to write, and a little longer."""
    deadline = time.monotonic() + 120
    before = set(_files(out)) if out.is_dir() else set()
    while running.poll() is None and time.monotonic() < deadline:
        if out.is_dir() and set(_files(out)) - before - {str(p) for p in beside}:
            time.sleep(more)
            return
        time.sleep(0.01)
