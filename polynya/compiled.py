"""Compilation of loops over pixels to machine code."""

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
"""Numba's setting for its cache folder; Numba reads it from the environment when imported."""

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers with Numba.

    The machine code is kept in NUMBA_CACHE_DIR, beside the module or in the user's cache, so only
    the first call on a machine waits for the compiler. If none of these folders can be written,
    each process compiles for itself. Fast-math is off, so the same input gives the same bytes
    everywhere. Division by zero gives infinity, as in NumPy, because a check would prevent the
    vectorisation of loops. The interpreter's lock (GIL) is released while the function runs.
    """
    with _usable_cache() as usable:
        compile_ = numba.njit(cache=usable, nogil=True, error_model="numpy")
        return cast(Function, compile_(function))


@contextmanager
def _usable_cache() -> Iterator[bool]:
    """Point Numba to a writable folder, if any: without one, its cache makes an import fail."""
    user = getattr(config, _SETTING)
    folder = _cache(user)
    # Only inside this context: other packages of this process keep their own folders.
    setattr(config, _SETTING, folder or "")
    try:
        yield folder is not None
    finally:
        setattr(config, _SETTING, user)


@cache
def _cache(user: str) -> str | None:
    """Value for Numba's CACHE_DIR: a folder; "" for beside the module; None for no cache."""
    if user and _can_write(Path(user)):
        return user
    if _can_write(Path(__file__).parent / "__pycache__"):
        return ""
    # Other users must not write there, because Numba runs the machine code that it finds.
    folder = cache_folder("numba")
    return str(folder) if folder else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
