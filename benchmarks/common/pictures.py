"""Pictures of scenes and their labels, small enough to keep in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import SEA_ICE
from polynya.report.pictures import draw_panels
from polynya.storage.files import whole_file

Panel = tuple[str, NDArray[np.uint8]]
"""Title and image: uint8 (H, W, 3), or (H, W) class codes."""

_COLORS = 256


def step_for(panels: int, pixels: int, most: int) -> int:
    """Return the step n so that every n-th pixel of all panels gives at most `most` pixels."""
    return int(np.ceil(np.sqrt(panels * pixels / most)))


def draw_thinned(
    path: Path, panels: Sequence[Panel], title: str, step: int, columns: int | None = None
) -> None:
    """Draw every `step`-th pixel of images side by side, as a PNG file with few colours."""
    thinned = [(name, image[::step, ::step]) for name, image in panels]
    draw_panels(path, thinned, SEA_ICE, title, columns=columns)
    use_palette(path)


def use_palette(path: Path) -> None:
    """Rewrite a PNG with few colours; this takes a third of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        # An octree keeps colours of few pixels, such as the legend's; a median cut loses them.
        reduced = picture.convert("RGB").quantize(
            _COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
    with whole_file(path) as temporary:
        reduced.save(temporary, format="png", optimize=True)
