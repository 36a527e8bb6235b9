"""Locks of output folders: only one run at a time.

The lock is a file that is created in one step and names its holder. It also works on file systems
without their own locks. A lock ends with its holder. On the same machine, the holder has ended if
its process doesn't exist any more. A holder on another machine has ended if it no longer touches
the file, which it does every few seconds.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from polynya.errors import InUseError, OutputError

LOCK_FILE = ".polynya.lock"

BEAT = 5.0
"""Seconds between two touches of the lock."""
STALE = 60.0
"""Seconds without a touch after which a holder on another machine counts as dead."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lock."""

    token: str
    """Random text that no other lock has."""
    host: str
    """Name of the machine, for messages."""
    system: str
    """Text that differs between machines, boots and process-id spaces (containers)."""
    pid: int
    start: str
    """Start of the process in ticks since the boot, because process ids are used again."""


@contextmanager
def locked(folder: Path, beat: float = BEAT) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: An existing folder.
        beat: Seconds between two touches of the lock.

    Raises:
        InUseError: Another run holds the lock.
        OutputError: The lock can't be created.
    """
    place = folder / LOCK_FILE
    me = Holder(uuid4().hex, socket.gethostname(), _system(), os.getpid(), _start(os.getpid()))
    try:
        _acquire(place, me)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be written: {error.strerror or error}; choose another --out folder."
        ) from None
    _remove_partial(folder)
    done = threading.Event()
    toucher = threading.Thread(target=_touch, args=(place, beat, done), name="lock", daemon=True)
    toucher.start()
    try:
        yield
    finally:
        # A forked child that leaves the block must not remove its parent's lock.
        if os.getpid() == me.pid:
            done.set()
            toucher.join()
            if _holder(place) == me:
                with suppress(OSError):
                    place.unlink()


def in_use(folder: Path) -> bool:
    """Whether a run holds the lock of a folder; nothing is changed there."""
    place = folder / LOCK_FILE
    holder = _holder(place)
    return holder is not None and _is_alive(holder, place)


def _remove_partial(folder: Path) -> None:
    """Remove what runs leave that are killed while they create a lock (`create_whole`).

    A run that is just doing so loses nothing: the lock is held, so it can't have it.
    """
    for path in folder.glob(f"{LOCK_FILE}.*"):
        if re.fullmatch("[0-9a-f]{32}", path.name.removeprefix(f"{LOCK_FILE}.")):
            with suppress(OSError):
                path.unlink()


def create_whole(path: Path, content: bytes) -> bool:
    """Create a small file with its content in one step, unless the name exists.

    Returns:
        Whether the file was created.

    Raises:
        OSError: The file can't be written.
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
    """Create a file without hard links; its content is written a moment after its name."""
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
            continue  # The other run has just ended.
        if holder is None or _is_alive(holder, place):
            raise InUseError(_message(place, holder))
        _break(place, holder)


def _message(place: Path, holder: Holder | None) -> str:
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
    """Remove the lock of a dead holder, but no newer lock that another process has just made."""
    aside = place.with_name(f"{place.name}.{uuid4().hex}")
    try:
        os.rename(place, aside)
    except FileNotFoundError:
        return
    try:
        if _holder(aside) != holder:
            with suppress(OSError):
                os.link(aside, place)
            raise InUseError(_message(place, _holder(aside)))
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
    # Clocks of machines differ, so a new file gives the time of the file system.
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
    """Boot id and process-id space; the host's name if the kernel has no boot id."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start(pid: int) -> str:
    """Start of a process in ticks; "" if there is no such process, or if it is a zombie."""
    try:
        # The program's name, in brackets, may contain any characters.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
