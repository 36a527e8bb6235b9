"""Truth rasters beside scenes: `SITE_truth.tif` is the truth for every `SITE_SKY.tif`."""

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
"""Kinds of sky that the last part of a scene's name can give."""

NO_SCENES = COMPANIONS


def last_part(scene_id: str) -> str:
    """Text after the last underscore of a name; "" without underscore."""
    return scene_id.rpartition("_")[2] if "_" in scene_id else ""


def sky_of(scene_id: str) -> str:
    """Kind of sky from the scene's name; "other" if the name doesn't give it."""
    return last_part(scene_id) if last_part(scene_id) in SKIES else "other"


def truth_path(uri: str) -> Path:
    """Expected path of a scene's truth."""
    site = site_path(uri)
    return site.with_name(f"{site.name}_truth.tif")


def site_path(uri: str) -> Path:
    """Path of a scene without extension, and without the last part of its name."""
    path = Path(gdal_path(uri) if uri.startswith("file://") else uri)
    return path.with_name(path.stem.rpartition("_")[0] or path.stem)


def read_truth(path: Path, scene: Scene, classes: ClassScheme) -> NDArray[np.uint8]:
    """Read the truth of a scene.

    Args:
        path: Raster of class codes or of masks, in the form that
            `polynya.scenes.beside.label_raster` reads. It must have the scene's grid, because
            resampling would add errors to the truth.
        scene: Scene that the truth belongs to.
        classes: Class scheme of the truth.

    Returns:
        uint8 (H, W), labels of `ClassScheme`; the scheme's nodata for unknown truth.

    Raises:
        TruthError: The truth is missing or unreadable, has another size or place than the scene, or
            has bands or codes that don't fit the classes.
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
    # rasterio gives the identity for a file without transform.
    transform = scene.transform or tuple(Affine.identity())[:6]
    if not np.allclose(tuple(source.transform)[:6], transform, rtol=1e-9):
        raise TruthError(
            f"The truth {path} and its scene {scene.uri} don't start at the same place or differ in"
            " pixel size; warp one of them onto the other (gdalwarp)."
        )
