"""Run all judges on the real pictures, and write what they found."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common.report import Report
from benchmarks.labels.real.clear import measure_clear, write_clear
from benchmarks.labels.real.days import measure_days, write_days
from benchmarks.labels.real.labelling import BRIGHT, DARK, brightness_profile
from benchmarks.labels.real.pictures import read_pictures
from benchmarks.labels.real.same_day import measure_same_day, write_same_day
from benchmarks.labels.real.skies import measure_skies, write_skies


def judge_all(data: Path, report: Report, dark: int = DARK, bright: int = BRIGHT) -> list[Path]:
    """Measure and write all judges; return the pictures.

    Args:
        data: Folder with the images; all of them are read before anything is measured.
        report: Where tables and pictures go.
        dark: Greatest brightness of open water, 0..255.
        bright: Least brightness of thick ice, 0..255.

    Raises:
        PolynyaError: A folder or a file is missing, or the brightnesses leave no room for thin ice.
    """
    profile = brightness_profile(dark, bright)
    pictures = read_pictures(data)
    days = write_days(measure_days(pictures, profile), report)
    same_day = write_same_day(measure_same_day(pictures, profile), report)
    skies = write_skies(measure_skies(pictures, profile), pictures, profile, report)
    clear = write_clear(measure_clear(pictures, profile), pictures, profile, report)
    return [*days, *same_day, *skies, *clear]
