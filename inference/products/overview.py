"""The overview picture of a scene: its colours, labels by thresholds, its map, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel import label_image
from autolabel.thresholds.profiles import fitting_profile
from inference.ground.lengths import map_scale
from polynya.errors import TruthError
from polynya.grid import Tile
from polynya.progress import console
from polynya.recipe.recipe import Recipe
from polynya.report.blocks import Blocks
from polynya.report.pictures import draw_panels, thinning
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, truth_path

_ROWS = 1024
"""Rows per read."""


@dataclass(frozen=True)
class Preview:
    """A scene at a low resolution."""

    image: NDArray[np.uint8] | None
    """(h, w, 3), mean colours of blocks of pixels; None for a scene without colours."""
    labels: NDArray[np.uint8] | None
    """(h, w), most frequent class of each block by thresholds; None for other classes or masks."""


def read_preview(scene: Scene, recipe: Recipe) -> Preview:
    """Read a scene in parts, and reduce its resolution.

    Thresholds are applied to every pixel, because mean colours would give other labels.
    """
    classes, profile = recipe.classes, fitting_profile(recipe.label, recipe.classes)
    step = thinning(scene.height, scene.width)
    if not scene.has_colors:
        return Preview(None, None)
    blocks = Blocks(scene.height, scene.width, step)
    for row in range(0, scene.height, _ROWS):
        tile = Tile(row, 0, min(_ROWS, scene.height - row), scene.width)
        image, valid = read_scene(scene, tile)
        blocks.add_image(row, 0, image)
        if profile is not None:
            given = label_image(image, method="none", profile=profile, valid=valid, classes=classes)
            blocks.add_codes(row, 0, given)
    labels = None if profile is None else blocks.codes(classes.nodata)
    return Preview(blocks.image(), labels)


def draw_overview(
    path: Path, preview: Preview, scene: Scene, codes: NDArray[np.uint8], recipe: Recipe
) -> None:
    """Draw a scene, its labels by thresholds, its map and, if it has a suitable one, its truth.

    Args:
        path: PNG file to write.
        preview: Preview of the scene.
        scene: Scene of the map.
        codes: uint8 (H, W), the map's labels.
        recipe: Recipe of the model, with the classes.

    Raises:
        OutputError: The file can't be written.
    """
    classes = recipe.shown_classes
    panels = [] if preview.image is None else [("Scene", preview.image)]
    if preview.labels is not None:
        panels.append(("Label by thresholds", preview.labels))
    panels.append(("Prediction", reduced(codes, classes.nodata)))
    truth = truth_path(scene.uri)
    if truth.is_file():
        try:
            panels.append(("Truth", reduced(read_truth(truth, scene, classes), classes.nodata)))
        except TruthError as error:  # Truth is optional, and the file's name may be a coincidence.
            console.print(f"The picture is without truth: {error}", markup=False, soft_wrap=True)
    step = thinning(scene.height, scene.width)
    scale = map_scale(scene)
    draw_panels(
        path,
        panels,
        classes,
        scene.id,
        metres=None if scale is None else scale.metres * step,
        north=None if scale is None else scale.north,
    )


def reduced(codes: NDArray[np.uint8], nodata: int) -> NDArray[np.uint8]:
    """Reduce labels to the resolution of pictures: the most frequent code of each block of pixels.

    Args:
        codes: uint8 (H, W).
        nodata: Code of blocks without data.

    Returns:
        uint8 (h, w), see `polynya.report.pictures.thinning`.
    """
    height, width = codes.shape
    blocks = Blocks(height, width, thinning(height, width))
    for row in range(0, len(codes), _ROWS):
        blocks.add_codes(row, 0, codes[row : row + _ROWS])
    return blocks.codes(nodata)
