"""One run at a time in a folder of an object store, as far as that can be had there.

PyArrow offers no way to make an object only if there is none. So a run puts an object with a random
token, looks again a moment later, and goes on only if its own token is still there. Two runs that
begin within that moment see each other nearly always, but a slow store can let both through; then
the manifest, which is merged when a run ends, has the scenes of both. While it works a run puts its
object again every few seconds, so that one that was killed doesn't keep others out for long.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from uuid import uuid4

from polynya.errors import OutputError
from polynya.storage.folder import Folder

LOCK_OBJECT = "_lock.json"

BEAT = 15.0
"""Seconds between two puts."""
STALE = 120.0
"""Seconds without one after which the holder counts as dead."""
SETTLE = 1.0
"""Seconds until a run looks whether its own token is still there."""


@dataclass(frozen=True)
class _Holder:
    token: str
    """Random; no other run has it."""
    host: str
    """Name of its machine."""
    pid: int
    time: float
    """When it last said that it is alive, seconds since 1970."""


@contextmanager
def store_locked(folder: Folder) -> Iterator[None]:
    """Hold the lock of a folder in an object store.

    Args:
        folder: Of s3:// or gs://.

    Raises:
        OutputError: Another run holds it, or the folder can't be used.
    """
    token = uuid4().hex
    holder = _holder(folder)
    if holder and time.time() - holder.time < STALE:
        raise OutputError(_in_use(folder, holder))
    _put(folder, token)
    time.sleep(SETTLE)
    holder = _holder(folder)
    if holder and holder.token != token:
        raise OutputError(_in_use(folder, holder))
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, token, done), name="lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        holder = _holder(folder)
        if holder and holder.token == token:
            folder.remove([LOCK_OBJECT])


def _put(folder: Folder, token: str) -> None:
    me = _Holder(token, socket.gethostname(), os.getpid(), time.time())
    folder.write(LOCK_OBJECT, json.dumps(asdict(me)).encode())


def _beat(folder: Folder, token: str, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with suppress(OutputError, OSError):  # A bad moment; the next one may be better.
            _put(folder, token)


def _holder(folder: Folder) -> _Holder | None:
    """What the lock says; None if there is none."""
    if not folder.has(LOCK_OBJECT):
        return None
    try:
        return _Holder(**json.loads(folder.read(LOCK_OBJECT)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise OutputError(
            f"{folder}/{LOCK_OBJECT} is no lock that can be read; if no run uses {folder}, delete"
            " that object."
        ) from None


def _in_use(folder: Folder, holder: _Holder) -> str:
    return (
        f"Another run uses {folder} (process {holder.pid} on {holder.host}), or one was killed"
        f" there less than {STALE:.0f} seconds ago; wait until it ends, or choose another --out."
    )
