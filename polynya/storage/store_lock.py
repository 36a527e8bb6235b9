"""Locks of folders in object stores: one run at a time, as far as an object store allows it.

PyArrow can't create an object only if it doesn't exist. So a run writes an object with a random
token, reads it a moment later, and continues only if its own token is still there. Two runs that
start within this moment nearly always notice each other, but a slow store may let both continue.
Then the manifest has the scenes of both runs, because it is merged at the end of a run. A run
writes its object again every few seconds, so a killed run doesn't block others for long.
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
"""Seconds between two writes of the lock."""
STALE = 120.0
"""Seconds without a write after which the holder counts as dead."""
SETTLE = 1.0
"""Seconds until a run checks whether its own token is still there."""


@dataclass(frozen=True)
class _Holder:
    token: str
    """Random text that no other run has."""
    host: str
    """Name of the run's machine."""
    pid: int
    time: float
    """Time of the last write of the lock, in seconds since 1970."""


@contextmanager
def store_locked(folder: Folder) -> Iterator[None]:
    """Hold the lock of a folder in an object store.

    Args:
        folder: A folder of s3:// or gs://.

    Raises:
        OutputError: Another run holds the lock, or the folder can't be used.
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
        with suppress(OutputError, OSError):  # The next write may succeed.
            _put(folder, token)


def _holder(folder: Folder) -> _Holder | None:
    """Holder of the lock; None if there is no lock."""
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
