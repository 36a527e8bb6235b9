"""From pixels of a scene to the ground: longitude, latitude and the surface of the ellipsoid.

Every CRS with an ellipsoid is handled in the same way, with any projection, unit, axis order, prime
meridian or body. A CRS without one (engineering, geocentric and vertical CRS) has no ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer

from polynya.scenes.place import Coefficients, ControlPoints
from polynya.scenes.scene import Scene

Numbers = NDArray[np.float64]
ToMap = Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]

_MOST_POINTS = 400
"""Greatest number of control points in use. The time of a thin-plate spline grows with the cube of
their number."""
_ROUND_TRIP = 2e-9
"""Greatest shift of a point on the way to the ground and back, as a share of the Earth's radius."""


class NoGroundError(Exception):
    """The reason why a scene's pixels have no position on the ground, as a part of a sentence."""


@dataclass(frozen=True)
class Ground:
    """The transformation from pixels of one scene to the ground."""

    crs: CRS
    """Horizontal CRS of the map coordinates."""
    to_map: ToMap
    """Function from columns and rows, float64 (N,), to x and y."""
    affine: Coefficients | None
    """Affine coefficients of `to_map`; None for control points."""
    axis: float
    """Semi-major axis of the CRS's ellipsoid, metres."""
    eccentricity2: float
    """Square of the first eccentricity of the ellipsoid."""

    @property
    def is_plain_geographic(self) -> bool:
        """Whether x and y are longitude and latitude, in any unit."""
        return bool(self.crs.is_geographic and not self.crs.is_derived)

    @property
    def degrees_per_unit(self) -> float:
        """Degrees in one unit of the geographic CRS, which may be the base of a projection."""
        return _degrees_per_unit(_geographic(self.crs))

    def lon_lat(self, columns: Numbers, rows: Numbers) -> Numbers:
        """Compute longitude and latitude on the CRS's own datum, degrees.

        Returns:
            float64 (N, 2); NaN off the Earth: where the projection has no inverse, or the inverse
            doesn't lead back to the same point.
        """
        x, y = self.to_map(np.asarray(columns, np.float64), np.asarray(rows, np.float64))
        if self.is_plain_geographic:
            lon, lat = x * self.degrees_per_unit, y * self.degrees_per_unit
            # In grids of the whole globe, the pole may be the centre of the outer pixels.
            return np.stack([lon, np.clip(lat, -90, 90)], axis=1)
        there = _transformer(self.crs, _geographic(self.crs))
        found = np.array(there.transform(x, y), np.float64)
        back = np.array(there.transform(found[0], found[1], direction="INVERSE"), np.float64)
        with np.errstate(invalid="ignore"):
            moved = np.hypot(back[0] - x, back[1] - y) * map_unit(self.crs)
            found[:, ~(moved < _ROUND_TRIP * self.axis)] = np.nan
        return (found * self.degrees_per_unit).T

    def surface(self, columns: Numbers, rows: Numbers) -> Numbers:
        """Compute geocentric coordinates of points on the ellipsoid, float64 (N, 3), metres.

        NaN off the Earth.
        """
        lon, lat = np.radians(self.lon_lat(columns, rows)).T
        across = self.axis / np.sqrt(1 - self.eccentricity2 * np.sin(lat) ** 2)
        return np.stack(
            [
                across * np.cos(lat) * np.cos(lon),
                across * np.cos(lat) * np.sin(lon),
                across * (1 - self.eccentricity2) * np.sin(lat),
            ],
            axis=1,
        )

    def wgs84(self, columns: Numbers, rows: Numbers) -> Numbers:
        """Compute longitude and latitude on WGS 84, float64 (N, 2), degrees; NaN off the Earth.

        Raises:
            NoGroundError: The CRS is not for the Earth.
        """
        found = self.lon_lat(columns, rows)
        try:
            datum = _transformer(_geographic(self.crs), CRS("EPSG:4326"))
            moved = np.array(datum.transform(*(found / self.degrees_per_unit).T), np.float64).T
        except ProjError:
            raise NoGroundError(
                f"its coordinate system ({self.crs.name}) can't be brought to longitude and"
                " latitude on the Earth"
            ) from None
        return np.where(np.isfinite(moved), moved, np.nan)


def find_ground(scene: Scene) -> Ground:
    """Find the transformation from a scene's pixels to the ground.

    Raises:
        NoGroundError: The ground is unknown; the text gives the reason and, if there is one, the
            remedy.
    """
    if scene.has_place:
        return _ground_of_map(scene.crs or "", scene.transform)
    if scene.control is None or not scene.control.points or scene.control.crs is None:
        raise NoGroundError(scene.place_problem or "it has no georeference")
    return _ground_of_points(scene.control)


def ground_of(scene: Scene) -> Ground | None:
    """Find the transformation like `find_ground`; None if the ground is unknown."""
    try:
        return find_ground(scene)
    except NoGroundError:
        return None


def why_without_ground(scene: Scene) -> str:
    """Explain why areas, lengths or footprint of a scene are unknown; empty if they are known.

    The text is also empty for scenes without any position, such as photographs.
    """
    if scene.crs is None and scene.transform is None and scene.control is None:
        return scene.place_problem
    try:
        middle = np.array([scene.width / 2]), np.array([scene.height / 2])
        find_ground(scene).wgs84(*middle)
    except NoGroundError as error:
        return str(error)
    return ""


@lru_cache(maxsize=8)
def _ground_of_map(text: str, transform: Coefficients | None) -> Ground:
    assert transform is not None
    crs = horizontal_crs(text)
    a, b, c, d, e, f = transform

    def to_map(columns: Numbers, rows: Numbers) -> tuple[Numbers, Numbers]:
        return a * columns + b * rows + c, d * columns + e * rows + f

    geod: Any = crs.get_geod()
    return Ground(crs, to_map, transform, geod.a, geod.es)


@lru_cache(maxsize=8)
def _ground_of_points(control: ControlPoints) -> Ground:
    """Make a transformation from control points: a thin-plate spline.

    The spline is on an equal-area map around the centre of the points, because a spline of
    longitudes would fail at the antimeridian and at the poles.
    """
    points = np.array(list({point[:2]: point for point in control.points}.values()))
    points = points[np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).astype(int)]
    earth = CRS("EPSG:4326")
    try:
        lon, lat = _transformer(horizontal_crs(control.crs or ""), earth).transform(
            points[:, 2], points[:, 3], errcheck=True
        )
        local = CRS.from_dict({"proj": "laea", "datum": "WGS84", **_middle(lon, lat)})
        xs, ys = _transformer(earth, local).transform(lon, lat, errcheck=True)
        spline = GCPTransformer(
            [
                GroundControlPoint(row=row, col=column, x=x, y=y)
                for column, row, x, y in zip(points[:, 0], points[:, 1], xs, ys, strict=True)
            ],
            tps=True,
        )
    except (ProjError, RasterioError):
        spline = None

    def to_map(columns: Numbers, rows: Numbers) -> tuple[Numbers, Numbers]:
        x, y = spline.xy(rows, columns, offset="ul")
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    # If all points are on a line, the spline gives NaN.
    if spline is None or len(points) < 3 or not np.isfinite(to_map(*np.zeros((2, 1)))).all():
        raise NoGroundError(
            f"its {len(control.points)} ground control points don't give a position; set other"
            " points (gdal_translate -gcp) or warp the scene yourself (gdalwarp)"
        )
    geod: Any = local.get_geod()
    return Ground(local, to_map, None, geod.a, geod.es)


def _middle(lon: Numbers, lat: Numbers) -> dict[str, float]:
    """Find the centre of points on the globe, even across the antimeridian or a pole."""
    along, up = np.radians(lon), np.radians(lat)
    x, y, z = (
        (np.cos(up) * np.cos(along)).sum(),
        (np.cos(up) * np.sin(along)).sum(),
        np.sin(up).sum(),
    )
    return {
        "lon_0": float(np.degrees(np.arctan2(y, x))),
        "lat_0": float(np.degrees(np.arctan2(z, np.hypot(x, y)))),
    }


@lru_cache(maxsize=32)
def horizontal_crs(text: str) -> CRS:
    """Find the horizontal CRS, without heights and without shifts to other datums.

    Args:
        text: 'EPSG:n' or WKT.

    Raises:
        NoGroundError: PROJ doesn't know the CRS, or the CRS has no coordinates on the ground.
    """
    try:
        crs = CRS.from_user_input(text)
        while crs.is_compound or crs.is_bound:
            inner = crs.sub_crs_list[0] if crs.is_compound else crs.source_crs
            assert inner is not None  # Compound and bound CRS contain other CRS.
            crs = inner
        if crs.is_geographic or crs.is_projected:
            crs = crs.to_2d()
            _transformer(crs, _geographic(crs))
            return crs
    except (CRSError, ProjError):
        raise NoGroundError("PROJ doesn't know its coordinate system") from None
    raise NoGroundError(
        f"its coordinate system ({crs.name}) isn't one of the ground; set the true one"
        " (gdal_edit.py -a_srs EPSG:n)"
    )


def map_unit(crs: CRS) -> float:
    """Metres in one unit of a projected CRS; radians in one unit of a geographic CRS."""
    return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0


def _degrees_per_unit(crs: CRS) -> float:
    # EPSG's degree has 15 digits. After rounding, a degree is exactly 1 and a grad exactly 0.9.
    return round(math.degrees(map_unit(crs)), 12)


def _geographic(crs: CRS) -> CRS:
    """Find the geographic CRS that is the base of a projection or a rotated pole."""
    base = crs.source_crs if crs.is_derived and crs.is_geographic else crs.geodetic_crs
    return crs if base is None else base.to_2d()


@lru_cache(maxsize=32)
def _transformer(source: CRS, target: CRS) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)
