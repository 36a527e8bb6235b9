"""Warnings of libraries that tell our users nothing are left out, also where threads work."""

from __future__ import annotations

import re
import warnings


def ignore_warnings(category: type[Warning], message: str = "", module: str = "") -> None:
    """Leave out a kind of warning from now on, in the whole process.

    `warnings.catch_warnings` keeps and brings back the list of all filters. Where threads do so
    beside each other, one of them brings back what another has just switched off, and the warning
    is printed after all. So nothing is brought back here, and a kind should be a narrow one.

    Args:
        category: Class of the warning.
        message: Regular expression for how its text begins.
        module: Regular expression for the name of the module that it is about.
    """
    where = re.compile(module) if module else None
    text = re.compile(message, re.IGNORECASE) if message else None
    # Each new filter lets warnings that are shown once be shown again, so none is set twice.
    if ("ignore", text, category, where, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", message, category, module)
