"""Warnings that are left out, where threads open scenes beside each other."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest
from conftest import ice_image

from polynya.quiet import ignore_warnings
from polynya.rasters.opening import opened_raster


class NarrowWarning(UserWarning):
    """A warning that only these tests give."""


def test_threads_that_open_photographs_at_once_print_no_warning(tmp_path: Path) -> None:
    photograph = str(tmp_path / "photo.png")
    cv2.imwrite(photograph, ice_image(32, 32))
    together = threading.Barrier(8)

    def open_often(_: int) -> None:
        together.wait()
        for _ in range(40):
            with opened_raster(photograph) as source:
                assert source.count == 3

    with warnings.catch_warnings(record=True) as seen, ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("always")
        list(pool.map(open_often, range(8)))
    assert [str(warning.message) for warning in seen] == []


def test_only_warnings_of_the_kind_are_left_out() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            ignore_warnings(NarrowWarning, "one")
        ignore_warnings(NarrowWarning, module="elsewhere")
        warnings.warn("one of these", NarrowWarning, stacklevel=1)
        warnings.warn("another", NarrowWarning, stacklevel=1)
        warnings.warn_explicit("third", NarrowWarning, "f.py", 1, module="elsewhere")
        own = [kind for kind in warnings.filters if kind[2] is NarrowWarning]
    assert [str(warning.message) for warning in seen] == ["another"]
    assert len(own) == 2


@pytest.mark.parametrize(
    "text", ["EPSG:3413+5773", "+proj=utm +zone=31 +ellps=intl +towgs84=-87,-98,-121"]
)
def test_coordinate_systems_are_read_without_a_warning(text: str) -> None:
    from inference.ground.coordinates import horizontal_crs

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert horizontal_crs(text).is_projected
