"""Outline of a scene in longitude and latitude, as GeoJSON wants it.

Polar scenes cross the antimeridian or contain a pole. There a plain list of corners would go around
the wrong side of the Earth (RFC 7946, sections 3.1.9 and 5.2). So this module follows the border of
a scene with longitudes that go on beyond 180 degrees. If a pole is inside, it closes the outline
over the pole. At the end it cuts the outline into pieces of -180 to 180 degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from inference.ground.coordinates import Ground, NoGroundError, Numbers, find_ground, map_unit
from polynya.scenes.scene import Scene

_POINTS_PER_SIDE = 8
_MOST_POINTS, _MOST_HALVINGS = 4096, 60
_NEXT = 1e-13
"""Least distance between positions on the border, near the precision of float64."""
_LARGEST_TURN = 60.0
"""Greatest change of longitude between neighbouring points in degrees, so that the direction of the
turn is clear."""
_TOLERANCE = 1e-4
"""Greatest distance between the outline and the border, as a share of the scene's size."""
_INWARD = 1e-4
"""Distance in pixels between the followed line and the scene's border. The line is inside the
scene, so a pole or antimeridian exactly on the border is outside."""
_INWARD_METRES = 5e-3
_BEFORE_LIMB = 1e-8
_SMALL = 1e-9
"""Area on a sphere of radius 1. Smaller scenes, some hundred metres wide, need no check."""
_PLACES = 9
"""Points per side of the grid that checks an outline."""
_LEAST_DECIMALS, _MOST_DECIMALS = 7, 12
"""Decimals of degrees. 7 decimals are a centimetre; scenes below a hundred metres have more."""


@dataclass(frozen=True)
class Footprint:
    """Outline of a scene on WGS 84."""

    geometry: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon, outer rings counterclockwise."""
    bbox: list[float]
    """West, south, east, north in degrees; west > east where it crosses the antimeridian."""


def scene_footprint(scene: Scene) -> Footprint | None:
    """Find the outline of a scene.

    If corners are off the Earth, as in full disks of geostationary satellites, the limb of the
    Earth is the outline.

    Returns:
        None if the position of the scene on the Earth is unknown.
    """
    try:
        ground = find_ground(scene)
        border = _Border(ground, scene.height, scene.width)
        ring = _outline(border)
        if ring is None:
            return None
        decimals = _decimals(ring)
        polygon = _closed(ring, border, 10.0**-decimals)
        if polygon is None or not _is_of_scene(polygon, border):
            return None
    except NoGroundError:
        return None
    return _footprint(polygon, decimals)


class _Border:
    """The border of a scene: positions 0 to 4, one unit per side, from the upper left downwards."""

    def __init__(self, ground: Ground, height: int, width: int) -> None:
        self._ground, self._height, self._width = ground, height, width
        self._inward = min(_INWARD, _INWARD_METRES / _pixel_metres(ground, height, width))
        self._center: tuple[float, float] | None = None

    def pixels(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        """Columns and rows of positions."""
        side, share = np.divmod(positions % 4, 1)
        right = np.select([side == 0, side == 1, side == 2], [0, share, 1], 1 - share)
        down = np.select([side == 0, side == 1, side == 2], [share, 1, 1 - share], 0)
        inward = self._inward
        return (
            inward + right * (self._width - 2 * inward),
            inward + down * (self._height - 2 * inward),
        )

    def lon_lat(self, positions: Numbers) -> Numbers:
        """Longitude and latitude on WGS 84, float64 (N, 2); the limb if off the Earth."""
        columns, rows = self.pixels(positions)
        found = self._ground.wgs84(columns, rows)
        lost = ~np.isfinite(found).all(axis=1)
        if lost.any():
            found[lost] = self._limb(columns[lost], rows[lost])
        return found

    def _limb(self, columns: Numbers, rows: Numbers) -> Numbers:
        """Find the last point on the Earth on the way from the visible centre to some pixels."""
        column, row = self._middle()

        def at(share: Numbers) -> Numbers:
            return self._ground.wgs84(
                column + share * (columns - column), row + share * (rows - row)
            )

        low, high = np.zeros_like(columns), np.ones_like(columns)
        for _ in range(40):
            share = (low + high) / 2
            seen = np.isfinite(at(share)).all(axis=1)
            low, high = np.where(seen, share, low), np.where(seen, high, share)
        # Exactly on the limb, longitudes may jump from 180 to -180 by rounding.
        return at(low * (1 - _BEFORE_LIMB))

    def _middle(self) -> tuple[float, float]:
        if self._center is None:
            columns, rows = self.inside(64)
            seen = np.isfinite(self._ground.wgs84(columns, rows)).all(axis=1)
            if not seen.any():
                raise NoGroundError("no pixel of it is on the Earth")
            self._center = float(columns[seen].mean()), float(rows[seen].mean())
        return self._center

    def inside(self, count: int) -> tuple[Numbers, Numbers]:
        """Columns and rows of a grid of count x count pixels over the scene."""
        share = (np.arange(count) + 0.5) / count
        rows, columns = np.meshgrid(share * self._height, share * self._width, indexing="ij")
        return columns.ravel(), rows.ravel()

    def places(self, count: int) -> Numbers:
        """Longitude and latitude of the grid's pixels that are on the Earth."""
        found = self._ground.wgs84(*self.inside(count))
        return found[np.isfinite(found).all(axis=1)]

    def least_area(self) -> float:
        """Area of the scene on a sphere of radius 1, without cells next to the limb."""
        share = np.linspace(0, 1, 65)
        rows, columns = np.meshgrid(share * self._height, share * self._width, indexing="ij")
        corners = self._ground.surface(columns.ravel(), rows.ravel()).reshape(65, 65, 3)
        one, other = corners[1:, 1:] - corners[:-1, :-1], corners[1:, :-1] - corners[:-1, 1:]
        areas = np.linalg.norm(np.cross(one, other), axis=2) / 2 / self._ground.axis**2
        return float(np.nansum(areas))


def _pixel_metres(ground: Ground, height: int, width: int) -> float:
    """Approximate length of the longer side of a pixel, metres."""
    if ground.affine is None:
        return 1.0
    a, b, _, d, e, _ = ground.affine
    unit = map_unit(ground.crs) * (ground.axis if ground.crs.is_geographic else 1.0)
    return max(math.hypot(a, d), math.hypot(b, e)) * unit


def _outline(border: _Border) -> Numbers | None:
    """Find points along the border, with longitudes without jumps; None if this is impossible.

    float64 (N, 2). The last point equals the first, or is 360 degrees away if a pole is inside.
    """
    positions = np.linspace(0, 4, 4 * _POINTS_PER_SIDE + 1)
    points = border.lon_lat(positions)
    for _ in range(_MOST_HALVINGS):
        turns = np.abs(_turn(np.diff(points[:, 0])))
        middles = (positions[1:] + positions[:-1]) / 2
        between = border.lon_lat(middles)
        straight = points[:-1, 0] + _turn(np.diff(points[:, 0])) / 2
        guess = np.stack([straight, (points[1:, 1] + points[:-1, 1]) / 2], axis=1)
        wide = (turns > _LARGEST_TURN) | (_distance(between, guess) > _TOLERANCE * _size(points))
        wide &= np.diff(positions) > _NEXT
        if not wide.any():
            break
        if len(positions) + wide.sum() > _MOST_POINTS:
            return None
        after = np.flatnonzero(wide) + 1
        positions = np.insert(positions, after, middles[wide])
        points = np.insert(points, after, between[wide], axis=0)
    else:
        return None
    if not np.isfinite(points).all():
        return None
    lon = points[0, 0] + np.concatenate([[0.0], np.cumsum(_turn(np.diff(points[:, 0])))])
    # The last point must equal the first without rounding errors.
    lon[-1] = lon[0] + 360 * np.round((lon[-1] - lon[0]) / 360)
    return np.stack([lon, points[:, 1]], axis=1)


def _turn(degrees: Numbers) -> Numbers:
    """Bring a turn into the range of -180 to 180 degrees."""
    return (degrees + 180) % 360 - 180


def _distance(points: Numbers, others: Numbers) -> Numbers:
    """Distance on a great circle between points that are close together, degrees."""
    lon, lat = (points - others).T
    turn = _turn(lon) * np.cos(np.radians(points[:, 1]))
    return np.asarray(np.hypot(turn, lat))


def _size(points: Numbers) -> float:
    """Approximate extent of points on a great circle, degrees."""
    lon, lat = np.radians(points[np.isfinite(points).all(axis=1)]).T
    places = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return float(np.degrees(np.linalg.norm(np.ptp(places, axis=1))))


def _closed(ring: Numbers, border: _Border, snap: float) -> shapely.Polygon | None:
    """Make the polygon of a ring with longitudes that go on beyond 180; None if impossible."""
    points = ring.copy()
    lon, lat = points.T
    half_turns = np.round(lon / 180) * 180
    points[:, 0] = np.where(np.abs(lon - half_turns) < snap, half_turns, lon)
    points[:, 1] = np.where(90 - np.abs(lat) < snap, np.copysign(90, lat), lat)
    turns = round((lon[-1] - lon[0]) / 360)
    if turns == 0:
        return _polygon(points)
    if abs(turns) > 1:
        return None
    places = border.places(_PLACES)
    for pole in sorted((-90.0, 90.0), key=lambda pole: abs(pole - lat.mean())):
        ends = np.array([[points[-1, 0], pole], [points[0, 0], pole]])
        polygon = _polygon(np.concatenate([points, ends]))
        if polygon is not None and _holds(polygon, places):
            return polygon
    return None


def _polygon(points: Numbers) -> shapely.Polygon | None:
    polygon = shapely.Polygon(points)
    return polygon if polygon.is_valid and not polygon.is_empty else None


def _is_of_scene(polygon: shapely.Polygon, border: _Border) -> bool:
    """Whether a polygon contains the scene and little else, checked at some points of the scene.

    The result is False if an outline doesn't separate the scene from the rest of the Earth, for
    example on maps of the whole globe that show the Earth in several parts.
    """
    # Longitude and sine of latitude are an equal-area map.
    on_map = shapely.transform(
        polygon,
        lambda points: np.stack([np.radians(points[:, 0]), np.sin(np.radians(points[:, 1]))], 1),
    )
    least, places = border.least_area(), border.places(_PLACES)
    # Near a pole, the sine can't resolve a few metres.
    is_as_large = least < _SMALL or least / 1.05 < on_map.area < least * 1.5
    return is_as_large and _holds(polygon, places)


def _holds(polygon: shapely.Polygon, places: Numbers) -> bool:
    wide = polygon.buffer(2e-3 * _size(places))
    west = polygon.bounds[0]
    lon = west + (places[:, 0] - west) % 360
    inside = shapely.contains_xy(wide, lon, places[:, 1])
    # By rounding, a point on the western border may be just outside.
    inside |= shapely.contains_xy(wide, lon - 360, places[:, 1])
    return bool(inside.all())


def _footprint(polygon: shapely.Polygon, decimals: int) -> Footprint:
    snap = 10.0**-decimals
    west, south, east, north = polygon.bounds
    shift = 360 * np.floor((west + 180) / 360)
    polygon = shapely.transform(polygon, lambda points: points - [shift, 0])
    west, east = west - shift, east - shift
    if east - west > 360 - 2 * snap:
        west, east = -180.0, 180.0
        parts = shapely.union_all(_pieces(polygon), grid_size=snap)
    elif east <= 180:
        parts = polygon
    else:
        parts = shapely.MultiPolygon(_pieces(polygon))
        east -= 360
    geometry = shapely.orient_polygons(parts)
    coordinates = [
        [
            [_rounded(point, decimals) for point in ring.coords]
            for ring in (part.exterior, *part.interiors)
        ]
        for part in getattr(geometry, "geoms", [geometry])
    ]
    bbox = _rounded([west, south, east, north], decimals)
    if len(coordinates) == 1:
        return Footprint({"type": "Polygon", "coordinates": coordinates[0]}, bbox)
    return Footprint({"type": "MultiPolygon", "coordinates": coordinates}, bbox)


def _pieces(polygon: shapely.Polygon) -> list[shapely.Polygon]:
    """Cut the polygon at the antimeridian and move each piece to longitudes of -180 to 180."""
    pieces = []
    for turn in (0, 1):
        box = shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)
        found = shapely.intersection(polygon, box)
        pieces += [
            shapely.transform(part, lambda points, turn=turn: points - [360 * turn, 0])
            for part in getattr(found, "geoms", [found])
            if part.geom_type == "Polygon" and not part.is_empty
        ]
    return pieces


def _decimals(ring: Numbers) -> int:
    wanted = math.ceil(4 - math.log10(max(_size(ring), 1e-9)))
    return min(max(wanted, _LEAST_DECIMALS), _MOST_DECIMALS)


def _rounded(numbers: Any, decimals: int) -> list[float]:
    return [round(float(number), decimals) + 0.0 for number in numbers]
