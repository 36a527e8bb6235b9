"""Outline of a scene in longitude and latitude, as GeoJSON wants it.

Polar scenes cross the antimeridian or hold a pole, where a plain list of corners would go round the
wrong side of the Earth (RFC 7946, sections 3.1.9 and 5.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform as transform_points

from polynya.scenes import Scene

_POINTS_PER_SIDE = 8
_DECIMALS = 7

Ring = NDArray[np.float64]


@dataclass(frozen=True)
class Footprint:
    """Outline of a scene on WGS 84."""

    geometry: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon."""
    bbox: list[float]
    """West, south, east, north in degrees; west > east where it crosses the antimeridian."""


def scene_footprint(scene: Scene) -> Footprint | None:
    """Outline of a scene; None if it has no georeference."""
    if scene.crs is None or scene.transform is None:
        return None
    ring = _outline(scene)
    lon, lat = ring[:, 0], ring[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        return _polar_cap(lat)
    lon -= 360 * np.floor((lon.min() + 180) / 360)
    west, south, east, north = lon.min(), lat.min(), lon.max(), lat.max()
    if east <= 180:
        return Footprint(
            {"type": "Polygon", "coordinates": [_closed(ring)]},
            _rounded([west, south, east, north]),
        )
    eastern = _clip(ring, keep_above=True) - [360, 0]
    parts = [_closed(_clip(ring, keep_above=False)), _closed(eastern)]
    return Footprint(
        {"type": "MultiPolygon", "coordinates": [[part] for part in parts]},
        _rounded([west, south, east - 360, north]),
    )


def _outline(scene: Scene) -> Ring:
    """Points along the border, counter-clockwise for a north-up scene, longitude without jumps.

    float64 (N, 2); the last point is the first again, 360 degrees away if a pole is inside.
    """
    share = np.arange(_POINTS_PER_SIDE) / _POINTS_PER_SIDE
    zero, one = np.zeros_like(share), np.ones_like(share)
    columns = np.concatenate([zero, share, one, 1 - share, [0.0]]) * scene.width
    rows = np.concatenate([share, one, 1 - share, zero, [0.0]]) * scene.height
    assert scene.transform is not None
    a, b, c, d, e, f = Affine(*scene.transform)[:6]
    xs, ys = a * columns + b * rows + c, d * columns + e * rows + f
    lon, lat = transform_points(scene.crs, "EPSG:4326", xs.tolist(), ys.tolist())
    return np.stack([np.unwrap(np.asarray(lon), period=360), np.asarray(lat)], axis=1)


def _polar_cap(lat: NDArray[np.float64]) -> Footprint:
    """Everything from the farthest border point to the pole: a box in longitude and latitude."""
    south, north = (-90.0, float(lat.max())) if lat.mean() < 0 else (float(lat.min()), 90.0)
    corners = np.array([[-180, south], [180, south], [180, north], [-180, north]])
    return Footprint(
        {"type": "Polygon", "coordinates": [_closed(corners)]},
        _rounded([-180.0, south, 180.0, north]),
    )


def _clip(ring: Ring, keep_above: bool) -> Ring:
    """The part of a polygon on one side of longitude 180 (Sutherland and Hodgman)."""
    kept: list[Ring] = []
    for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        start_inside, end_inside = ((p[0] >= 180) == keep_above for p in (start, end))
        if start_inside:
            kept.append(start)
        if start_inside != end_inside:
            share = (180 - start[0]) / (end[0] - start[0])
            kept.append(np.array([180.0, start[1] + share * (end[1] - start[1])]))
    return np.array(kept)


def _closed(ring: Ring) -> list[list[float]]:
    points = [_rounded(point) for point in ring]
    return points if points[0] == points[-1] else [*points, points[0]]


def _rounded(numbers: Any) -> list[float]:
    return [round(float(number), _DECIMALS) for number in numbers]
