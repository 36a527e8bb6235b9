"""The direction of the sun over the image of a scene."""

from __future__ import annotations

import math
from functools import lru_cache

from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError

from polynya.scenes.scene import Scene

_ELLIPSOID = Geod(ellps="WGS84")
_STEP = 1000.0
"""Metres from the scene's centre to the place whose direction is taken."""


def towards_sun(scene: Scene, azimuth: float | None) -> tuple[float, float] | None:
    """Return the direction towards the sun: rows and columns of a step of length 1.

    The top of an image is north only where its map projection has it so. A scene without place is
    taken to have north at the top.

    Args:
        scene: The scene.
        azimuth: Direction of the sun at its centre, degrees clockwise from north; None: unknown.

    Returns:
        None if the azimuth is unknown, or if the place has no longitude and latitude.
    """
    if azimuth is None:
        return None
    if scene.crs is None or scene.transform is None:
        return -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    middle = (0.5 * scene.width, 0.5 * scene.height)
    return _on_grid(scene.crs, scene.transform, middle, azimuth)


@lru_cache(maxsize=64)
def _on_grid(
    crs: str,
    transform: tuple[float, float, float, float, float, float],
    middle: tuple[float, float],
    azimuth: float,
) -> tuple[float, float] | None:
    grid = Affine(*transform)
    try:
        to_degrees = Transformer.from_crs(CRS(crs), "OGC:CRS84", always_xy=True)
        longitude, latitude = to_degrees.transform(*(grid @ middle), errcheck=True)
        there = _ELLIPSOID.fwd(longitude, latitude, azimuth, _STEP)[:2]
        column, row = ~grid @ to_degrees.transform(*there, direction="INVERSE", errcheck=True)
    except (CRSError, ProjError):
        return None
    length = math.hypot(row - middle[1], column - middle[0])
    if not math.isfinite(length) or length == 0.0:
        return None
    return (row - middle[1]) / length, (column - middle[0]) / length
