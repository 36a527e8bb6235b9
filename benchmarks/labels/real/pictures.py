"""The real pictures of the data folder: their names, their files, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.errors import PolynyaError, SceneError
from polynya.rasters.opening import opened_raster
from polynya.scenes.reading import open_scene, read_scene
from polynya.scenes.scene import SceneLayers

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

GREENLAND, CLEAR, CLOUD = "greenland", "modis_clear", "modis_cloud"
PACK, TERRA, AQUA = "modis_pack", "modis_terra", "modis_aqua"
"""Names of the pictures."""

DAYS = (CLEAR, CLOUD)
"""The same sea on two days: clear, and under cloud."""
SAME_DAY = (TERRA, AQUA)
"""The same sea on one day, an hour or two apart."""
UNDER_SKIES = (CLEAR, TERRA, AQUA, GREENLAND)
"""Clear pictures that get simulated skies; Terra and Aqua only where they are clear."""
CLEAR_PICTURES = (*UNDER_SKIES, PACK)
"""All clear pictures."""

_DARK_BAND_7 = 10
"""Greatest number in band 7 of clear ground, 0..255. Snow, ice and water are dark at 2.1 um."""
_MEDIAN_SIZE = 7
"""Width of the median of band 7, in pixels. It ignores single pixels of bright floes."""
_GROWTH = 3
"""Pixels by which the clear area grows, so that it has the borders of floes."""
_LEAST_CLEAR = 5000
"""Least pixels of a connected clear area. Smaller dark ones in these pictures are cloud shadows."""

CLEAR_AREA = (
    "Terra and Aqua are judged where they are clear: the median of band 7 over 7 x 7 pixels is at"
    " most 10 of 255. Such areas grow by 3 pixels, and those of fewer than 5000 pixels are left"
    " out. The rest is nodata to all methods."
)
"""What `clear_part` does, for reports."""


@dataclass(frozen=True)
class _Files:
    """Files of one picture, relative to the data folder."""

    heading: str
    image: str
    land: str | None = None
    """Painted land mask."""
    cloud: str | None = None
    """Painted cloud layer, RGBA."""
    bands: str | None = None
    """MODIS bands 7, 2 and 1 as RGB."""


def _day(date: str, sky: str) -> _Files:
    start = f"modis_sea_ice/ne-greenland.{date}.terra.250m"
    return _Files(
        f"MODIS, north-east Greenland, {int(date[-2:])} September 2022, {sky}",
        f"{start}.truecolor.tiff",
        land=f"{start}.landmask.tiff",
        cloud=f"{start}.cloud.tiff",
    )


def _passing(satellite: str) -> _Files:
    start = f"modis_same_day/ne-greenland.20220914.{satellite}.250m"
    return _Files(
        f"MODIS on {satellite.title()}, north-east Greenland, 14 September 2022",
        f"{start}.truecolor.tiff",
        land="modis_same_day/ne-greenland.250m.landmask.tiff",
        bands=f"{start}.bands721.tiff",
    )


_FILES = {
    GREENLAND: _Files(
        "Sentinel-2, Greenland ice sheet with melt lakes, clear sky",
        "s2_greenland/derived_truecolor_rgb.tif",
    ),
    CLEAR: _day("20220913", "clear sky"),
    CLOUD: _day("20220914", "thin and thick cloud"),
    PACK: _Files("MODIS, pack ice, 21 June 2020, clear sky", "modis_sea_ice/latlon_20200621.tif"),
    TERRA: _passing("terra"),
    AQUA: _passing("aqua"),
}


@dataclass(frozen=True)
class RealScene:
    """A picture, and the pixels whose labels are counted."""

    name: str
    rgb: Image
    """(H, W, 3)."""
    valid: Mask
    """(H, W), True where there is data. Methods see these pixels."""
    counted: Mask
    """(H, W), True where there is data and no land."""
    overcast: Mask | None = None
    """(H, W), True where the product's cloud layer shows full cloud; None without this layer."""
    bands: Image | None = None
    """(H, W, 3), MODIS bands 7 (2.1 um), 2 (near infrared) and 1 (red), stretched to 8 bits for
    viewing; None if the picture has none."""
    sun: tuple[float, float] | None = None
    """Direction towards the sun over the picture: rows and columns; None if it is unknown."""

    @property
    def heading(self) -> str:
        """What the picture shows, for headings."""
        return _FILES[self.name].heading

    def infrared(self) -> SceneLayers | None:
        """Return the infrared bands as layers for a filter; None if the picture has none."""
        if self.bands is None:
            return None
        swir, nir = (
            np.where(self.valid, self.bands[..., band], 0).astype(np.float32) / np.float32(255)
            for band in (0, 1)
        )
        return SceneLayers(nir, swir, None, opaque_cloud=None, sun_azimuth=None, sun=self.sun)


def read_pictures(data: Path, names: Iterable[str] = tuple(_FILES)) -> dict[str, RealScene]:
    """Read pictures of the data folder, by name; default: all.

    Raises:
        PolynyaError: The folder or a file is missing.
        SceneError: A layer doesn't fit its picture.
    """
    if not data.is_dir():
        raise PolynyaError(
            f"there is no folder {data} for --data: name a folder with the images, s2_greenland,"
            " modis_sea_ice and modis_same_day"
        )
    return {name: read_picture(data, name) for name in names}


def read_picture(data: Path, name: str) -> RealScene:
    """Read one picture with its layers; for errors see `read_pictures`."""
    files = _FILES[name]
    rgb, valid = read_scene(open_scene(str(_existing(data, files.image))))
    counted, overcast, bands = valid, None, None
    if files.land is not None:
        counted = valid & ~is_land(_read_bands(data, files.land, valid.shape, (3, 4)))
    if files.cloud is not None:
        overcast = is_overcast(_read_bands(data, files.cloud, valid.shape, (4,)))
    if files.bands is not None:
        bands = _read_bands(data, files.bands, valid.shape, (3,))
    return RealScene(name, rgb, valid, counted, overcast, bands)


def is_land(painted: Image) -> Mask:
    """Find land in a painted mask: land is grey and opaque, sea is black or transparent.

    Args:
        painted: uint8 (H, W, 3 or 4), RGB or RGBA. The coast has values in between; it is land.
    """
    if painted.shape[2] == 4:
        return np.asarray(painted[..., 3] > 0, np.bool_)
    return np.asarray(painted.any(axis=2), np.bool_)


def is_overcast(painted: Image) -> Mask:
    """Find where a painted cloud layer has the colour of its highest step.

    The layers have no legend. Their colours and the scenes suggest that they show cloud fraction,
    and that red is the most.

    Args:
        painted: uint8 (H, W, 3 or more), RGB: violet for no cloud, then blue, green, yellow, brown,
            dark red, and pure red for full cloud. Compression changes numbers by some units.
    """
    red, green, blue = (painted[..., band] for band in range(3))
    return np.asarray((red > 230) & (green < 20) & (blue < 20), np.bool_)


def clear_part(scene: RealScene) -> RealScene:
    """Leave the clear area of a picture as the only area with data.

    A picture with bands has cloud somewhere, and is clear where band 7 is dark: its median over 7 x
    7 pixels is at most 10 of 255. These areas grow by 3 pixels, and those of fewer than 5000 pixels
    are left out. A picture without bands is taken as clear everywhere.
    """
    if scene.bands is None:
        return scene
    band7 = cv2.medianBlur(np.ascontiguousarray(scene.bands[..., 0]), _MEDIAN_SIZE)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _GROWTH + 1, 2 * _GROWTH + 1))
    dark = cv2.dilate((band7 <= _DARK_BAND_7).astype(np.uint8), disk)
    _, area, numbers, _ = cv2.connectedComponentsWithStats(dark)
    large = numbers[:, cv2.CC_STAT_AREA] >= _LEAST_CLEAR
    large[0] = False  # Area 0 is all that isn't dark.
    valid = scene.valid & large[area]
    return replace(scene, valid=valid, counted=scene.counted & valid)


def scaled(scene: RealScene, scale: float) -> RealScene:
    """Resize a picture: colours and bands smoothly, masks to the nearest pixel. Nodata gets black.

    Args:
        scene: The picture, (H, W).
        scale: 2 doubles height and width in pixels.
    """
    height, width = (max(1, round(scale * n)) for n in scene.valid.shape)
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC

    def mask(pixels: Mask) -> Mask:
        nearest = cv2.INTER_NEAREST
        resized = cv2.resize(pixels.astype(np.uint8), (width, height), interpolation=nearest)
        return np.asarray(resized > 0, np.bool_)

    valid = mask(scene.valid)

    def image(pixels: Image) -> Image:
        resized = cv2.resize(pixels, (width, height), interpolation=smooth)
        return np.where(valid[..., None], resized, 0).astype(np.uint8)

    return RealScene(
        scene.name,
        image(scene.rgb),
        valid,
        mask(scene.counted),
        None if scene.overcast is None else mask(scene.overcast),
        None if scene.bands is None else image(scene.bands),
        scene.sun,
    )


def cropped(scene: RealScene, row: int, column: int, size: int) -> RealScene:
    """Cut a square of `size` pixels, from its upper left corner; less beyond the picture's edge."""
    part = slice(row, row + size), slice(column, column + size)
    return RealScene(
        scene.name,
        np.ascontiguousarray(scene.rgb[part]),
        scene.valid[part],
        scene.counted[part],
        None if scene.overcast is None else scene.overcast[part],
        None if scene.bands is None else scene.bands[part],
    )


def _read_bands(data: Path, file: str, shape: tuple[int, ...], counts: tuple[int, ...]) -> Image:
    """Read all bands of a layer, uint8 (H, W, bands)."""
    path = _existing(data, file)
    with opened_raster(str(path)) as source:
        if source.shape != shape or source.count not in counts:
            raise SceneError(
                f"{path} has {source.count} bands of {source.width} x {source.height} pixels, but"
                f" its scene needs {' or '.join(map(str, counts))} of {shape[1]} x {shape[0]}; use"
                " the layer of that scene."
            )
        return np.ascontiguousarray(np.moveaxis(source.read(), 0, -1).astype(np.uint8))


def _existing(data: Path, file: str) -> Path:
    path = data / file
    if not path.is_file():
        raise PolynyaError(f"there is no file {path}; --data must name a folder that has it")
    return path
