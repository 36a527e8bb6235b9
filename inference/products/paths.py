"""Names of the files that prediction writes of a scene, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COLLECTION_FILE = "collection.json"

# As `pystac.MediaType` has them; pystac takes half a second to import.
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG = "image/png"
GEOPACKAGE = "application/geopackage+sqlite3"
PARQUET = "application/x-parquet"


def model_file(digest: str) -> str:
    """Name of the STAC item of a model, beside the maps that were made with it."""
    return f"model_{digest}.json"


@dataclass(frozen=True)
class ProductFile:
    """A file of a scene, and its asset in the STAC item."""

    ending: str
    """What follows the id of the scene in its name."""
    asset: str
    """Key of its asset."""
    title: str
    """What it holds, as STAC browsers show it."""
    media_type: str
    role: Literal["data", "visual", "overview"] = "data"
    """What it is for, by STAC's names of roles."""
    has_codes: bool = False
    """Whether its pixels are labels; then the asset lists the classes."""
    title_of_masks: str = ""
    """The title where the classes are masks that may overlap; default: the same."""


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
        """The file with this ending; see `ProductFile.ending`."""
        return self.folder / f"{self.scene_id}{ending}"
