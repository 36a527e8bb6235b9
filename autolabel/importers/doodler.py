"""The kind `doodler`: results of Doodler, as .npz files or as its exporter's JPEG files.

Buscombe et al. 2022, Human-in-the-Loop Segmentation of Earth Surface Imagery, Earth and Space
Science 9. An .npz file holds `image`, `orig_image` (before filters; not in all versions), `label`,
a band for each class, and `settings`, a pickle that is never opened. The exporter writes
`images/X.jpg` and `labels/X_label.jpg`; most versions add 1 to the labels, and JPEG changes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.coding import code_table
from autolabel.importers.gym import find_npz, read_hot_labels
from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files
from autolabel.importers.masks import read_mask
from autolabel.importers.npz import Npz, opened_npz
from autolabel.importers.pairs import Patterns, pair
from autolabel.importers.rasters import (
    Pixels,
    describe_array,
    describe_raster,
    pixels_of,
    read_raster,
)
from polynya.errors import LabelError
from polynya.grid import Tile
from polynya.names import printable
from polynya.progress import console
from polynya.recipe.base import STEM
from polynya.recipe.imports import DoodlerOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene

_EXPORTED = Patterns(f"images/{STEM}.jpg", f"labels/{STEM}_label.jpg")
_MOST_ZEROS = 0.05
"""Share of zeros above which labels count from 0: JPEG makes some, near edges."""


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, DoodlerOptions)
    if not source.lower().endswith(".npz"):
        exported = pair(list_files(source), _EXPORTED)
        if exported:
            first = "1, which is taken off" if options.plus_one else "0"
            console.print(
                f"Note: the {len(exported)} labels in {printable(source)} are JPEG files that count"
                f" from {first}; each number takes the nearest class.",
                style="yellow", markup=False, soft_wrap=True,
            )  # fmt: skip
            return exported
    found = find_npz(source)
    return [Sample(name.rpartition("/")[2][:-4], path) for name, path in found.items()]


def _describe(sample: Sample, recipe: Recipe) -> Scene:
    if sample.labels:
        return describe_raster(sample, recipe)
    with opened_npz(sample.uri) as npz:
        shape, dtype = npz.header(_image_name(npz))
    return describe_array(sample, recipe, shape, dtype)


def _read_pixels(sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None) -> Pixels:
    if sample.labels:
        return read_raster(sample, scene, recipe, window)
    with opened_npz(sample.uri) as npz:
        image = npz.array(_image_name(npz))
    return pixels_of(image if window is None else image[window.slices], scene)


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    if not sample.labels:
        return read_hot_labels(sample.uri, "label", scene, recipe, window)
    options = recipe.imports
    assert isinstance(options, DoodlerOptions)
    table, nodata = dict(code_table(recipe)), recipe.classes.nodata
    if options.plus_one:
        table = {(n + 1,): label for (n,), label in table.items() if label != nodata}
        table[(0,)] = nodata
    labels = read_mask(sample.labels[0], scene, recipe, window, table=table, nearest=True)
    if options.plus_one and (labels == nodata).mean() > _MOST_ZEROS:
        raise LabelError(
            f"The mask {printable(sample.labels[0])} has many zeros, so its labels count from 0;"
            " set the recipe's key 'imports.plus_one' to false."
        )
    return labels


def _image_name(npz: Npz) -> str:
    return "orig_image" if "orig_image" in npz.names else "image"


IMPORTER = Importer(
    name="doodler",
    about="results of Doodler (.npz, or exported JPEG)",
    find=_find,
    read_labels=_read_labels,
    describe=_describe,
    read_pixels=_read_pixels,
)
