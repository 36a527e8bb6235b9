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
"""The environment of the clone."""
MARK = "# Written by `make setup`."
"""Second line of the programs that the set-up writes."""

LOG = VENV / "setup.log"
"""Output of the programs that the set-up runs."""

_TAIL_LINES = 12


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(text, flush=True)


def fail(sentence: str) -> NoReturn:
    """Stop the set-up with one sentence that names the remedy."""
    print(f"Error: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def output_of(command: Sequence[object], env: Mapping[str, str] | None = None) -> str | None:
    """Return a program's output (stdout and stderr), or None if it is missing or fails."""
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
        trouble: Sentence for the user if the program fails.
        cwd: Working folder.
        env: The whole environment; None means this process's environment.
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
    """Return PATH without the environments of this and other clones: only the system's programs."""
    parts = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(
        part for part in parts if part != str(VENV / "bin") and not has_ours(part)
    )


def has_ours(folder: str) -> bool:
    """Whether the set-up of any clone has written programs into a folder.

    The `java` in this folder starts another `java`. If a second clone took it for the system's
    Java, it would finally start itself.
    """
    try:
        with open(os.path.join(folder, "java"), "rb") as file:
            return MARK.encode() in file.read(2 * len(MARK))
    except OSError:
        return False


def inside_env() -> dict[str, str]:
    """Return the environment of a shell with the clone's `.venv` activated.

    uv doesn't read pip's settings, so this translates the settings of the package index.
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
