"""The kind `folder`: a folder of images and a folder of masks, matched by their names.

Any image that GDAL reads, of 8 or 16 bits or floats, with 1 to N bands. Masks hold class numbers,
colours or a band for each class. Where a mask has nodata, the label is unknown, so partial labels
(an area, sparse points) are masks with nodata elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.masks import color_table, read_mask
from autolabel.importers.pairs import Patterns, find_pairs
from polynya.grid import Tile
from polynya.recipe.imports import FolderOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, FolderOptions)
    patterns = Patterns(options.images, options.masks, from_recipe=True)
    return find_pairs(source, patterns, options.validation)


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    options = recipe.imports
    assert isinstance(options, FolderOptions)
    table = None
    if options.coding == "colors":
        table = color_table(recipe, options.colors, options.unknown_color)
    return read_mask(sample.labels[0], scene, recipe, window, options.coding, table)


IMPORTER = Importer(
    name="folder",
    about="images and masks in two folders",
    find=_find,
    read_labels=_read_labels,
)
