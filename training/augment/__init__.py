"""Random changes of tiles, image and label together, as Keras layers.

Each layer takes (images, labels), float32 (B, H, W, bands) with values 0..255 and integer
(B, H, W), and returns the same. Geometry layers also take values of other bands, NaN where missing.
Each layer draws new random numbers for each tile of each batch. The layers use only `keras`, so
they run on any back end, on the device, inside the training step.
"""

from __future__ import annotations

import keras

from polynya.recipe.training import AugmentOptions
from training.augment.colors import color_layers
from training.augment.geometry import geometry_layers
from training.augment.noise import noise_layers
from training.augment.sky import sky_layers


def augmentation_layers(
    options: AugmentOptions, *, nodata: int, seed: int, has_gaps: bool = False
) -> list[keras.layers.Layer]:
    """List the layers that a recipe asks for, in the order in which they apply.

    Args:
        options: Section of the recipe.
        nodata: Code of pixels without a label.
        seed: Seed of the random numbers.
        has_gaps: Images are values of bands, NaN where missing, and not 8-bit colours. Then only
            the geometry layers apply.
    """
    return [
        *geometry_layers(options, nodata=nodata, seed=seed, has_gaps=has_gaps),
        *sky_layers(options, nodata=nodata, seed=seed + 1),
        *color_layers(options, nodata=nodata, seed=seed + 7),
        *noise_layers(options, nodata=nodata, seed=seed + 2),
    ]
