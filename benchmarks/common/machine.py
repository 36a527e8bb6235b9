"""On what machine something was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import cv2
import numpy as np

_CPUINFO = Path("/proc/cpuinfo")


def describe_machine() -> str:
    """One line: processor, cores, Python, OpenCV and NumPy."""
    return (
        f"{processor_model()}, {os.cpu_count()} cores; Python {platform.python_version()},"
        f" OpenCV {cv2.__version__}, NumPy {np.__version__}"
    )


def processor_model() -> str:
    """Model name of the processor, or its architecture where the system doesn't tell more."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
