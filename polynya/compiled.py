"""Loops over pixels in machine code."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba
from numba.core import config

from polynya.environment import cache_folder

_SETTING = "CACHE_DIR"
"""Numba makes its settings when it is imported, from the environment."""

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers with Numba.

    The machine code is kept where NUMBA_CACHE_DIR says, or beside the module, or in the user's
    cache, so only the first call on a machine waits for the compiler; where none of these can be
    written each process compiles for itself. No fast-math: the same input gives the same bytes
    everywhere. Division by zero gives infinity as in NumPy: a check would keep loops from being
    vectorised. The lock of the interpreter is released while it runs.
    """
    with _usable_cache() as usable:
        compile_ = numba.njit(cache=usable, nogil=True, error_model="numpy")
        return cast(Function, compile_(function))


@contextmanager
def _usable_cache() -> Iterator[bool]:
    """Point Numba to a folder that can be written, if there is one: it ends an import without."""
    user = getattr(config, _SETTING)
    folder = _cache(user)
    # Only here: other packages of this process keep their own folders.
    setattr(config, _SETTING, folder or "")
    try:
        yield folder is not None
    finally:
        setattr(config, _SETTING, user)


@cache
def _cache(user: str) -> str | None:
    """Numba's CACHE_DIR; empty is beside the module, None nowhere."""
    if user and _can_write(Path(user)):
        return user
    if _can_write(Path(__file__).parent / "__pycache__"):
        return ""
    # Others must not write there: Numba runs what it finds.
    folder = cache_folder("numba")
    return str(folder) if folder else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
