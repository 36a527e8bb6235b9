"""Loops over pixels in machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers with Numba.

    The machine code is kept beside the module, or in the user's cache where that can't be written,
    so only the first call on a machine waits for the compiler. No fast-math: the same input gives
    the same bytes everywhere. Division by zero gives infinity as in NumPy: a check would keep loops
    from being vectorised. The lock of the interpreter is released while it runs.
    """
    compile_ = numba.njit(cache=True, nogil=True, error_model="numpy")
    return cast(Function, compile_(function))
