"""The filter that maps are made with, over training tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from polynya.training_options import AugmentOptions

Tiles = NDArray[np.float32]
"""float32 (B, H, W, 3), values 0..255, 0 where nodata."""

TileFilter = Callable[[Tiles], Tiles]


def tile_filter(options: AugmentOptions) -> TileFilter | None:
    """What a recipe asks for; None where it asks for none."""
    return None if options.filter == "none" else filter_tiles


def filter_tiles(images: Tiles) -> Tiles:
    """Take thin cloud and shadow out of each tile, as `autolabel.filter_image` does of a scene.

    Args:
        images: Rounded to grey levels first, as scenes have them.
    """
    # Numba takes half a second to import, and most trainings need no filter.
    from autolabel.labels import filter_image

    tiles = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return np.stack([filter_image(tile) for tile in tiles]).astype(np.float32)
