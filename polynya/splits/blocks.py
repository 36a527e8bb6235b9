"""Groups of tiles by place: square blocks, and a buffer between the sides of a split.

Neighbouring pixels resemble each other, so tiles next to each other are no independent test
(D. R. Roberts et al., "Cross-validation strategies for data with temporal, spatial, hierarchical,
or phylogenetic structure", Ecography 40, 2017). Blocks keep neighbours on one side; the buffer
leaves out the training tiles that lie close to the validation tiles.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from polynya.errors import ShardError
from polynya.splits.tiles import TileTable

_APART = 1e9
"""Distance in pixels between scenes that have no place in common; greater than any buffer."""


def ground_outlines(tiles: TileTable) -> NDArray[np.object_]:
    """Compute the outlines of tiles in metres, in one plane for all of them.

    The plane is the tiles' own coordinate system if all have the same and its unit is the metre.
    Otherwise it is Lambert's azimuthal equal-area projection around the mean of all tiles.

    Args:
        tiles: N tiles.

    Returns:
        N polygons of four corners.

    Raises:
        ShardError: A scene has no coordinate system or no transform.
    """
    for scene, crs, transform in zip(tiles.scenes, tiles.crs, tiles.transforms, strict=True):
        if crs is None or not np.isfinite(transform).all():
            raise ShardError(
                f"The scene {scene} doesn't say where it is, so its tiles have no blocks in metres;"
                " give the size of blocks in pixels (--block 1024px)."
            )
    corners = _pixel_corners(tiles.boxes[:, 2:])
    a, b, c, d, e, f = tiles.transforms.T[:, :, None]
    x = a * corners[..., 0] + b * corners[..., 1] + c
    y = d * corners[..., 0] + e * corners[..., 1] + f
    systems = sorted({str(crs) for crs in tiles.crs})
    if len(systems) > 1 or not _is_metric(systems[0]):
        x, y = _in_one_plane(x, y, np.array(tiles.crs), systems)
    return _polygons(np.stack([x, y], axis=-1))


def pixel_outlines(tiles: TileTable) -> NDArray[np.object_]:
    """Compute the outlines of tiles in pixels of their scenes, each scene far from the others.

    Returns:
        N polygons of four corners: x is the column, y the row.
    """
    _, number = np.unique(tiles.scenes, return_inverse=True)
    corners = _pixel_corners(tiles.boxes[:, 2:]) + tiles.boxes[:, None, 1::-1]
    corners[..., 0] += number[:, None] * _APART
    return _polygons(corners)


def by_block(outlines: NDArray[np.object_], size: float) -> list[str]:
    """Group tiles by the square block that holds their centre.

    Args:
        outlines: N polygons.
        size: Edge of a block, in the unit of the outlines.

    Returns:
        N names such as "block 3 -17": numbers of the block along x and y.
    """
    centres = shapely.get_coordinates(shapely.centroid(outlines))
    return [f"block {x} {y}" for x, y in np.floor(centres / size).astype(np.int64).tolist()]


def by_pixel_block(tiles: TileTable, size: float) -> list[str]:
    """Group tiles by the square block of their scene that holds their centre.

    Args:
        tiles: N tiles.
        size: Edge of a block in pixels.

    Returns:
        N names such as "scene block 3 0": numbers of the block along columns and rows.
    """
    centres = tiles.boxes[:, 1::-1] + tiles.boxes[:, :1:-1] / 2
    blocks = np.floor(centres / size).astype(np.int64).tolist()
    return [f"{scene} block {x} {y}" for scene, (x, y) in zip(tiles.scenes, blocks, strict=True)]


def near_folds(
    outlines: NDArray[np.object_], folds: NDArray[np.int64], distance: float
) -> list[tuple[int, ...]]:
    """Find the folds that a tile is too close to.

    Args:
        outlines: N polygons.
        folds: int64 (N,), fold of each tile; -1 for tiles that never validate.
        distance: Width of the buffer in the unit of the outlines. Tiles of two folds that overlap
            are too close with any width; tiles that only touch need a width above 0.

    Returns:
        For each tile, the other folds with a tile closer than `distance`, in rising order.
    """
    tree = shapely.STRtree(outlines)
    first, second = tree.query(outlines, predicate="dwithin", distance=distance)
    differ = (folds[first] != folds[second]) & (folds[second] >= 0)
    first, second = first[differ], second[differ]
    close = shapely.distance(outlines[first], outlines[second]) < distance
    # Rounding makes neighbours overlap by a hair.
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    close |= shared > 1e-6 * np.minimum(shapely.area(outlines[first]), 1.0)
    near: list[set[int]] = [set() for _ in folds]
    for tile, fold in zip(first[close].tolist(), folds[second[close]].tolist(), strict=True):
        near[tile].add(fold)
    return [tuple(sorted(found)) for found in near]


def _pixel_corners(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Corners of tiles from their heights and widths (N, 2): (N, 4, 2), column and row."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    return corners * sizes[:, None, ::-1]


def _polygons(corners: NDArray[np.float64]) -> NDArray[np.object_]:
    return np.asarray(shapely.polygons(corners), np.object_)


def _is_metric(crs: str) -> bool:
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        raise ShardError(
            f"The coordinate system {crs} of the tiles is unknown ({error}); give the size of"
            " blocks in pixels (--block 1024px)."
        ) from None
    return system.is_projected and all(
        axis.unit_conversion_factor == 1 for axis in system.axis_info
    )


def _in_one_plane(
    x: NDArray[np.float64], y: NDArray[np.float64], crs: NDArray[np.str_], systems: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project corners (N, 4) of several systems into one equal-area plane."""
    longitude, latitude = np.empty_like(x), np.empty_like(y)
    for system in systems:
        own = crs == system
        change = Transformer.from_crs(system, "EPSG:4326", always_xy=True)
        longitude[own], latitude[own] = change.transform(x[own], y[own])
    # The mean of directions, because the mean of longitudes is wrong at the antimeridian.
    lon, lat = np.radians(longitude), np.radians(latitude)
    east, north = np.mean(np.cos(lat) * np.cos(lon)), np.mean(np.cos(lat) * np.sin(lon))
    lon_0 = np.degrees(np.arctan2(north, east))
    lat_0 = np.degrees(np.arctan2(np.mean(np.sin(lat)), np.hypot(east, north)))
    plane = CRS.from_proj4(f"+proj=laea +lat_0={lat_0:.6f} +lon_0={lon_0:.6f} +datum=WGS84")
    projected = Transformer.from_crs("EPSG:4326", plane, always_xy=True)
    return projected.transform(longitude, latitude)
