"""Which pixels are under cloud or shadow, by a raster that knows it.

The sea-ice paper divides its tiles at about 10 % of cloud and shadow. A generator of scenes knows
the true cover; for real scenes a mask that people drew can take its place.
"""

from __future__ import annotations

import os

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from inference.evaluate.truths import SITE, place
from polynya.errors import TruthError
from polynya.names import printable
from polynya.quiet import ignore_warnings
from polynya.scenes.scene import Scene
from polynya.scenes.truth import sky_of

BESIDE = f"{SITE}_sky.tif"
LEAST_HAZE, MOST_GAIN = 0.03, 0.94
"""A pixel is covered if haze is thicker, or less light comes through: as the illumination filter
takes it (`autolabel.filters.illumination.clearing`)."""
_CLEAR, _SKY_TAG = "clear", "SKY"


def read_cover(scene: Scene, pattern: str | None) -> NDArray[np.bool_] | None:
    """Find the pixels of a scene under cloud or shadow.

    A raster of two bands holds shadow gain and haze opacity with GDAL's scale, as
    `data_samples.write` writes it; a raster of one band is a mask, of which 0 is clear. A scene
    that says "clear" in its name has no cover, whatever sky its site has in another scene.

    Args:
        scene: The scene.
        pattern: File name with {site} or {stem}; None: `BESIDE`, if there is one.

    Returns:
        bool (H, W); None if nothing is known.

    Raises:
        TruthError: The named raster is missing, can't be read, or has another size.
    """
    if sky_of(scene.id) == _CLEAR:
        return np.zeros((scene.height, scene.width), np.bool_)
    path = place(scene.uri, pattern or BESIDE)
    if pattern is None and not os.path.isfile(path):
        return None
    ignore_warnings(NotGeoreferencedWarning)
    try:
        with rasterio.open(path) as source:
            bands, scales, sky = source.read(), source.scales, source.tags().get(_SKY_TAG)
    except RasterioError as error:
        raise TruthError(
            f"The cover {printable(path)} of {printable(scene.uri)} can't be read ({error}); put a"
            " mask of cloud and shadow there, or change --cover."
        ) from None
    if bands.shape[1:] != (scene.height, scene.width) or len(bands) > 2:
        raise TruthError(
            f"The cover {printable(path)} has {len(bands)} bands of {bands.shape[1]} x"
            f" {bands.shape[2]} pixels and its scene {printable(scene.uri)} {scene.height} x"
            f" {scene.width} pixels; give one band, 0 where it is clear, of the same size."
        )
    if len(bands) == 1:
        return np.asarray(bands[0] != 0)
    if pattern is None and sky is not None and sky != sky_of(scene.id):
        return None  # The site has several scenes, and this is the sky of another one.
    gain, haze = (band * scale for band, scale in zip(bands, scales, strict=True))
    return np.asarray((gain < MOST_GAIN) | (haze > LEAST_HAZE))
