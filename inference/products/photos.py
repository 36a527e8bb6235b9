"""Photographs: turned upright by the orientation from the camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.products.cog import RasterLayout, raster_rows
from polynya.rasters.opening import opened_raster
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene

# From the stored pixels to the upright image, by the value of EXIF's tag Orientation: whether to
# mirror first, then the number of quarter turns counterclockwise (CIPA DC-008-2019, 4.6.4 A).
_TURNS = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3),
          8: (False, 1)}  # fmt: skip


@contextmanager
def upright(scene: Scene, folder: Path) -> Iterator[Scene]:
    """Turn a photograph upright.

    A model that was trained on upright photographs must see upright photographs. Other programs
    turn photographs upright, so maps fit over them. Scenes with georeference are not turned.

    Args:
        scene: Scene from `open_scene`.
        folder: Folder for a turned copy of the pixels, until the block ends.

    Yields:
        The scene itself, or a scene with the same id and turned pixels.
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
