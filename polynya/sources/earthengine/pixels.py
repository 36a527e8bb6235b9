"""Fetching pixels of an Earth Engine image in parts, which are kept until the scene is complete.

Limits of one request: 48 MiB of pixels before compression, 32,768 pixels per side, 1024 bands.
Source: error messages of https://developers.google.com/earth-engine/apidocs/ee-data-computepixels.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from polynya.errors import SceneError, reason_of
from polynya.grid import Tile
from polynya.sources.earthengine.images import AFFINE, URI, client, client_errors
from polynya.sources.items import sentinel2
from polynya.sources.items.item import Grid, Item
from polynya.sources.items.scene_file import describe_raster, mosaic_vrt
from polynya.storage.files import whole_file
from polynya.storage.ownership import is_whole

MAX_REQUEST_BYTES = 50_331_648
"""Greatest size of the pixels of one request, before compression."""
PART_BYTES = MAX_REQUEST_BYTES * 2 // 3
"""Size of the pixels in our requests: below the limit, so that a repeated request costs less."""
MAX_SIDE = 32_768

_BYTES_PER_SAMPLE = 2
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def part_paths(item: Item, folder: Path) -> dict[Tile, Path]:
    """Paths of the parts of an image, which are kept until its scene is complete."""
    grid = item.grid
    if grid is None:
        raise ValueError(f"`item` must come from list_items. Received: {item}")
    tiles = split_grid(grid.height, grid.width, len(item.bands) * _BYTES_PER_SAMPLE)
    stem = item.digest()
    return {tile: folder / f"{stem}_{tile.row}_{tile.col}.tif" for tile in tiles}


def fetch_parts(item: Item, folder: Path, pool: Executor) -> str:
    """Fetch the pixels of an image that are not in a folder yet.

    Args:
        item: From `list_items`.
        folder: Folder for the parts, which are kept until the scene is complete.
        pool: Executor of the requests.

    Returns:
        XML of a virtual raster of all parts.

    Raises:
        SceneError: A part doesn't arrive, or is not the requested one.
    """
    paths = part_paths(item, folder)
    grid = item.grid
    assert grid is not None
    missing = [tile for tile, path in paths.items() if not is_whole(path)]
    requests = [pool.submit(_fetch_part, item, grid, tile, paths[tile]) for tile in missing]
    try:
        # Not `as_completed`: it waits for ever if an ending run cancels the requests.
        for request in requests:
            request.result()
    finally:
        for request in requests:
            request.cancel()
    parts = []
    for tile, path in paths.items():
        part = describe_raster(str(path))
        placed = Grid(grid.crs, _part_transform(grid, tile), tile.width, tile.height)
        parts.append(replace(part, path=str(path.absolute()), grid=placed))
    index = {band.name: number for number, band in enumerate(item.bands, start=1)}
    return mosaic_vrt(item, grid, parts, index)


def split_grid(height: int, width: int, bytes_per_pixel: int) -> list[Tile]:
    """Cut a grid into nearly equal parts of at most `PART_BYTES` and `MAX_SIDE` pixels per side."""
    most = PART_BYTES // bytes_per_pixel
    side = min(math.isqrt(most), MAX_SIDE)
    n_cols = math.ceil(width / side)
    part_width = math.ceil(width / n_cols)
    n_rows = math.ceil(height / min(most // part_width, MAX_SIDE))
    part_height = math.ceil(height / n_rows)
    return [
        Tile(row, col, min(part_height, height - row), min(part_width, width - col))
        for row in range(0, height, part_height)
        for col in range(0, width, part_width)
    ]


def _fetch_part(item: Item, grid: Grid, tile: Tile, path: Path) -> None:
    ee = client()
    bands = [band.path for band in item.bands]
    image = ee.Image(item.uri.removeprefix(URI)).select(bands)
    coarse = [
        band.path for band in item.bands if band.coarse and band.name != sentinel2.CLASSIFICATION
    ]
    if coarse:
        # By default, Earth Engine takes the nearest pixel of a coarse band. Interpolated numbers
        # have fractions, which toUint16 would cut off.
        smooth = image.select(coarse).resample("bilinear").round()
        image = image.addBands(smooth, None, True)
    # Masked pixels, also outside the image, become nodata without a change of the data type.
    image = image.unmask(sentinel2.NODATA, False).toUint16()
    affine = dict(zip(AFFINE, _part_transform(grid, tile), strict=True))
    request = {
        "expression": image,
        "fileFormat": "GEO_TIFF",
        "grid": {
            "crsCode": grid.crs,
            "affineTransform": affine,
            "dimensions": {"width": tile.width, "height": tile.height},
        },
    }
    what = f"{item.uri} (rows from {tile.row}, columns from {tile.col})"
    try:
        content = bytes(ee.data.computePixels(request))
    except client_errors(ee) as error:
        raise SceneError(
            f"{what} didn't arrive ({reason_of(error)}); run the command again, it continues where"
            " it ended."
        ) from None
    _check_part(content, (len(bands), tile.height, tile.width), what)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _check_part(content: bytes, shape: tuple[int, int, int], what: str) -> None:
    """Raise SceneError unless a part is a complete GeoTIFF of the correct size."""
    if not content.startswith(_TIFF):
        # GDAL would detect another format, and open files that the content names.
        raise SceneError(f"{what} came as no GeoTIFF; run the command again.")
    try:
        with MemoryFile(content) as memory, memory.open(driver="GTiff") as source:
            found = ((source.count, *source.shape), set(source.dtypes))
            if found != (shape, {"uint16"}):
                raise SceneError(
                    f"{what} came with shape {found[0]} and type {', '.join(found[1])} where"
                    f" {shape} and uint16 were asked for; run the command again."
                )
            source.read()
    except RasterioError as error:
        raise SceneError(f"{what} came as no GeoTIFF ({error}); run the command again.") from None


def _part_transform(grid: Grid, tile: Tile) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = grid.transform
    return (a, b, c + a * tile.col + b * tile.row, d, e, f + d * tile.col + e * tile.row)
