"""One run at a time in an output folder.

The lock is a file, made in one step, that says who holds it. It works on file systems that have no
locks of their own, and ends with its holder: on the same machine because the process is gone, from
another one because the holder touches the file every few seconds and stopped doing so.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from polynya.errors import OutputError

LOCK_FILE = ".polynya.lock"

BEAT = 5.0
"""Seconds between two touches."""
STALE = 60.0
"""Seconds without a touch after which the holder on another machine counts as dead."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    token: str
    """Random; no other lock has it."""
    host: str
    """Name of the machine, for people."""
    system: str
    """What tells machines, their starts and their process-id spaces (containers) apart."""
    pid: int
    start: str
    """When the process started, in ticks since the machine did: process ids are used again."""


@contextmanager
def locked(folder: Path, beat: float = BEAT) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: It exists.
        beat: Seconds between two touches of the lock.

    Raises:
        OutputError: Another run holds it, or it can't be made.
    """
    place = folder / LOCK_FILE
    me = Holder(uuid4().hex, socket.gethostname(), _system(), os.getpid(), _start(os.getpid()))
    try:
        _acquire(place, me)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be written: {error.strerror or error}; choose another --out folder."
        ) from None
    done = threading.Event()
    toucher = threading.Thread(target=_touch, args=(place, beat, done), name="lock", daemon=True)
    toucher.start()
    try:
        yield
    finally:
        # A forked child that leaves the block must not end its parent's lock.
        if os.getpid() == me.pid:
            done.set()
            toucher.join()
            if _holder(place) == me:
                with suppress(OSError):
                    place.unlink()


def create_whole(path: Path, content: bytes) -> bool:
    """Make a small file with its content in one step, unless there is one of that name.

    Returns:
        Whether it was made.

    Raises:
        OSError: It can't be written.
    """
    partial = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # No hard links on this file system.
            return _create(path, content)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _create(path: Path, content: bytes) -> bool:
    """The same where the content comes a moment after the name."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _acquire(place: Path, me: Holder) -> None:
    content = json.dumps(asdict(me)).encode()
    while not create_whole(place, content):
        holder = _holder(place)
        if holder is None and not os.path.lexists(place):
            continue  # It ended just now.
        if holder is None or _is_alive(holder, place):
            raise OutputError(_in_use(place, holder))
        _break(place, holder)


def _in_use(place: Path, holder: Holder | None) -> str:
    if holder is None:
        return (
            f"{place} is no lock that can be read; if no run uses the folder {place.parent}, delete"
            " that file."
        )
    return (
        f"Another run uses the folder {place.parent} (process {holder.pid} on {holder.host}); wait"
        " until it ends, or choose another --out folder."
    )


def _break(place: Path, holder: Holder) -> None:
    """Remove the lock of a dead holder, and no other: another process may be just as far."""
    aside = place.with_name(f"{place.name}.{uuid4().hex}")
    try:
        os.rename(place, aside)
    except FileNotFoundError:
        return
    try:
        if _holder(aside) != holder:
            with suppress(OSError):
                os.link(aside, place)
            raise OutputError(_in_use(place, _holder(aside)))
    finally:
        aside.unlink(missing_ok=True)


def _holder(place: Path) -> Holder | None:
    try:
        return Holder(**json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(holder: Holder, place: Path) -> bool:
    if holder.system == _system():
        return bool(holder.start) and _start(holder.pid) == holder.start
    # Clocks of machines differ, so the file system's own is asked what time it is.
    probe = place.with_name(f"{place.name}.{uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - place.stat().st_mtime < STALE
    except FileNotFoundError:
        return False
    finally:
        probe.unlink(missing_ok=True)


def _touch(place: Path, beat: float, done: threading.Event) -> None:
    while not done.wait(beat):
        with suppress(OSError):
            os.utime(place)


def _system() -> str:
    """Start of the machine and space of process ids; the host's name where the kernel has none."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start(pid: int) -> str:
    """When a process started; empty if there is none, or it is a zombie."""
    try:
        # The name of the program, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
