"""Regions on the globe, also across the antimeridian, and tests whether a scene touches a region.

Geometry is planar in longitude and latitude. A region is cut into parts inside -180..180, because
servers treat shapes beyond the antimeridian differently (RFC 7946, 3.1.9, requires the cut).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, get_coordinates, make_valid, segmentize, transform, unary_union
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from polynya.errors import SourceError, reason_of
from polynya.recipe.acquire import Box
from polynya.sources.access.addresses import read_local

_WORLD = box(-180.0, -90.0, 180.0, 90.0)
_FARTHEST = 540.0
"""Greatest absolute longitude of a footprint in degrees: once around the globe from either end."""
_NEAR = 1e-6
"""Tolerance in degrees."""
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
"""Exceptions of shapely for invalid GeoJSON."""
_LARGEST_FILE = 256 * 2**20
_DENSE = 2.5
"""Greatest distance of points on an edge in degrees. Servers such as Earth Engine join points by
great circles. With this distance, great circles differ from the parallel by less than 0.01 degrees
at latitude 70. Without additional points, the difference is 1.1 degrees for the 40 degrees of the
Ross Sea box."""


def region_parts(region: Box | str) -> tuple[BaseGeometry, ...]:
    """Cut a region into polygons inside -180..180.

    Args:
        region: [west, south, east, north] in degrees, west > east across the antimeridian, or the
            path of a GeoJSON file (geometry, feature or feature collection).

    Raises:
        SourceError: The file is missing or no GeoJSON with an area.
    """
    if isinstance(region, str):
        return _wrapped(_read_geojson(region))
    west, south, east, north = region
    return _wrapped(box(west, south, east + 360.0 * (west > east), north))


def is_box(part: BaseGeometry) -> bool:
    """Whether a part is the same as its bounding box."""
    return bool(part.equals(part.envelope))


def dense_geojson(part: BaseGeometry) -> dict[str, Any]:
    """GeoJSON geometry of a part with additional points, so that great circles stay near edges."""
    return dict(mapping(segmentize(part, _DENSE)))


def touches(parts: tuple[BaseGeometry, ...], footprint: object) -> bool:
    """Whether a scene's footprint has a point in common with a region.

    Polar caps, the whole globe, longitudes of 0..360 and points are interpreted by `_meanings`. If
    a footprint is missing or invalid, the result is True, so that no scene is left out because its
    place is unknown.

    Args:
        parts: From `region_parts`.
        footprint: Unchanged GeoJSON geometry from a server.
    """
    try:
        meanings = [one for part in _simple_parts(shape(footprint)) for one in _meanings(part)]
    except (ShapelyError, *_MALFORMED):
        return True
    # The region is cut at the antimeridian, but a footprint may extend beyond it.
    turned = [translate(one, turn) for one in meanings for turn in (-360.0, 0.0, 360.0)]
    try:
        return not turned or len(STRtree(list(parts)).query(turned, predicate="intersects")[0]) > 0
    except ShapelyError:
        return True


def _simple_parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Polygons, lines and points of any geometry, without empty ones."""
    parts = [geometry]
    while any(hasattr(part, "geoms") for part in parts):
        parts = [one for part in parts for one in getattr(part, "geoms", (part,))]
    return [part for part in parts if not part.is_empty]


def _meanings(part: BaseGeometry) -> list[BaseGeometry]:
    """Possible shapes of a polygon, line or point on a map with unlimited longitudes.

    An edge with a difference of 180 to 360 degrees in longitude goes the short way, across the
    antimeridian. An edge of 360 degrees follows a parallel around the whole globe. A ring that goes
    around the globe once contains the nearer pole. A polygon with a corner at a pole has both
    possible shapes.

    Raises:
        ValueError: The coordinates are not in degrees.
    """
    points = get_coordinates(part)
    if not np.isfinite(points).all() or (abs(points) > (_FARTHEST, 90.0 + _NEAR)).any():
        raise ValueError("no longitudes and latitudes")
    if part.geom_type != "Polygon":
        return [transform(part, _unwrapped)]
    ring = _unwrapped(get_coordinates(part.exterior))
    once_round = ring[-1, 0] - ring[0, 0]
    if abs(once_round) > 180.0:
        pole = math.copysign(90.0, ring[:, 1].mean())
        corners = [[ring[-1, 0], pole], [ring[0, 0], pole]]
        return [Polygon(np.concatenate([ring, corners]))]
    meanings = [Polygon(ring)]
    if abs(points[:, 1]).max() > 90.0 - _NEAR:
        meanings.append(Polygon(get_coordinates(part.exterior)))
    return meanings


def _wrapped(geometry: BaseGeometry) -> tuple[BaseGeometry, ...]:
    shifted = (translate(geometry, turn).intersection(_WORLD) for turn in (-360.0, 0.0, 360.0))
    # A part that only touches the antimeridian from the other side has no area.
    return tuple(part for part in shifted if part.area > 0)


def _unwrapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points without jumps in longitude, except for edges around the whole globe."""
    steps = np.diff(points[:, 0])
    short = np.where(abs(steps) < 360.0 - _NEAR, (steps + 180.0) % 360.0 - 180.0, steps)
    # An edge of exactly half of the globe has no short way, so it isn't changed.
    steps = np.where(abs(steps) > 180.0, short, steps)
    longitudes = points[0, 0] + np.concatenate([[0.0], np.cumsum(steps)])
    return np.column_stack([longitudes, points[:, 1]])


def _read_geojson(path: str) -> BaseGeometry:
    remedy = "give a GeoJSON file with a polygon (longitude, latitude) or a box in acquire.region"
    try:
        content = json.loads(read_local(path, _LARGEST_FILE))
    except OSError as error:
        reason = reason_of(error)
        raise SourceError(f"The region {path} can't be read: {reason}; {remedy}.") from None
    except (ValueError, RecursionError):
        raise SourceError(f"The region {path} is no GeoJSON; {remedy}.") from None
    try:
        features = content["features"] if content.get("type") == "FeatureCollection" else [content]
        shapes = [shape(feature.get("geometry", feature)) for feature in features]
        geometry = unary_union([make_valid(one) for one in shapes])
        west, south, east, north = geometry.bounds
    except (ShapelyError, *_MALFORMED):
        raise SourceError(f"The region {path} is no GeoJSON; {remedy}.") from None
    if not geometry.area > 0 or not np.isfinite(geometry.bounds).all():
        raise SourceError(f"The region {path} has no area; {remedy}.")
    if not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        raise SourceError(f"The region {path} is not in degrees; {remedy}.")
    return geometry
