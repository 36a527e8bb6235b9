"""Truth of scenes: a raster of labels beside each scene, or polygons in a vector file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.importer import Sample
from autolabel.importers.vector import IMPORTER as POLYGONS
from polynya.errors import SceneError, TruthError
from polynya.names import printable
from polynya.recipe.base import STEM
from polynya.recipe.imports import VectorOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import beside
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, site_path

SITE = "{site}"
"""Placeholder for the scene's name up to its last underscore."""

BESIDE = f"{SITE}_truth.tif"
_VECTOR = (".gpkg", ".geojson", ".json", ".shp", ".fgb")


class Truth(Protocol):
    """Tells the right labels of a scene."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Names of files beside scenes that are no scenes, with `STEM` (`find_scenes`)."""

    def read(self, scene: Scene) -> NDArray[np.uint8]:
        """Labels of a scene, uint8 (H, W); the scheme's nodata where the truth is unknown.

        Raises:
            TruthError: It is missing, or doesn't fit the scene or the classes.
        """


@dataclass(frozen=True)
class RasterTruth:
    """A raster of class codes, or of masks, beside each scene and on its grid."""

    pattern: str
    """File name from the scene's folder, with `SITE` or `STEM` in it."""
    recipe: Recipe

    @property
    def companions(self) -> tuple[str, ...]:
        return (self.pattern,) if STEM in self.pattern else ()

    def read(self, scene: Scene) -> NDArray[np.uint8]:
        return read_truth(Path(place(scene.uri, self.pattern)), scene, self.recipe.classes)


@dataclass(frozen=True)
class PolygonTruth:
    """Polygons with the name, title or code of a class. What none of them covers is unknown."""

    pattern: str
    """A vector file, or with `SITE` or `STEM` in it, one beside each scene."""
    column: str
    """Attribute with the class."""
    recipe: Recipe

    @property
    def companions(self) -> tuple[str, ...]:
        return (self.pattern,) if STEM in self.pattern else ()

    def read(self, scene: Scene) -> NDArray[np.uint8]:
        path = place(scene.uri, self.pattern)
        if not scene.has_place:
            raise TruthError(
                f"{printable(scene.uri)} has no place on the ground to which the polygons in"
                f" {printable(path)} could be brought; add one (gdal_edit.py -a_srs -a_ullr)."
            )
        options = VectorOptions(kind="vector", labels=path, column=self.column)
        recipe = self.recipe.model_copy(update={"imports": options})
        try:
            sample = Sample(scene.id, scene.uri, (path,))
            return POLYGONS.read_labels(sample, scene, recipe, None)
        except SceneError as error:
            raise TruthError(str(error)) from None


def open_truth(pattern: str | None, column: str, recipe: Recipe) -> Truth:
    """Find out what a user means as truth.

    Args:
        pattern: Name of a raster or vector file; None for `BESIDE`.
        column: Attribute of polygons with the class.
        recipe: Recipe with the classes.

    Raises:
        TruthError: One raster is meant for all scenes.
    """
    pattern = BESIDE if pattern is None else pattern
    if pattern.lower().endswith(_VECTOR):
        return PolygonTruth(pattern, column, recipe)
    if SITE not in pattern and STEM not in pattern:
        raise TruthError(
            f"--truth {printable(pattern)} is one raster for all scenes; put {STEM} where the name"
            f" of a scene belongs, or {SITE} for its name up to the last underscore, such as"
            f" '{STEM}_labels.tif'."
        )
    return RasterTruth(pattern, recipe)


def place(uri: str, pattern: str) -> str:
    """Path of a file that belongs to a scene.

    Args:
        uri: Path or URI of the scene.
        pattern: With `SITE` or `STEM` from the folder of the scene, else a path of its own.
    """
    if SITE in pattern:
        return beside(uri, pattern.replace(SITE, site_path(uri).name))
    return beside(uri, pattern) if STEM in pattern else pattern
