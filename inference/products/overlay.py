"""The product `overlay`: a photograph under the colours of its classes, as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from inference.products.cog import ROWS, RasterLayout, raster_rows
from inference.products.paths import PNG, ProductFile
from inference.products.product import Codes, Product, Target, Writer
from polynya.grid import Tile
from polynya.recipe.classes import ClassScheme
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene

_OPACITY = 0.5
"""Share of the class colour in a mixed pixel."""


def write_overlay(
    path: Path,
    codes: Codes,
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
) -> None:
    """Write a PNG that mixes the scene and the colours of its classes in equal parts.

    Nodata is black, as in the scene. Pixels under no mask show the scene alone.

    Args:
        path: File to write; it is replaced as a whole.
        codes: uint8 (H, W), labels.
        scene: Scene of the labels.
        classes: Scheme with the colours.
        tags: Provenance, stored as text in the file.

    Raises:
        OutputError: The file can't be written.
        SceneError: The scene can't be read.
    """
    layout = RasterLayout(
        scene.height, scene.width, ("red", "green", "blue"), "uint8", None, None, None
    )
    with raster_rows(path, layout, tags) as rows:
        for row in range(0, scene.height, ROWS):
            part = codes[row : row + ROWS]
            image, _ = read_scene(scene, Tile(row, 0, len(part), scene.width))
            mixed = (1 - _OPACITY) * image + _OPACITY * classes.paint(part)
            bare = part == classes.nodata
            if classes.has_masks:
                bare |= part == 0
            shown = np.where(bare[..., None], image, np.rint(mixed))
            rows.write(row, shown.astype(np.uint8))
        rows.copy(path, "PNG", WRITE_METADATA_AS_TEXT="YES")


class _OverlayWriter(Writer):
    def __init__(self, target: Target) -> None:
        self._target = target

    def finish(self, codes: Codes) -> dict[str, str]:
        target = self._target
        write_overlay(target.path(_FILE), codes, target.scene, target.classes, target.tags)
        return {}


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    yield _OverlayWriter(target)


_FILE = ProductFile("_overlay.png", "overlay", "Classes over the scene", PNG, role="visual")
PRODUCT = Product(
    name="overlay",
    about="the scene with the colours of its classes over it, half and half",
    files=(_FILE,),
    open=_open,
)
