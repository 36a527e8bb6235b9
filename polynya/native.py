"""Compiled packages that bring libraries of the same names into one process."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType


def import_apart(name: str) -> ModuleType:
    """Import a module whose libraries look for symbols in each other before they look elsewhere.

    Linux gives a library the first symbol of a name that the process has, so that of another
    package, where that one was loaded for all (dlopen(3), RTLD_GLOBAL and RTLD_DEEPBIND). Other
    systems tell libraries apart by themselves.

    Args:
        name: Of the module; nothing changes where it is imported already.

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
