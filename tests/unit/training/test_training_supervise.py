"""Starts after starts, with programs in the place of launchers; real ranks: tests/integration."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from polynya.errors import PolynyaError
from training.errors import RankLostError, StoppedError
from training.run.ending import Ending, ending_of, leave_note, read_note
from training.supervise import Supervisor, read_hosts

# Notes its arguments, then does what the file `plan` says of this start:
# an exit code, the reason in a note, and the step of a checkpoint.
LAUNCHER = """
import json, os, signal, sys
from pathlib import Path
place = Path(sys.argv[1])
log = place / "starts.json"
starts = json.loads(log.read_text()) if log.exists() else []
log.write_text(json.dumps([*starts, sys.argv[2:]]))
code, reason, step = json.loads((place / "plan").read_text())[len(starts)]
folder = place / "model/_checkpoints"
folder.mkdir(parents=True, exist_ok=True)
if step:
    (folder / f"step-{step:08d}.npz").write_text("")
if reason == "signal":
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
if reason:
    from training.run.ending import Ending, leave_note
    leave_note(folder.parent, Ending(reason, "."))
sys.exit(code)
"""


def _supervise(
    place: Path, plan: list[tuple[int, str, int]], hosts_script: str | None = None
) -> tuple[int, list[str]]:
    """Exit code, and the arguments of each start: ranks, hosts, and what comes after the rest."""
    (place / "launcher.py").write_text(LAUNCHER)
    (place / "plan").write_text(json.dumps(plan))
    supervisor = Supervisor(
        launcher=(sys.executable, str(place / "launcher.py"), str(place)),
        arguments=("--out", "model"),
        out=place / "model",
        ranks=3,
        min_ranks=2,
        hosts_script=hosts_script,
    )
    try:
        code = supervisor.run([])
    except RankLostError as error:
        code = 0 if "min-ranks" in str(error) else -1
    starts = json.loads((place / "starts.json").read_text())
    return code, [
        " ".join(a for a in start if a.isdigit() or ":" in a or a == "--resume") for start in starts
    ]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([(0, "", 5)], (0, ["3"])),
        ([(1, "rank-lost", 5), (0, "", 9)], (0, ["3", "2 --resume"])),
        # All ranks gone without a word.
        ([(1, "", 5), (0, "", 9)], (0, ["3", "2 --resume"])),
        ([(137, "", 0), (0, "", 9)], (0, ["3", "2 --resume"])),
        ([(1, "stopped", 5)], (75, ["3"])),
        ([(1, "error", 5)], (1, ["3"])),
        # It failed before its first step: a wrong recipe, say.
        ([(1, "", 0)], (1, ["3"])),
    ],
)
def test_it_goes_on_where_ranks_are_lost_and_only_there(
    tmp_path: Path, plan: list[tuple[int, str, int]], expected: tuple[int, list[str]]
) -> None:
    assert _supervise(tmp_path, plan) == expected


def test_too_few_ranks_are_said(tmp_path: Path) -> None:
    plan = [(1, "rank-lost", 5), (1, "rank-lost", 9)]
    assert _supervise(tmp_path, plan) == (0, ["3", "2 --resume"])


def _hosts_script(place: Path, *lines: str) -> str:
    """A script that prints one of these lines at each call."""
    script = place / "hosts.sh"
    (place / "lines").write_text("\n".join(lines) + "\n")
    script.write_text(f"#!/bin/sh\nhead -n 1 {place}/lines; sed -i 1d {place}/lines\n")
    script.chmod(0o755)
    return str(script)


def test_a_hosts_script_says_where_ranks_can_be_and_new_ones_are_taken_in(tmp_path: Path) -> None:
    script = _hosts_script(tmp_path, "a:4", "a:2", "b:3")
    plan = [(1, "rank-lost", 5), (1, "rank-lost", 9), (0, "", 12)]
    assert _supervise(tmp_path, plan, script) == (
        0,
        ["3 a:4", "2 a:2 --resume", "3 b:3 --resume"],
    )


def test_starts_that_lead_nowhere_end(tmp_path: Path) -> None:
    script = _hosts_script(tmp_path, *["a:3"] * 4)
    plan = [(1, "rank-lost", 0)] * 4
    assert _supervise(tmp_path, plan, script) == (-1, ["3 a:3"] + ["3 a:3 --resume"] * 2)


def test_a_hosts_script_that_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolynyaError, match=r"The hosts script .*missing"):
        read_hosts(str(tmp_path / "missing"))
    with pytest.raises(PolynyaError, match="HOST:SLOTS"):
        read_hosts(_hosts_script(tmp_path, "no slots"))


def test_a_signal_goes_to_the_launcher(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert _supervise(tmp_path, [(0, "signal", 5)]) == (75, ["3"])
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_first_rank_that_notices_leaves_a_note(tmp_path: Path) -> None:
    assert read_note(tmp_path) is None
    ending = ending_of(StoppedError("enough"))
    assert ending == Ending("stopped", "enough")
    assert leave_note(tmp_path, ending)
    assert not leave_note(tmp_path, ending_of(PolynyaError("later")))
    assert read_note(tmp_path) == ending
    (tmp_path / "file").write_text("")
    assert leave_note(tmp_path / "file", ending)


def test_of_ranks_that_end_together_one_leaves_the_note(tmp_path: Path) -> None:
    ending = ending_of(StoppedError("told to stop"))
    with ThreadPoolExecutor(8) as ranks:
        for number in range(50):
            folder = tmp_path / str(number)
            ready = Barrier(8)

            def leave(folder: Path = folder, ready: Barrier = ready) -> bool:
                ready.wait()
                return leave_note(folder, ending)

            assert sum(task.result() for task in [ranks.submit(leave) for _ in range(8)]) == 1
            assert read_note(folder) == ending
