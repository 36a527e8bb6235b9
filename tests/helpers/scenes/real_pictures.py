"""Small stand-ins for the real pictures of the label benchmark."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.transform import from_origin

SHAPE = (64, 160)
LAND_COLUMNS = 40
"""Rows and columns of all stand-ins; the first columns are land."""


def write_tiff(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype="uint8",
        crs="EPSG:3413", transform=from_origin(0, 0, 250, 250),
    ) as target:  # fmt: skip
        target.write(np.moveaxis(pixels, -1, 0))
        if count == 4:
            target.colorinterp = (*target.colorinterp[:3], rasterio.enums.ColorInterp.alpha)


def painted(color: tuple[int, int, int, int]) -> np.ndarray:
    return np.tile(np.array(color, np.uint8), (*SHAPE, 1))


def with_alpha(colors: np.ndarray) -> np.ndarray:
    return np.dstack([colors, np.full(SHAPE, 255, np.uint8)])


def write_stand_ins(data: Path) -> None:
    """A folder as the command wants it: floes on water, and half of the second day overcast."""
    rng = np.random.default_rng(0)
    ice = (cv2.GaussianBlur(rng.random(SHAPE, np.float32), (0, 0), 4) > 0.5)[..., None]
    ground = np.where(ice, (225, 228, 230), (10, 15, 20)).astype(np.uint8)
    black = ground.copy()
    black[:4, :4] = 0
    black[10:15, 20:30] = 0
    write_tiff(data / "s2_greenland" / "derived_truecolor_rgb.tif", black)
    land = painted((0, 0, 0, 0))
    land[:, :LAND_COLUMNS] = 75, 75, 75, 255
    for day, cloudy in (("20220913", False), ("20220914", True)):
        image = with_alpha(ground)
        cloud = painted((102, 0, 119, 255))
        if cloudy:
            image[:, 100:, :3] = (0.5 * image[:, 100:, :3] + 0.5 * 235).astype(np.uint8)
            cloud[:, 100:] = 255, 0, 5, 255
        if not cloudy:
            image[-2:] = 0
        for kind, pixels in (("truecolor", image), ("cloud", cloud), ("landmask", land)):
            name = f"ne-greenland.{day}.terra.250m.{kind}.tiff"
            write_tiff(data / "modis_sea_ice" / name, pixels)
    write_tiff(data / "modis_sea_ice" / "latlon_20200621.tif", with_alpha(ground))
    same_day = data / "modis_same_day"
    write_tiff(same_day / "ne-greenland.250m.landmask.tiff", land[..., :3])
    for satellite, cloudy_from in (("terra", 130), ("aqua", 110)):
        start = f"ne-greenland.20220914.{satellite}.250m"
        bands = np.dstack([np.full(SHAPE, 4, np.uint8), ground[..., 2], ground[..., 0]])
        bands[:, cloudy_from:] = 170, 220, 220
        image = ground.copy()
        image[:, cloudy_from:] = 200
        write_tiff(same_day / f"{start}.truecolor.tiff", image)
        write_tiff(same_day / f"{start}.bands721.tiff", bands)
