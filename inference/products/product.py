"""What a product beside the class map is: a `Product` says all of itself, a `Writer` writes it."""

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
    """What a product does with a prediction; nothing, as long as it doesn't say more."""

    def add(self, band: Band) -> None:
        """Take some rows; they follow each other from the top."""

    def finish(self, codes: Codes) -> dict[str, str]:
        """Take the labels, uint8 (H, W); return columns of the summary."""
        return {}


@dataclass(frozen=True)
class Target:
    """What a product is written of, and where to."""

    paths: ProductPaths
    scene: Scene
    classes: ClassScheme
    options: InferenceOptions
    tags: dict[str, str]
    """Provenance."""
    rows: dict[str, RasterRows] = field(default_factory=dict)
    """Rasters that are being written, by the name of their product, for others to read: those of
    products that `ProductName` has before."""

    def path(self, file: ProductFile) -> Path:
        """Where a file of the product goes."""
        return self.paths.named(file.ending)


def no_tags(options: InferenceOptions, classes: ClassScheme) -> dict[str, str]:
    """Tags of a product whose content nothing but the map's provenance decides."""
    return {}


@dataclass(frozen=True)
class Product:
    """A product beside the class map."""

    name: ProductName
    about: str
    """What it is, in one line of `--help` and docs/maps.md."""
    files: tuple[ProductFile, ...]
    open: Callable[[Target], AbstractContextManager[Writer]]
    """Opens it before the first band; all its files are there, whole, when the context ends, and
    none of them if it ends with an error. Raises OutputError where one can't be written."""
    columns: tuple[str, ...] = ()
    """Columns of the summary that its writer returns."""
    needs_probabilities: bool = False
    """Whether class codes aren't enough, a twelfth of the bytes."""
    tags: Callable[[InferenceOptions, ClassScheme], dict[str, str]] = no_tags
    """What of the recipe decides its content, beside the provenance of the map. Raises RecipeError
    where the product doesn't fit the classes."""
