"""Write a sample as the GeoTIFFs that every stage of Polynya reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from data_samples.scene import GENERATOR_VERSION, SampleScene
from polynya.recipe.classes import SEA_ICE
from polynya.storage.files import UnreadableError, whole_file

CRS = "EPSG:3031"
"""Antarctic polar stereographic."""


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

    written = [_write(target("clear"), _bands(scene.clear), scene, {**tags, "SKY": "clear"}, 0)]
    if kind != "clear":
        written.append(_write(target(kind), _bands(scene.observed), scene, cloudy, 0))
    written.append(_write(target("truth"), scene.truth[None], scene, tags, SEA_ICE.nodata))
    if with_labels:
        name = f"{kind}_labels"
        written.append(_write(target(name), scene.truth[None], scene, tags, SEA_ICE.nodata))
    fields = np.rint(255.0 * np.stack([scene.sky.gain, scene.sky.haze])).astype(np.uint8)
    written.append(_write(target("sky"), fields, scene, cloudy, None))
    return written


def _bands(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return rgb.transpose(2, 0, 1)


def _write(
    path: Path,
    bands: NDArray[np.uint8],
    scene: SampleScene,
    tags: dict[str, str],
    nodata: int | None,
) -> Path:
    """Write one file: three bands are an image, two are sky fields, one is class codes."""
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": count,
        "height": height,
        "width": width,
        "crs": CRS,
        "transform": Affine(*scene.transform),
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 9,
    }
    if count == 3:
        profile["photometric"] = "rgb"

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
        if count == 1:
            target.write_colormap(1, SEA_ICE.colormap())
        if count == 2:
            # Every value of a field is valid data, so only a mask can mark nodata.
            target.descriptions = ("shadow_gain", "haze_opacity")
            target.scales = (1 / 255, 1 / 255)
            target.write_mask(scene.valid)
    return path
