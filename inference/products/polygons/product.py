"""The definition of the product `polygons`, and its access to probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from inference.predict.windows import Band
from inference.products.cog import RasterRows, raster_rows
from inference.products.paths import GEOPACKAGE, PARQUET, ProductFile
from inference.products.polygons.polygons import PolygonCounts, write_polygons
from inference.products.polygons.vectors import VectorFiles
from inference.products.probability import STEP, ProbabilityWriter, probability_layout
from inference.products.product import Codes, Product, Target, Writer
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions


class _PolygonWriter(Writer):
    """Outlines regions when the probabilities of all rows are available."""

    def __init__(self, target: Target, probability: RasterRows) -> None:
        self._target, self._probability = target, probability

    def finish(self, codes: Codes) -> dict[str, str]:
        target = self._target
        crs = target.scene.crs if target.scene.has_place else None
        counts = write_polygons(
            VectorFiles(target.path(_GEOPACKAGE), target.path(_GEOPARQUET), crs, target.tags),
            codes,
            target.scene,
            target.classes,
            min_pixels=target.options.polygons.min_pixels,
            probability=lambda code: self._probability.read(code + 1),
            step=STEP,
        )
        return {name: str(count) for name, count in vars(counts).items()}


class _WithProbabilities(_PolygonWriter):
    """Also writes the probabilities, if no other product does."""

    def __init__(self, target: Target, probability: RasterRows) -> None:
        super().__init__(target, probability)
        self._rows = ProbabilityWriter(probability)

    def add(self, band: Band) -> None:
        self._rows.add(band)


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    if (shared := target.rows.get("probability")) is not None:
        yield _PolygonWriter(target, shared)
        return
    layout = probability_layout(target.scene, target.classes)
    with raster_rows(target.path(_GEOPACKAGE), layout) as rows:
        yield _WithProbabilities(target, rows)


def _tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    return {"polygons_min_pixels": str(options.polygons.min_pixels)}


_GEOPACKAGE = ProductFile("_polygons.gpkg", "polygons", "Regions", GEOPACKAGE)
_GEOPARQUET = ProductFile("_polygons.parquet", "polygons-parquet", "Regions (GeoParquet)", PARQUET)
PRODUCT = Product(
    name="polygons",
    about="outlines of floes, leads and every other region, with their sizes",
    files=(_GEOPACKAGE, _GEOPARQUET),
    open=_open,
    columns=tuple(field.name for field in fields(PolygonCounts)),
    needs_probabilities=True,
    tags=_tags,
)
