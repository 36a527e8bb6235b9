"""Photographs: turned as their camera says, and shown with their classes as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.products.cog import ROWS, RasterLayout, raster_rows
from polynya.grid import Tile
from polynya.rasters.opening import opened_raster
from polynya.recipe.classes import ClassScheme
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene

_OPACITY = 0.5
"""Share of the class colour in an overlay."""

# From the stored pixels to the upright image, by the value of EXIF's tag Orientation: mirrored
# first, then so many quarter turns counterclockwise (CIPA DC-008-2019, 4.6.4 A).
_TURNS = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3),
          8: (False, 1)}  # fmt: skip


@contextmanager
def upright(scene: Scene, folder: Path) -> Iterator[Scene]:
    """The scene as its camera says it is to be looked at.

    A model that was trained on upright photographs must see them upright, and its maps are laid
    over photographs in programs that turn them. Scenes with georeference are as they are.

    Args:
        scene: From `open_scene`.
        folder: A turned copy of the pixels lies here until the block ends.

    Yields:
        The scene itself, or one with the id of the scene and the turned pixels.
    """
    turn = _TURNS.get(_orientation(scene)) if not _is_placed(scene) else None
    if turn is None:
        yield scene
        return
    mirrored, quarters = turn
    image, valid = read_scene(scene)
    pixels = np.dstack([image, np.where(valid, 255, 0).astype(np.uint8)])
    pixels = np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters))
    height, width = pixels.shape[:2]
    layout = RasterLayout(
        height, width, ("red", "green", "blue", "alpha"), "uint8", None, None, None
    )
    with raster_rows(folder / f"{scene.id}_upright.tif", layout) as rows:
        rows.write_all(pixels)
        file = rows.finish()
        yield replace(
            scene, uri=str(file), height=height, width=width, dtype="uint8",
            band_indexes=(1, 2, 3), scale=1.0, offset=0.0, zero_is_nodata=False, layers=None,
            land=None,
        )  # fmt: skip


def _is_placed(scene: Scene) -> bool:
    return scene.transform is not None or scene.control is not None


def _orientation(scene: Scene) -> int:
    with opened_raster(scene.uri) as source:
        text = source.tags().get("EXIF_Orientation", "1").strip()
    return int(text) if text.isdigit() else 1


def write_label(
    path: Path,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
    *,
    colored: bool,
) -> None:
    """Write class codes as a PNG.

    Args:
        path: File to write; it is replaced as a whole.
        codes: uint8 (H, W), class codes.
        scene: What they are of.
        classes: Gives the colours.
        tags: Provenance, stored as text in the file.

        colored: Give each code its class's colour (a palette, nodata transparent); otherwise the
            codes are grey values.

    Raises:
        OutputError: The file can't be written.
    """
    layout = RasterLayout(
        scene.height, scene.width, ("class",), "uint8", None, None, None,
        colormap=classes.colormap() if colored else None,
    )  # fmt: skip
    with raster_rows(path, layout, tags) as rows:
        rows.write_all(codes)
        rows.copy(path, "PNG", WRITE_METADATA_AS_TEXT="YES")


def write_overlay(
    path: Path,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
) -> None:
    """Write the scene with its classes' colours over it, half and half, as a PNG.

    Nodata is black, as in the scene. Arguments and errors as for `write_label`.
    """
    layout = RasterLayout(
        scene.height, scene.width, ("red", "green", "blue"), "uint8", None, None, None
    )
    with raster_rows(path, layout, tags) as rows:
        for row in range(0, scene.height, ROWS):
            part = codes[row : row + ROWS]
            image, _ = read_scene(scene, Tile(row, 0, len(part), scene.width))
            mixed = (1 - _OPACITY) * image + _OPACITY * classes.paint(part)
            shown = np.where((part == classes.nodata)[..., None], image, np.rint(mixed))
            rows.write(row, shown.astype(np.uint8))
        rows.copy(path, "PNG", WRITE_METADATA_AS_TEXT="YES")
