"""Progress on a terminal and in a log."""

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from polynya import progress


def test_a_log_gets_a_closing_line_and_a_silent_rank_nothing(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text))
    assert list(progress.track([1, 2, 3], "Counting")) == [1, 2, 3]
    assert "Counting: 3/3 in" in text.getvalue()
    assert list(progress.track([1], "Silent", enabled=False)) == [1]
    assert "Silent" not in text.getvalue()


def test_a_slow_log_gets_lines_with_the_time_left(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text))
    list(progress.track(iter([1, 2]), "Slow", total=2, every=0.0))
    assert "Slow: 1/2, about 0 s left" in text.getvalue()
    list(progress.track(iter([1]), "Unknown", every=0.0))
    assert "Unknown: 1\n" in text.getvalue()


def test_a_terminal_gets_a_bar(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=True))
    with progress.progress("Working", 4) as advance:
        advance(4)
    assert "4/4" in text.getvalue()


@pytest.mark.parametrize(("variables", "bars"), [({}, True), ({"JPY_PARENT_PID": "1"}, False)])
def test_a_bar_is_for_terminals_and_not_for_what_a_notebook_starts(variables, bars):
    code = "from polynya.progress import track; list(track(range(2), 'Counting'))"
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    main, other = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], env=environment, stdin=other, stdout=other, stderr=other,
        check=True,
    )  # fmt: skip
    said = os.read(main, 100_000).decode()
    os.close(main)
    os.close(other)
    assert ("\x1b" in said) == bars
    assert bars or said.startswith("Counting: 2/2 in ")
