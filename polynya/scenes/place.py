"""Georeference of a raster, as given by its file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Coefficients = tuple[float, float, float, float, float, float]
"""Affine coefficients (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f."""


@dataclass(frozen=True)
class ControlPoints:
    """Georeference of a raster without geotransform. Small and picklable."""

    points: tuple[tuple[float, float, float, float, float], ...] = ()
    """Ground control points: column, row, x, y, z; (0, 0) is the upper left corner."""
    crs: str | None = None
    """CRS of x and y, 'EPSG:n' or WKT; None if the file doesn't give it."""
    rpcs: tuple[tuple[str, str], ...] = ()
    """Rational polynomial coefficients as GDAL's names and texts."""

    def of_cells(self, rows: int, columns: int) -> ControlPoints:
        """Points on a coarser raster, with cells of `rows` x `columns` pixels; without RPCs."""
        points = tuple((c / columns, r / rows, x, y, z) for c, r, x, y, z in self.points)
        return ControlPoints(points, self.crs)


@dataclass(frozen=True)
class Place:
    """The georeference of a raster."""

    crs: str | None
    """'EPSG:n' if the CRS has a code, otherwise WKT; None if the file has no CRS."""
    transform: Coefficients | None
    """Geotransform; None if there is no usable one."""
    control: ControlPoints | None
    """Control points, only for a file without geotransform."""
    problem: str
    """What is missing for a place on the ground, and how to add it; "" if nothing is missing, or if
    the file has no georeference at all."""


def read_place(source: Any) -> Place:
    """Read the georeference of an open raster.

    A CRS alone gives no place: GDAL then reports the identity as geotransform, which would put
    pixels of one metre at the origin of the CRS.

    Args:
        source: A rasterio data set.
    """
    crs = source.crs.to_string() if source.crs else None
    transform: Coefficients = tuple(source.transform)[:6]
    if source.transform.is_identity:
        control = _control_points(source)
        return Place(crs, None, control, _missing_transform(crs, control))
    if not is_usable(transform):
        numbers = ", ".join(f"{number:g}" for number in transform)
        problem = (
            f"its geotransform ({numbers}) gives pixels no area; set a new one (gdal_edit.py"
            " -a_ullr west north east south)"
        )
        return Place(crs, None, None, problem)
    problem = "" if crs else "it has no coordinate system; set it (gdal_edit.py -a_srs EPSG:n)"
    return Place(crs, transform, None, problem)


def is_usable(transform: Coefficients) -> bool:
    """Whether an affine transform has finite numbers and can be inverted."""
    a, b, _, d, e, _ = transform
    largest = max(abs(a), abs(b)) * max(abs(d), abs(e))
    return all(map(math.isfinite, transform)) and abs(a * e - b * d) > 1e-12 * largest > 0


def _control_points(source: Any) -> ControlPoints | None:
    points, crs = source.gcps
    rpcs = tuple(sorted(source.rpcs.to_gdal().items())) if source.rpcs else ()
    if not points and not rpcs:
        return None
    kept = tuple((p.col, p.row, p.x, p.y, p.z or 0.0) for p in points)
    return ControlPoints(kept, crs.to_string() if crs else None, rpcs)


def _missing_transform(crs: str | None, control: ControlPoints | None) -> str:
    if control is None and crs is None:
        return ""
    if control is None:
        return (
            "it has a coordinate system but no geotransform; set one (gdal_edit.py -a_ullr west"
            " north east south)"
        )
    if control.points and control.crs is None:
        return (
            "its ground control points have no coordinate system; warp it with one (gdalwarp -tps"
            " -s_srs EPSG:4326 -t_srs EPSG:n)"
        )
    if not control.points:
        return (
            "only rational polynomials (RPC) say where it is; warp it with a terrain model"
            " (gdalwarp -rpc -to RPC_DEM=FILE -t_srs EPSG:n)"
        )
    return ""
