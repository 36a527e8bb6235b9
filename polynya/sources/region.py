"""Regions on the globe, also across the antimeridian, and whether a scene touches one.

Everything is planar in longitude and latitude. A region is cut into parts inside -180..180, because
few servers agree on what a shape beyond the antimeridian means (RFC 7946, 3.1.9, asks for the cut).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, make_valid, segmentize, transform, unary_union
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from polynya.errors import SourceError
from polynya.sources.options import Box

_WORLD = box(-180.0, -90.0, 180.0, 90.0)
_DENSE = 2.5
"""Degrees between the points of an edge. Servers that join points by great circles, as Earth Engine
does, then stray little from the parallel: at 70 degrees less than 0.01, but 1.1 degrees for the 40
degrees of the Ross Sea box without more points."""


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
    """GeoJSON geometry of a part with so many points that great circles between them do no harm."""
    return dict(mapping(segmentize(part, _DENSE)))


def touches(parts: tuple[BaseGeometry, ...], footprint: dict[str, Any] | None) -> bool:
    """Whether a scene's footprint (GeoJSON geometry) has a point in common with a region.

    Edges that jump by more than 180 degrees of longitude go the short way round. A scene without
    footprint is taken to touch.
    """
    if footprint is None:
        return True
    try:
        geometry = make_valid(transform(shape(footprint), _unwrapped))
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return True
    return len(STRtree(list(parts)).query(_wrapped(geometry), predicate="intersects")[0]) > 0


def _wrapped(geometry: BaseGeometry) -> tuple[BaseGeometry, ...]:
    shifted = (translate(geometry, turn).intersection(_WORLD) for turn in (-360.0, 0.0, 360.0))
    # What only touches the antimeridian from the other side has no area there.
    return tuple(part for part in shifted if part.area > 0)


def _unwrapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.unwrap(points[:, 0], period=360.0), points[:, 1]])


def _read_geojson(path: str) -> BaseGeometry:
    remedy = "give a GeoJSON file with a polygon (longitude, latitude) or a box in acquire.region"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"The region {path} can't be read: {error.strerror}; {remedy}.") from None
    except ValueError:
        raise SourceError(f"The region {path} is no GeoJSON; {remedy}.") from None
    try:
        features = content["features"] if content.get("type") == "FeatureCollection" else [content]
        shapes = [shape(feature.get("geometry", feature)) for feature in features]
        geometry = unary_union([make_valid(one) for one in shapes])
        west, south, east, north = geometry.bounds
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise SourceError(f"The region {path} is no GeoJSON; {remedy}.") from None
    if not geometry.area > 0:
        raise SourceError(f"The region {path} has no area; {remedy}.")
    if not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        raise SourceError(f"The region {path} is not in degrees; {remedy}.")
    return geometry
