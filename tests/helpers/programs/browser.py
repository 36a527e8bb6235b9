"""The Chromium of the benchmarks, for tests: they are skipped where there is none."""

from __future__ import annotations

import pytest

from benchmarks.common.browser import DESKTOP, PHONE, Browser, open_browser
from benchmarks.common.browser import find_chromium as _find
from polynya.errors import MissingDependencyError

__all__ = ["DESKTOP", "PHONE", "Browser", "find_chromium", "open_browser"]


def find_chromium() -> str:
    """Path of the system's Chromium; skips the test where there is none."""
    try:
        return _find()
    except MissingDependencyError as missing:
        pytest.skip(str(missing))
