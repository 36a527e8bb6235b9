"""What a sensor and its processing make of reflectance: pixels, noise, a stretch, 8 bits, JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples.spectral.bands import BANDS, COLOURS

LARGEST_WATER, LEAST_THICK = 30, 205
"""Thresholds of V = max(R, G, B): open water up to the first, thick ice from the second on."""


@dataclass(frozen=True)
class Stretch:
    """From reflectance to grey: 255 ((reflectance - low) / (high - low)) ^ gamma."""

    low: float
    """Reflectance of grey 0."""
    high: float
    """Reflectance of grey 255."""
    gamma: float = 1.0
    """Above 1 dark tones get darker."""

    def grey(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return grey levels 0..255, not yet rounded."""
        share = (reflectance - np.float32(self.low)) / np.float32(self.high - self.low)
        share = np.clip(share, 0.0, 1.0)
        if self.gamma != 1.0:
            share **= np.float32(self.gamma)
        return np.asarray(share * np.float32(255.0), np.float32)


def contrasted(low: float, high: float, contrast: float, gamma: float) -> Stretch:
    """Stretch grey about its middle by `contrast`; above 1 the darkest and brightest saturate."""
    middle, half = (low + high) / 2.0, (high - low) / 2.0 / contrast
    return Stretch(middle - half, middle + half, gamma)


def resampled(
    layers: NDArray[np.float32], shape: tuple[int, int], scale: float
) -> NDArray[np.float32]:
    """Resample layers (bands, rows, cols) to (bands, H, W); `scale` above 1 means larger pixels.

    Larger pixels are means over their area, smaller ones are interpolated.
    """
    if scale == 1.0:
        return layers
    way = cv2.INTER_AREA if scale > 1.0 else cv2.INTER_CUBIC
    size = (shape[1], shape[0])
    return np.stack([cv2.resize(np.ascontiguousarray(x), size, interpolation=way) for x in layers])


def blurred(layers: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur as optics do, all bands alike; `sigma` in pixels, below 1."""
    return np.stack(
        [cv2.GaussianBlur(x, (5, 5), sigma, borderType=cv2.BORDER_REFLECT) for x in layers]
    )


def expose(
    layers: NDArray[np.float32], noise: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add noise of a deviation for each band, in reflectance."""
    grain = rng.standard_normal(layers.shape, dtype=np.float32)
    grain *= noise.astype(np.float32)[:, None, None]
    return np.maximum(layers + grain, np.float32(0.0))


def image(
    layers: NDArray[np.float32],
    stretch: Stretch,
    valid: NDArray[np.bool_],
    jpeg: int | None = None,
) -> NDArray[np.uint8]:
    """Make RGB, uint8 (H, W, 3), from bands; 0 marks nodata and nothing else.

    Args:
        layers: float32 (bands, H, W), reflectance.
        stretch: From reflectance to grey.
        valid: bool (H, W).
        jpeg: Quality 1..100 of a JPEG file through which the image goes; None: through none.
    """
    colours = np.stack([layers[BANDS.index(name)] for name in COLOURS], axis=-1)
    rgb = np.clip(np.rint(stretch.grey(colours)), 1, 255).astype(np.uint8)
    if jpeg is not None:
        _, file = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg])
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
        assert decoded is not None  # It was encoded a line above.
        rgb = np.maximum(decoded[..., ::-1], 1).astype(np.uint8)
    rgb[~valid] = 0
    return np.ascontiguousarray(rgb)


def classes_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what thresholds say: uint8 (H, W), 0 open water, 1 thin ice, 2 thick ice."""
    value = rgb.max(axis=2)
    return np.asarray((value > LARGEST_WATER).astype(np.uint8) + (value >= LEAST_THICK), np.uint8)


def swath(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return valid pixels, bool (H, W): on one site in four a straight edge cuts off 3 to 20 %."""
    chance, share = float(rng.random()), float(rng.uniform(0.03, 0.2))
    angle = float(rng.uniform(0.0, 2.0 * math.pi))
    if chance > 0.25:
        return np.ones(shape, np.bool_)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    across = cols * math.cos(angle) + rows * math.sin(angle)
    return np.asarray(across <= np.quantile(across[::4, ::4], 1.0 - share), np.bool_)
