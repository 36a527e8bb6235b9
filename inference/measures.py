"""Areas and lengths on the ground, whatever coordinate system a scene has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from polynya.scenes import Scene

_WGS84_AXIS, _WGS84_FLATTENING = 6378137.0, 1 / 298.257223563


def pixel_areas(scene: Scene) -> NDArray[np.float64] | None:
    """Area of a pixel in each row of a scene.

    In a projection: the area on the map plane, the projection's own distortion of area left in.
    In degrees: the area between two parallels of the WGS 84 ellipsoid (Snyder 1987, Map
    Projections, equation 3-12).

    Returns:
        float64 (H,), square metres; None without georeference.
    """
    if scene.crs is None or scene.transform is None:
        return None
    a, b, _, d, e, f = scene.transform
    crs = CRS.from_user_input(scene.crs)
    if not crs.is_geographic:
        metres = crs.axis_info[0].unit_conversion_factor
        return np.full(scene.height, abs(a * e - b * d) * metres**2)
    parallels = np.radians(f + e * np.arange(scene.height + 1))
    return np.asarray(np.abs(np.diff(_zone(parallels))) * np.radians(abs(a)), np.float64)


def _zone(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area from the equator to a latitude (radians) per radian of longitude, square metres."""
    eccentricity = np.sqrt(_WGS84_FLATTENING * (2 - _WGS84_FLATTENING))
    sine = np.sin(latitude)
    q = sine / (1 - (eccentricity * sine) ** 2) + np.arctanh(eccentricity * sine) / eccentricity
    return np.asarray(_WGS84_AXIS**2 * (1 - eccentricity**2) / 2 * q, np.float64)


def to_map(corners: NDArray[np.int32], scene: Scene) -> NDArray[np.float64]:
    """Coordinates of corners of pixels on the map.

    Without transform, x is the column and y the negative row, as QGIS shows such images.

    Args:
        corners: int32 (K, 2), column and row; (0, 0) is the upper left corner of the scene.
        scene: Gives the transform.

    Returns:
        float64 (K, 2), x and y in the scene's CRS.
    """
    a, b, c, d, e, f = scene.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    x, y = corners[:, 0], corners[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def step_lengths(points: NDArray[np.float64], crs: str) -> NDArray[np.float64]:
    """Metres from each point to the next.

    In a projection on the map plane; in degrees along geodesics of the CRS's ellipsoid.

    Args:
        points: float64 (K, 2), x and y.
        crs: 'EPSG:n' or WKT.

    Returns:
        float64 (K - 1,).
    """
    known = CRS.from_user_input(crs)
    if known.is_geographic:
        lon, lat = points.T
        geod: Any = known.get_geod()  # Every geographic CRS has an ellipsoid.
        metres = geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
        return np.asarray(metres, np.float64)
    return np.hypot(*np.diff(points, axis=0).T) * known.axis_info[0].unit_conversion_factor
