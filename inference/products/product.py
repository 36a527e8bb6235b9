"""The interface of products beside the class map: `Product` describes one, `Writer` writes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Band
from inference.products.cog import RasterRows
from inference.products.paths import ProductFile, ProductPaths
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import InferenceOptions, ProductName
from polynya.scenes.scene import Scene

Codes = NDArray[np.uint8]


class Writer:
    """Receives a prediction and writes a product; by default, the methods do nothing."""

    def add(self, band: Band) -> None:
        """Receive a strip; strips come in order from the top."""

    def finish(self, codes: Codes) -> dict[str, str]:
        """Receive the labels, uint8 (H, W); return columns of the summary."""
        return {}


@dataclass(frozen=True)
class Target:
    """The scene, options and files of a product."""

    paths: ProductPaths
    scene: Scene
    classes: ClassScheme
    options: InferenceOptions
    tags: dict[str, str]
    """Provenance."""
    rows: dict[str, RasterRows] = field(default_factory=dict)
    """Rasters of other products that are being written, by product name, so that this product can
    read them. They belong to products that are earlier in `ProductName`."""

    def path(self, file: ProductFile) -> Path:
        """Path of a file of the product."""
        return self.paths.named(file.ending)


def no_tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    """Return no tags, for a product that depends only on the map's provenance."""
    return {}


@dataclass(frozen=True)
class Product:
    """A product beside the class map."""

    name: ProductName
    about: str
    """Description in one line, for `--help` and docs/maps.md."""
    files: tuple[ProductFile, ...]
    open: Callable[[Target], AbstractContextManager[Writer]]
    """Function that opens the product before the first strip. When the context ends, all files are
    complete; if it ends with an error, there are no files. Raises OutputError if a file can't be
    written."""
    columns: tuple[str, ...] = ()
    """Columns of the summary that the writer returns."""
    needs_probabilities: bool = False
    """Whether the product needs probabilities; class codes are only a twelfth of the bytes."""
    tags: Callable[[InferenceOptions, ClassScheme], dict[str, str]] = no_tags
    """Function that lists the parts of the recipe that decide the content, in addition to the
    provenance of the map. Raises RecipeError if the product doesn't fit the classes."""
