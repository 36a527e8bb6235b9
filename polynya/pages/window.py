"""Opening a local page in the browser of whoever gave the command."""

from __future__ import annotations

import os
import sys
import webbrowser

from polynya.pages.admission import Admission


def open_window(address: str, admission: Admission) -> None:
    """Open a page in a browser window; do nothing where no window can be opened.

    Other users of the machine can see the address that a browser is started with, so it has the
    token that works once.
    """
    if _has_window():
        webbrowser.open(f"{address}?token={admission.once}")


def _has_window() -> bool:
    """Whether a browser could open a window; a text browser would take the terminal."""
    return not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
