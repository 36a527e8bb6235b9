"""Import of compiled packages that bring libraries with the same names into one process."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType


def import_apart(name: str) -> ModuleType:
    """Import a module so that its libraries search symbols in each other first.

    By default, Linux gives a library the first symbol with the wanted name in the process. This
    symbol may belong to a library of another package, if that library was loaded for all
    (dlopen(3), RTLD_GLOBAL and RTLD_DEEPBIND). Other systems keep libraries apart by themselves.

    Args:
        name: Name of the module; nothing changes if it is already imported.

    Returns:
        The module.

    Raises:
        ImportError: It is not installed.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        return import_module(name)
    finally:
        sys.setdlopenflags(flags)
