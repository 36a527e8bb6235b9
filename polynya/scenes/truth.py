"""Truth rasters beside scenes: `SITE_truth.tif` is the truth of every `SITE_SKY.tif`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS

from polynya.errors import LabelError, SceneError, TruthError, reason_of
from polynya.rasters.opening import opened_raster
from polynya.recipe.classes import ClassScheme
from polynya.scenes.beside.label_raster import labels_in
from polynya.scenes.finding import COMPANIONS
from polynya.scenes.scene import Scene
from polynya.storage.stores import gdal_path

SKIES = ("clear", "shadow", "cloud", "both")
"""What the last part of a scene's name can say about its sky."""

NO_SCENES = COMPANIONS


def last_part(scene_id: str) -> str:
    """What follows the last underscore of a name; "" if there is none."""
    return scene_id.rpartition("_")[2] if "_" in scene_id else ""


def sky_of(scene_id: str) -> str:
    """Kind of sky by the scene's name, "other" if the name doesn't say it."""
    return last_part(scene_id) if last_part(scene_id) in SKIES else "other"


def truth_path(uri: str) -> Path:
    """Where the truth of a scene is expected."""
    path = Path(gdal_path(uri) if uri.startswith("file://") else uri)
    site = path.stem.rpartition("_")[0] or path.stem
    return path.with_name(f"{site}_truth.tif")


def read_truth(path: Path, scene: Scene, classes: ClassScheme) -> NDArray[np.uint8]:
    """Read the truth of a scene.

    Args:
        path: Raster of class codes, or of masks, as `polynya.scenes.beside.label_raster` reads it;
            on the scene's own grid, as a resampled truth is none.
        scene: What it must fit.
        classes: What its codes must be.

    Returns:
        uint8 (H, W), labels as `ClassScheme` has them, the scheme's nodata where the truth is
        unknown.

    Raises:
        TruthError: Missing, unreadable, of another size or place, or with bands or codes that are
            not those of the classes.
    """
    try:
        with opened_raster(str(path), scene.references) as source:
            _check_place(path, source, scene)
            return labels_in(source, f"The truth {path}", classes)
    except LabelError as error:
        raise TruthError(str(error)) from None
    except SceneError as error:
        problem = f"can't be used ({reason_of(error)})" if path.exists() else "is missing"
        what = "masks" if classes.has_masks else "class codes"
        raise TruthError(
            f"The truth of {scene.uri}, {path}, {problem}; put a raster of {what} there."
        ) from None


def _check_place(path: Path, source: Any, scene: Scene) -> None:
    if (source.height, source.width) != (scene.height, scene.width):
        raise TruthError(
            f"The truth {path} has {source.height} x {source.width} pixels and its scene"
            f" {scene.uri} {scene.height} x {scene.width}; they must be the same."
        )
    crs = CRS.from_user_input(scene.crs) if scene.crs else None
    if source.crs != crs:
        raise TruthError(
            f"The truth {path} has the CRS {source.crs} and its scene {scene.uri} {crs}; warp one"
            " onto the other (gdalwarp)."
        )
    # Identity is what rasterio gives where there is no transform.
    transform = scene.transform or tuple(Affine.identity())[:6]
    if not np.allclose(tuple(source.transform)[:6], transform, rtol=1e-9):
        raise TruthError(
            f"The truth {path} and its scene {scene.uri} don't start at the same place or differ in"
            " pixel size; warp one of them onto the other (gdalwarp)."
        )
