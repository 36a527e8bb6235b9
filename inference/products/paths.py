"""Names and descriptions of the files that prediction writes for a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COLLECTION_FILE = "collection.json"

# Copied from `pystac.MediaType`, because pystac takes half a second to import.
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG = "image/png"
GEOPACKAGE = "application/geopackage+sqlite3"
PARQUET = "application/x-parquet"
QML = "application/xml"
"""Styles for QGIS; they have no media type of their own."""


def model_file(digest: str) -> str:
    """Name of the STAC item of a model; it is beside the maps of the model."""
    return f"model_{digest}.json"


@dataclass(frozen=True)
class ProductFile:
    """A file of a scene, and its asset in the STAC item."""

    ending: str
    """End of the file's name, after the id of the scene."""
    asset: str
    """Key of the asset."""
    title: str
    """Title in STAC browsers."""
    media_type: str
    role: Literal["data", "visual", "overview", "metadata"] = "data"
    """Purpose of the file: one of STAC's names of roles."""
    has_codes: bool = False
    """Whether the pixels are labels; then the asset lists the classes."""
    title_of_masks: str = ""
    """Title if the classes are masks that may overlap; default: `title`."""
    values: tuple[float, float] = (0.0, 1.0)
    """Least and greatest possible value of a raster of measures, for its style."""


MAP = ProductFile(
    ".tif", "map", "Class codes", COG, has_codes=True, title_of_masks="Masks, a band each"
)
OVERVIEW = ProductFile(
    ".png", "overview", "Scene, threshold labels and classes", PNG, role="overview",
    title_of_masks="Scene and masks",
)  # fmt: skip


@dataclass(frozen=True)
class ProductPaths:
    """Files of one scene."""

    folder: Path
    scene_id: str

    @property
    def map(self) -> Path:
        return self.named(MAP.ending)

    @property
    def item(self) -> Path:
        return self.named(".json")

    @property
    def picture(self) -> Path:
        return self.named(OVERVIEW.ending)

    def named(self, ending: str) -> Path:
        """Path of the file with this ending; see `ProductFile.ending`."""
        return self.folder / f"{self.scene_id}{ending}"
