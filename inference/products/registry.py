"""The products of one scene beside its class map, written while its bands arrive.

A product is a `Writer`: it is opened before the first band, gets every band of probabilities and,
at the end, the class codes of the whole scene. A new one has a class here, a name in
`polynya.recipe.recipe.ProductName` and files in `inference.products.paths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Band
from inference.products.cog import RasterRows, cog_rows, raster_rows
from inference.products.concentration import (
    Concentration,
    concentration_grid,
    concentration_layout,
    ice_groups,
)
from inference.products.paths import ProductPaths
from inference.products.photos import write_label, write_overlay
from inference.products.polygons.polygons import write_polygons
from inference.products.polygons.vectors import VectorFiles
from inference.products.probability import STEP, entropy, entropy_layout, probability_layout, stored
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions, PolygonOptions
from polynya.scenes.scene import Scene

Codes = NDArray[np.uint8]


class Writer:
    """What a product does with a prediction; nothing, as long as it doesn't say more."""

    def add(self, band: Band) -> None:
        """Take some rows; they follow each other from the top."""

    def finish(self, codes: Codes) -> dict[str, str]:
        """Take the class codes, uint8 (H, W); return columns of the summary."""
        return {}


@contextmanager
def open_writers(
    paths: ProductPaths,
    scene: Scene,
    classes: ClassScheme,
    options: InferenceOptions,
    tags: dict[str, str],
) -> Iterator[SceneWriters]:
    """Open the products that `options` asks for; they are all there when the block ends.

    Nothing is left of them if the block raises.

    Args:
        paths: Their files.
        scene: What is predicted.
        classes: Scheme of the codes.
        options: Which products, and how.
        tags: Provenance.

    Raises:
        RecipeError: A product doesn't fit the classes.
        OutputError: A file can't be written.
    """
    with ExitStack() as stack:
        yield SceneWriters(stack, paths, scene, classes, options, tags)


class SceneWriters(Writer):
    """All the wanted products of one scene."""

    def __init__(
        self,
        stack: ExitStack,
        paths: ProductPaths,
        scene: Scene,
        classes: ClassScheme,
        options: InferenceOptions,
        tags: dict[str, str],
    ) -> None:
        wanted = options.products
        writers: list[Writer] = []
        if "concentration" in wanted:
            writers.append(_ConcentrationWriter(paths, scene, classes, options, tags))
        if "entropy" in wanted:
            rows = stack.enter_context(cog_rows(paths.entropy, entropy_layout(scene), tags))
            writers.append(_EntropyWriter(rows))
        if "probability" in wanted or "polygons" in wanted:
            layout = probability_layout(scene, classes)
            opened = (
                cog_rows(paths.probability, layout, tags)
                if "probability" in wanted
                else raster_rows(paths.probability, layout)
            )
            rows = stack.enter_context(opened)
            writers.append(_ProbabilityWriter(rows))
            if "polygons" in wanted:
                files = VectorFiles(paths.geopackage, paths.geoparquet, _crs_of(scene), tags)
                writers.append(_PolygonWriter(files, scene, classes, options.polygons, rows))
        if "label-png" in wanted:
            writers.append(_LabelWriter(paths, scene, classes, tags))
        if "overlay" in wanted:
            writers.append(_OverlayWriter(paths.overlay, scene, classes, tags))
        self._writers = writers

    def add(self, band: Band) -> None:
        """Hand some rows to each product."""
        for writer in self._writers:
            writer.add(band)

    def finish(self, codes: Codes) -> dict[str, str]:
        """Hand the class codes to each product; columns of the summary by name."""
        columns: dict[str, str] = {}
        for writer in self._writers:
            columns |= writer.finish(codes)
        return columns


def _crs_of(scene: Scene) -> str | None:
    """What the coordinates of polygons are in; None: pixels."""
    return scene.crs if scene.has_place else None


class _ProbabilityWriter(Writer):
    def __init__(self, rows: RasterRows) -> None:
        self._rows = rows

    def add(self, band: Band) -> None:
        self._rows.write(band.row, stored(band.probabilities, band.valid))


class _EntropyWriter(Writer):
    def __init__(self, rows: RasterRows) -> None:
        self._rows = rows
        self._sum, self._count = 0.0, 0

    def add(self, band: Band) -> None:
        values = entropy(band.probabilities)
        self._rows.write(band.row, stored(values, band.valid))
        self._sum += float(values[band.valid].sum(dtype=np.float64))
        self._count += int(band.valid.sum())

    def finish(self, codes: Codes) -> dict[str, str]:
        return {"mean_entropy": f"{self._sum / self._count:.6f}" if self._count else ""}


class _ConcentrationWriter(Writer):
    def __init__(
        self,
        paths: ProductPaths,
        scene: Scene,
        classes: ClassScheme,
        options: InferenceOptions,
        tags: dict[str, str],
    ) -> None:
        groups = ice_groups(options.concentration, classes)
        grid = concentration_grid(scene, options.concentration)
        self._path, self._layout = paths.concentration, concentration_layout(scene, grid, groups)
        self._tags = {**tags, "cell_pixels": f"{grid.columns} x {grid.rows}"}
        self._sums = Concentration(grid, groups, classes.nodata)

    def add(self, band: Band) -> None:
        self._sums.add(band)

    def finish(self, codes: Codes) -> dict[str, str]:
        with cog_rows(self._path, self._layout, self._tags) as rows:
            rows.write_all(self._sums.finish(codes))
        return {}


class _PolygonWriter(Writer):
    def __init__(
        self,
        files: VectorFiles,
        scene: Scene,
        classes: ClassScheme,
        options: PolygonOptions,
        probability: RasterRows,
    ) -> None:
        self._files, self._scene, self._classes = files, scene, classes
        self._options, self._probability = options, probability

    def finish(self, codes: Codes) -> dict[str, str]:
        counts = write_polygons(
            self._files,
            codes,
            self._scene,
            self._classes,
            min_pixels=self._options.min_pixels,
            probability=lambda code: self._probability.read(code + 1),
            step=STEP,
        )
        return {name: str(count) for name, count in vars(counts).items()}


class _LabelWriter(Writer):
    def __init__(
        self, paths: ProductPaths, scene: Scene, classes: ClassScheme, tags: dict[str, str]
    ) -> None:
        self._paths, self._scene, self._classes, self._tags = paths, scene, classes, tags

    def finish(self, codes: Codes) -> dict[str, str]:
        for path, colored in ((self._paths.label, False), (self._paths.color, True)):
            write_label(path, codes, self._scene, self._classes, self._tags, colored=colored)
        return {}


class _OverlayWriter(Writer):
    def __init__(
        self, path: Path, scene: Scene, classes: ClassScheme, tags: dict[str, str]
    ) -> None:
        self._path, self._scene, self._classes, self._tags = path, scene, classes, tags

    def finish(self, codes: Codes) -> dict[str, str]:
        write_overlay(self._path, codes, self._scene, self._classes, self._tags)
        return {}
