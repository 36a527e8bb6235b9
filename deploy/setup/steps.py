"""Small helpers of the set-up: run a command into the log, show a step, stop with one sentence.

The set-up runs before anything is installed, so it uses the standard library only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
"""The clone."""

VENV = ROOT / ".venv"
MARK = "# Written by `make setup`."
"""Second line of the programs that the set-up writes."""
"""The environment of the clone."""

LOG = VENV / "setup.log"
"""What the programs of the set-up printed."""

_TAIL_LINES = 12


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(text, flush=True)


def fail(sentence: str) -> NoReturn:
    """Stop the set-up with one sentence that names the remedy."""
    print(f"Error: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def output_of(command: Sequence[object], env: Mapping[str, str] | None = None) -> str | None:
    """What a program prints (stdout and stderr), or None where it is missing or fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def run(
    command: Sequence[object],
    trouble: str,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    each_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a program with its output in the log.

    Args:
        command: Program and arguments.
        trouble: The sentence for the user, should the program fail.
        cwd: Working folder.
        env: The whole environment; None is the one of this process.
        each_line: Called with each line that the program prints.

    Raises:
        SystemExit: The program failed; the end of its output and `trouble` are printed.
    """
    tail: list[str] = []
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(str(part) for part in command)}\n")
        log.flush()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            tail = [*tail[1 - _TAIL_LINES :], line.rstrip()]
            each_line(line)
    if process.wait() != 0:
        for line in tail:
            print(f"    {line}", file=sys.stderr)
        fail(f"{trouble} (the whole output is in {LOG})")


def outside_path() -> str:
    """PATH without the environments of this clone and of others: these aren't the system's own."""
    parts = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(
        part for part in parts if part != str(VENV / "bin") and not has_ours(part)
    )


def has_ours(folder: str) -> bool:
    """Whether the set-up of some clone has written programs into a folder.

    Their `java` starts another one: taken for the system's own by a second clone, it would in the
    end start itself.
    """
    try:
        with open(os.path.join(folder, "java"), "rb") as file:
            return MARK.encode() in file.read(2 * len(MARK))
    except OSError:
        return False


def inside_env() -> dict[str, str]:
    """The environment of a shell with the clone's `.venv` activated.

    uv doesn't read pip's settings, so the ones that decide where packages come from are handed on.
    """
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": f"{VENV / 'bin'}:{outside_path()}"}
    for pip_name, uv_name in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_CERT", "SSL_CERT_FILE"),
        ("PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"),
    ):
        if pip_name in env:
            env.setdefault(uv_name, env[pip_name])
    env.pop("PYTHONHOME", None)
    env.pop("PYTHONPATH", None)
    return env
