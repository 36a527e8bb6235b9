"""One grid for several maps: its coordinate system, resolution, origin and extent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from inference.ground.coordinates import Numbers, horizontal_crs, map_unit
from inference.ground.footprint import scene_footprint
from inference.maps.made_map import grid_scene
from polynya.errors import SceneError
from polynya.rasters.opening import MOST_COLUMNS, MOST_PIXELS
from polynya.scenes.scene import Scene

NORTH, SOUTH = "EPSG:3413", "EPSG:3031"
"""Polar stereographic systems of sea-ice products (NSIDC) for each hemisphere."""

_SAME = 1e-6
"""Greatest difference of origins and sizes of pixels, in pixels, that count as the same grid."""
_PER_SIDE = 257
"""Points on each side of a map and in its inside whose places give its extent on another map."""
_DIGITS = 3
"""Digits of a resolution in other units than those of the maps."""

Extent = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class Grid:
    """A grid with north-up pixels."""

    crs: str
    left: float
    top: float
    width_of_pixel: float
    height_of_pixel: float
    height: int
    width: int

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        return (self.width_of_pixel, 0.0, self.left, 0.0, -self.height_of_pixel, self.top)

    def scene(self, name: str, uri: str = "") -> Scene:
        """Describe the grid as a scene, for its areas and its footprint."""
        return grid_scene(name, uri, self.height, self.width, self.crs, self.transform)


def choose_crs(scenes: Sequence[Scene]) -> str:
    """Choose the coordinate system: that of all maps, else the polar one of their hemisphere.

    Raises:
        SceneError: The maps differ and lie in both hemispheres.
    """
    names = {scene.crs or "" for scene in scenes}
    if len(names) == 1:
        return names.pop()
    norths = {_latitude(scene) >= 0 for scene in scenes}
    if len(norths) == 2:
        raise SceneError(
            "The maps have different coordinate systems and lie on both sides of the equator, so no"
            " polar map fits; name one, such as --crs EPSG:6933."
        )
    return NORTH if norths.pop() else SOUTH


def check_crs(text: str) -> str:
    """Check a coordinate system that a user named; SceneError if it isn't one of the ground."""
    try:
        found = CRS.from_user_input(text)
    except CRSError:
        raise SceneError(
            f"--crs {text} is no coordinate system that PROJ knows; give one such as EPSG:3413."
        ) from None
    if not (found.is_projected or found.is_geographic):
        raise SceneError(f"--crs {text} has no map; give one such as EPSG:3413.")
    code = found.to_epsg()
    return text if code is None else f"EPSG:{code}"


def common_grid(
    scenes: Sequence[Scene],
    crs: str | None = None,
    resolution: float | None = None,
    extent: Extent | None = None,
) -> Grid:
    """Find the grid that holds all maps, or a region.

    If all maps have the coordinate system, one size of pixel and origins that differ by whole
    pixels, the grid is theirs and nothing is resampled. Else its origin is a multiple of its
    resolution, so that grids of different maps fit to each other.

    Args:
        scenes: Maps with a place; at least one.
        crs: Coordinate system; default: `choose_crs`.
        resolution: Edge of a pixel in units of the coordinate system; default: the finest of the
            maps, in metres if it is one of metres.
        extent: Of the region, in units of the coordinate system; default: that of the maps.

    Raises:
        SceneError: The grid would be too large, or no point of a map has a place on it.
    """
    crs = crs or choose_crs(scenes)
    size, phase = _pixels(scenes, crs, resolution)
    extents = [extent] if extent else [extent_of(scene, crs) for scene in scenes]
    if horizontal_crs(crs).is_geographic:
        extents = _unwrapped(extents, 360 / _degrees(crs))
    left = _floor(min(extent[0] for extent in extents), size[0], phase[0])
    bottom = _floor(min(extent[1] for extent in extents), size[1], phase[1])
    right = _ceil(max(extent[2] for extent in extents), size[0], phase[0])
    top = _ceil(max(extent[3] for extent in extents), size[1], phase[1])
    columns, rows = round((right - left) / size[0]), round((top - bottom) / size[1])
    if columns > MOST_COLUMNS or columns * rows > MOST_PIXELS:
        raise SceneError(
            f"The maps together would have {columns:,} columns and {rows:,} rows in {crs}; give a"
            " coarser --resolution, another --crs, or maps that lie closer together."
        )
    return Grid(crs, left, top, *size, rows, columns)


def extent_of(scene: Scene, crs: str) -> Extent:
    """Find the extent of a map in a coordinate system.

    Across the antimeridian, longitudes go on beyond 180. A map that holds a pole is surrounded by
    its border on polar maps, and has all longitudes on others.

    Raises:
        SceneError: No point of the map has a place there.
    """
    if horizontal_crs(crs).is_geographic and scene.crs != crs:
        footprint = scene_footprint(scene)
        if footprint is not None:
            west, south, east, north = footprint.bbox
            unit = _degrees(crs)
            east += 360 * (west > east)
            return west / unit, south / unit, east / unit, north / unit
    x, y = _outline(scene)
    if scene.crs != crs:
        x, y = (np.asarray(v) for v in to_crs(scene.crs or "", crs).transform(x, y))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise SceneError(f"{scene.uri} has no place in {crs}; give another --crs.")
    x, y = x[known], y[known]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


@lru_cache(maxsize=64)
def to_crs(source: str, target: str) -> Transformer:
    """Transformation between two coordinate systems, without their heights."""
    return Transformer.from_crs(horizontal_crs(source), horizontal_crs(target), always_xy=True)


def _outline(scene: Scene) -> tuple[Numbers, Numbers]:
    """Map coordinates of points on the border of a map and in it."""
    assert scene.transform is not None
    a, b, c, d, e, f = scene.transform
    share = np.linspace(0, 1, _PER_SIDE)
    inside = np.linspace(0, 1, 33)
    zero, one = np.zeros(_PER_SIDE), np.ones(_PER_SIDE)
    grid = np.meshgrid(inside, inside)
    columns = np.concatenate([share, share, zero, one, grid[0].ravel()]) * scene.width
    rows = np.concatenate([zero, one, share, share, grid[1].ravel()]) * scene.height
    return a * columns + b * rows + c, d * columns + e * rows + f


def _pixels(
    scenes: Sequence[Scene], crs: str, resolution: float | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Width and height of a pixel, and where the grid's lines lie: offsets in pixels, 0 to 1."""
    own = {_own_pixels(scene) for scene in scenes}
    first = next(iter(sorted(own)))
    is_one = all(
        max(abs(one[0] / first[0] - 1), abs(one[1] / first[1] - 1)) < _SAME
        and _apart(one[2], first[2]) < _SAME
        and _apart(one[3], first[3]) < _SAME
        and not one[4]
        for one in own
    )
    is_wanted = (
        resolution is None
        or abs(resolution / first[0] - 1) + abs(resolution / first[1] - 1) < 2 * _SAME
    )
    if is_one and is_wanted and {scene.crs for scene in scenes} == {crs}:
        return (first[0], first[1]), (first[2], first[3])
    edge = resolution or min(_edge_in(scene, crs) for scene in scenes)
    return (edge, edge), (0.0, 0.0)


def _own_pixels(scene: Scene) -> tuple[float, float, float, float, bool]:
    """Width, height and offsets of a map's pixels, and whether they are turned or upside down."""
    assert scene.transform is not None
    a, b, c, d, e, f = scene.transform
    width, height = math.hypot(a, d), math.hypot(b, e)
    return width, height, (c / width) % 1.0, (f / height) % 1.0, bool(b or d or a < 0 or e > 0)


def _apart(one: float, other: float) -> float:
    """Difference of two offsets, of which 0 and 1 are the same."""
    apart = abs(one - other) % 1.0
    return min(apart, 1 - apart)


def _edge_in(scene: Scene, crs: str) -> float:
    """Edge of a map's pixel in units of a coordinate system.

    Between two projections it is the nominal edge, so 10 m of UTM stay 10 m.
    """
    width, height, *_ = _own_pixels(scene)
    own, target = horizontal_crs(scene.crs or ""), horizontal_crs(crs)
    edge = min(width, height) * map_unit(own) / map_unit(target)
    if own.is_geographic == target.is_geographic:
        return edge
    # Elsewhere it is the square root of the area of the pixel in the middle.
    assert scene.transform is not None
    a, b, c, d, e, f = scene.transform
    columns = scene.width / 2 + np.array([0.0, 1.0, 0.0])
    rows = scene.height / 2 + np.array([0.0, 0.0, 1.0])
    x, y = to_crs(scene.crs or "", crs).transform(
        a * columns + b * rows + c, d * columns + e * rows + f
    )
    right, down = (x[1] - x[0], y[1] - y[0]), (x[2] - x[0], y[2] - y[0])
    found = math.sqrt(abs(right[0] * down[1] - right[1] * down[0]))
    if not (math.isfinite(found) and found > 0):
        raise SceneError(f"{scene.uri} has no pixel size in {crs}; give --resolution.")
    return float(f"{found:.{_DIGITS}g}")


def _latitude(scene: Scene) -> float:
    """Latitude of the middle of a map, degrees."""
    assert scene.transform is not None
    a, b, c, d, e, f = scene.transform
    x = a * scene.width / 2 + b * scene.height / 2 + c
    y = d * scene.width / 2 + e * scene.height / 2 + f
    return float(to_crs(scene.crs or "", "EPSG:4326").transform(x, y)[1])


def _degrees(crs: str) -> float:
    """Degrees in a unit of a geographic coordinate system."""
    return round(math.degrees(map_unit(horizontal_crs(crs))), 12)


def _unwrapped(extents: Sequence[Extent], turn: float) -> list[Extent]:
    """Move extents by whole turns, so that together they are as narrow as possible."""
    starts = sorted({extent[0] for extent in extents})

    def moved(start: float) -> list[Extent]:
        shifts = [-turn * math.floor((left - start) / turn + _SAME) for left, _, _, _ in extents]
        return [(e[0] + s, e[1], e[2] + s, e[3]) for e, s in zip(extents, shifts, strict=True)]

    best = min(
        map(moved, starts), key=lambda found: max(e[2] for e in found) - min(e[0] for e in found)
    )
    left = min(e[0] for e in best)
    if max(e[2] for e in best) - left <= turn:
        return best
    return [(left, e[1], left + turn, e[3]) for e in best]


def _floor(value: float, size: float, phase: float) -> float:
    return (math.floor(value / size - phase + _SAME) + phase) * size


def _ceil(value: float, size: float, phase: float) -> float:
    return (math.ceil(value / size - phase - _SAME) + phase) * size
