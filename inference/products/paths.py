"""Names of the files that prediction writes of a scene."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from polynya.recipe.inference import ProductName

COLLECTION_FILE = "collection.json"


def model_file(digest: str) -> str:
    """Name of the STAC item of a model, beside the maps that were made with it."""
    return f"model_{digest}.json"


@dataclass(frozen=True)
class ProductPaths:
    """Files of one scene."""

    folder: Path
    scene_id: str

    @property
    def map(self) -> Path:
        return self._named(".tif")

    @property
    def item(self) -> Path:
        return self._named(".json")

    @property
    def picture(self) -> Path:
        return self._named(".png")

    @property
    def probability(self) -> Path:
        return self._named("_probability.tif")

    @property
    def entropy(self) -> Path:
        return self._named("_entropy.tif")

    @property
    def concentration(self) -> Path:
        return self._named("_concentration.tif")

    @property
    def geopackage(self) -> Path:
        return self._named("_polygons.gpkg")

    @property
    def geoparquet(self) -> Path:
        return self._named("_polygons.parquet")

    @property
    def label(self) -> Path:
        return self._named("_label.png")

    @property
    def color(self) -> Path:
        return self._named("_color.png")

    @property
    def overlay(self) -> Path:
        return self._named("_overlay.png")

    def of(self, products: Iterable[ProductName]) -> list[Path]:
        """Files of these products, and those that every scene has."""
        files: dict[ProductName, list[Path]] = {
            "probability": [self.probability],
            "entropy": [self.entropy],
            "concentration": [self.concentration],
            "polygons": [self.geopackage, self.geoparquet],
            "label-png": [self.label, self.color],
            "overlay": [self.overlay],
        }
        return [self.map, self.item, self.picture, *(p for name in products for p in files[name])]

    def _named(self, ending: str) -> Path:
        return self.folder / f"{self.scene_id}{ending}"
