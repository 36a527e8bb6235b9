"""The interface of an importer, and what an imported sample is.

An importer finds samples in a source (a folder, a file, an archive) and reads the labels of one
sample. Most of them read images with GDAL, and need nothing else. What is the same for all is in
`autolabel.importers.samples`: ids, digests, sizes, dilation, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.rasters import Pixels, describe_raster, read_raster
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.scene import Scene


@dataclass(frozen=True)
class Sample(SceneRef):
    """One image of a data set with its labels, not opened yet. Small and picklable."""

    labels: tuple[str, ...] = ()
    """Files beside the image that its labels or further bands come from."""
    content: str = ""
    """The labels themselves, if they are not in a file of their own, in a form of the importer."""
    problem: str = ""
    """Why the sample can't be used, one sentence; "" if it can."""


@dataclass(frozen=True, kw_only=True)
class ImportedScene(Scene):
    """A sample as a scene: with the size and place that it has in the shards."""

    sample: Sample
    raw: Scene
    """The image before it is resized or padded."""


@dataclass(frozen=True)
class Importer:
    """A kind of data set."""

    name: str
    """Value of the recipe's key `imports.kind`, and name of the module."""
    about: str
    """What the kind is, for tables and help: lower case, no full stop."""
    find: Callable[[str, Recipe], list[Sample]]
    """Lists the samples in a source, in any order. An unusable sample has a `problem`. Raises
    SceneError if the whole source can't be used."""
    read_labels: Callable[[Sample, Scene, Recipe, Tile | None], NDArray[np.uint8]]
    """Reads the labels of an image, or of a rectangle of it: uint8 (H, W), labels of the recipe's
    classes. Raises LabelError or SceneError."""
    describe: Callable[[Sample, Recipe], Scene] = describe_raster
    """Describes the image of a sample. Raises SceneError."""
    read_pixels: Callable[[Sample, Scene, Recipe, Tile | None], Pixels] = read_raster
    """Reads the image of a sample, or a rectangle of it. Raises SceneError."""
