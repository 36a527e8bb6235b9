"""One run at a time in a folder; the lock of a dead run is taken over."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polynya.errors import OutputError
from polynya.storage.locks import LOCK_FILE, STALE, locked

_HOLD = (
    "import sys, time; from pathlib import Path; from polynya.storage.locks import locked\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
)


def _hold(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_run_is_refused_while_the_first_is_on(tmp_path: Path) -> None:
    holder = _hold(tmp_path)
    try:
        with pytest.raises(OutputError, match=f"process {holder.pid}"), locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_killed_run_is_taken_over_at_once(tmp_path: Path, how: int) -> None:
    holder = _hold(tmp_path)
    holder.send_signal(how)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_process_id_that_is_used_again_holds_nothing(tmp_path: Path) -> None:
    with locked(tmp_path):
        content = json.loads((tmp_path / LOCK_FILE).read_text())
    (tmp_path / LOCK_FILE).write_text(json.dumps(content | {"start": "1"}))
    with locked(tmp_path):
        pass


def test_a_holder_on_another_machine_counts_as_long_as_it_touches_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        content = json.loads((tmp_path / LOCK_FILE).read_text())
    place = tmp_path / LOCK_FILE
    place.write_text(json.dumps(content | {"system": "another", "host": "node7", "pid": 1}))
    with pytest.raises(OutputError, match="node7"), locked(tmp_path):
        pass
    long_ago = time.time() - STALE - 5
    os.utime(place, (long_ago, long_ago))
    with locked(tmp_path):
        pass


def test_a_holder_touches_its_lock(tmp_path: Path) -> None:
    with locked(tmp_path, beat=0.01):
        os.utime(tmp_path / LOCK_FILE, (1, 1))
        deadline = time.monotonic() + 30
        while (tmp_path / LOCK_FILE).stat().st_mtime < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_file_that_is_no_lock_stays(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("mine")
    with pytest.raises(OutputError, match="no lock that can be read"), locked(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).read_text() == "mine"


def test_a_file_system_without_hard_links_has_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError("no hard links")

    monkeypatch.setattr(os, "link", refuse)
    with locked(tmp_path), pytest.raises(OutputError, match="Another run"), locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("largest", [0, 50])
def test_a_full_disk_leaves_no_half_lock(tmp_path: Path, largest: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        with pytest.raises(OutputError, match="can't be written: File too large"):
            locked(tmp_path).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_of_many_that_find_a_dead_lock_one_gets_it(tmp_path: Path) -> None:
    _hold_and_kill(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from polynya.storage.locks import locked\n"
        "from polynya.errors import OutputError\n"
        "folder = Path(sys.argv[1]); time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "try:\n"
        "    with locked(folder): print('held', flush=True); sys.stdin.read()\n"
        "except OutputError: print('refused', flush=True)"
    )
    at = str(time.time() + 2)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), at],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = [process.stdout.readline() for process in running if process.stdout]
    for process in running:
        process.communicate()
    assert sorted(said) == ["held\n", *["refused\n"] * 5]


def _hold_and_kill(folder: Path) -> None:
    holder = _hold(folder)
    holder.kill()
    holder.wait()


def test_what_a_run_leaves_that_was_killed_while_it_took_the_lock_is_removed(
    tmp_path: Path,
) -> None:
    (tmp_path / f".polynya.lock.{'0a' * 16}").write_text("half")
    (tmp_path / ".polynya.lock.mine").write_text("a file of somebody")
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".polynya.lock.mine"]
