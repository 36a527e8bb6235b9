"""Write samples as the GeoTIFFs that every stage of Polynya reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from data_samples.scene import GENERATOR_VERSION, SampleScene
from data_samples.spectral import COLOURS, SpectralScene
from polynya.recipe.classes import SEA_ICE
from polynya.storage.files import UnreadableError, whole_file

CRS = "EPSG:3031"
"""Antarctic polar stereographic."""

INFRARED = ("nir", "swir16", "cirrus")
"""Bands of a spectral scene that its files have beside the colours."""

_ONE = 10_000
"""Digital number of reflectance 1, as in Sentinel-2's products."""


def write_scene(scene: SampleScene, folder: Path, with_labels: bool = False) -> list[Path]:
    """Write the files of one site.

    - `<site>_clear.tif` and, unless the sky is clear, `<site>_<sky>.tif`: uint8 RGB, nodata 0.
    - `<site>_truth.tif`: uint8 class codes, nodata 255, with a colour table.
    - `<site>_sky.tif`: two uint8 bands, shadow gain and haze opacity in steps of 1/255 (GDAL
      scale), with a mask.
    - `<site>_<sky>_labels.tif` if wanted: the truth once more.

    Args:
        scene: The sample.
        folder: Existing folder; files of the same name that this generator wrote are replaced.
        with_labels: Also write the truth beside the image through the sky, under its name, where
            the recipe's key `label.raster` looks for labels.

    Returns:
        Paths of the files. The same scene gives the same bytes.

    Raises:
        OutputError: A file can't be written or read back, or a file that is not Polynya's is in
            its place.
    """
    kind = scene.sky.kind
    place = Affine(*scene.transform)
    tags = {
        "GENERATOR": f"polynya data_samples {GENERATOR_VERSION}",
        "SEED": str(scene.seed),
        "INDEX": str(scene.index),
        "ICE": scene.regime,
        "SUN_AZIMUTH": f"{scene.sky.sun_azimuth:.2f}",
        "SUN_ELEVATION": f"{scene.sky.sun_elevation:.2f}",
    }
    cloudy = {
        **tags,
        "SKY": kind,
        "CLOUD_BRIGHTNESS": f"{scene.sky.cloud_brightness:.2f}",
        "CLOUD_HEIGHT": f"{scene.sky.cloud_height:.0f}",
    }

    def target(part: str) -> Path:
        return folder / f"{scene.site}_{part}.tif"

    clear = {**tags, "SKY": "clear"}
    written = [_write_image(target("clear"), scene.clear, place, clear)]
    if kind != "clear":
        written.append(_write_image(target(kind), scene.observed, place, cloudy))
    written.append(_write_truth(target("truth"), scene.truth, place, tags))
    if with_labels:
        written.append(_write_truth(target(f"{kind}_labels"), scene.truth, place, tags))
    fields = np.stack([scene.sky.gain, scene.sky.haze])
    written.append(_write_sky(target("sky"), fields, scene.valid, place, cloudy))
    return written


def write_spectral(scene: SpectralScene, folder: Path, with_labels: bool = False) -> list[Path]:
    """Write the files of one spectral scene.

    - `<structure><seed>_<sky>.tif`: uint16 reflectance in steps of 1/10000 (GDAL scale) of the
      colours and of `INFRARED`, nodata 0. Colours are those of the scene's 8-bit image, so the
      recipe's usual stretch gives this image again.
    - `<structure><seed>_truth.tif`: uint8 class codes, nodata 255, with a colour table.
    - `<structure><seed>_sky.tif`: as of `write_scene`.
    - `<structure><seed>_<sky>_labels.tif` if wanted: the truth once more.

    Args, returns and raises: as `write_scene`.
    """
    site = f"{scene.structure}{scene.seed:05d}"
    place = Affine(*scene.transform)
    tags = {
        "GENERATOR": f"polynya data_samples {GENERATOR_VERSION}",
        "SEED": str(scene.seed),
        "STRUCTURE": scene.structure,
        "SKY": scene.sky,
        "SUN_AZIMUTH": f"{scene.sun_azimuth:.2f}",
        "SUN_ELEVATION": f"{scene.sun_elevation:.2f}",
    }
    colours = np.moveaxis(scene.observed, -1, 0).astype(np.float32) / np.float32(255)
    bands = np.concatenate([colours, np.stack([scene.bands[name] for name in INFRARED])])
    numbers = np.clip(np.rint(_ONE * bands), 1, np.iinfo(np.uint16).max).astype(np.uint16)
    numbers[:, ~scene.valid] = 0

    def target(part: str) -> Path:
        return folder / f"{site}_{part}.tif"

    names = (*COLOURS, *INFRARED)
    written = [
        _write(target(scene.sky), numbers, place, tags, nodata=0, names=names, step=1 / _ONE)
    ]
    written.append(_write_truth(target("truth"), scene.truth, place, tags))
    if with_labels:
        written.append(_write_truth(target(f"{scene.sky}_labels"), scene.truth, place, tags))
    fields = np.stack([scene.gain, scene.haze])
    written.append(_write_sky(target("sky"), fields, scene.valid, place, tags))
    return written


def _write_image(path: Path, rgb: NDArray[np.uint8], place: Affine, tags: dict[str, str]) -> Path:
    """Write a uint8 RGB image."""
    bands = np.moveaxis(rgb, -1, 0)
    return _write(path, bands, place, tags, nodata=0, options={"photometric": "rgb"})


def _write_truth(path: Path, codes: NDArray[np.uint8], place: Affine, tags: dict[str, str]) -> Path:
    """Write class codes with their colours."""
    return _write(path, codes[None], place, tags, nodata=SEA_ICE.nodata, colours=SEA_ICE.colormap())


def _write_sky(
    path: Path,
    fields: NDArray[np.float32],
    valid: NDArray[np.bool_],
    place: Affine,
    tags: dict[str, str],
) -> Path:
    """Write gain and haze, float32 (2, H, W), 0..1, in steps of 1/255."""
    numbers = np.rint(255.0 * fields).astype(np.uint8)
    names = ("shadow_gain", "haze_opacity")
    # Every value of a field is valid data, so only a mask can mark nodata.
    return _write(path, numbers, place, tags, names=names, step=1 / 255, mask=valid)


def _write(
    path: Path,
    bands: NDArray[Any],
    place: Affine,
    tags: dict[str, str],
    *,
    nodata: int | None = None,
    options: dict[str, str] | None = None,
    names: tuple[str, ...] | None = None,
    step: float | None = None,
    colours: dict[int, tuple[int, int, int, int]] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Path:
    """Write one file, (bands, H, W), with names of the bands and the step of their numbers."""
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "dtype": bands.dtype.name,
        "count": count,
        "height": height,
        "width": width,
        "crs": CRS,
        "transform": place,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 9,
        **(options or {}),
    }

    def check(written: Path) -> None:
        with rasterio.open(written) as source:
            if not np.array_equal(source.read(), bands):
                raise UnreadableError("it holds other pixels than were written")

    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        whole_file(path, check) as temporary,
        rasterio.open(temporary, "w", **profile) as target,
    ):
        target.write(bands)
        target.update_tags(**tags)
        if colours is not None:
            target.write_colormap(1, colours)
        if names is not None:
            target.descriptions = names
        if step is not None:
            target.scales = (step,) * count
        if mask is not None:
            target.write_mask(mask)
    return path
