"""A second, deliberately different generator of scenes with truth.

A method that is tuned to the habits of `data_samples` should fail here. Ice consists of patches of
thresholded noise and of ellipses. Each patch and each floe has one brightness, drawn uniformly from
nearly the whole range of its class. Borders are sharp to the pixel. Texture is additive, in grey
levels, and the same for all classes. The sky is Gaussian-filtered noise; cloud and shadow are
independent of each other. The image model is the same as in `data_samples.sky`:
I = R g (1 - h) + W h.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples import SKY_KINDS
from data_samples.ice import THICK, THIN, VALUE_RANGES, WATER
from polynya.recipe.classes import SEA_ICE

_LEVELS = {WATER: (4.0, 27.0), THIN: (35.0, 199.0), THICK: (209.0, 252.0)}
"""Lowest and highest V of a patch or floe of each class, before texture."""

_GROUND, _TEXTURE, _SKY, _SENSOR, _SWATH = range(2001, 2006)
"""Streams of random numbers. They are separate, so another sky does not change ground or swath."""

Scene = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]


def make_blobs(seed: int, shape: tuple[int, int], sky: str) -> Scene:
    """Make one scene.

    Args:
        seed: Seed of the site, >= 0.
        shape: (H, W) in pixels.
        sky: One of `data_samples.SKY_KINDS`.

    Returns:
        Observed RGB, uint8 (H, W, 3), 0 where there is no data; truth, uint8 (H, W), class codes,
        255 where there is no data; valid, bool (H, W).
    """
    valid = _swath(shape, np.random.default_rng([seed, _SWATH]))
    surface = np.random.default_rng([seed, _TEXTURE])
    noise = float(surface.uniform(0.3, 1.0))
    cast = _colour_cast(surface)
    classes, value = _ground(shape, np.random.default_rng([seed, _GROUND]))
    value += _texture(shape, surface)
    # Keep V in the range of its class, so that thresholds on the noisy clear scene give the truth.
    low = np.array([limits[0] for limits in VALUE_RANGES]) + 2.0 * noise
    high = np.array([limits[1] for limits in VALUE_RANGES]) - 2.0 * noise
    value = np.clip(value, low[classes], high[classes])

    gain, haze, brightness = _sky(shape, np.random.default_rng([seed, _SKY]), sky)
    value = value * gain * (1.0 - haze) + brightness * haze
    sensor = np.random.default_rng([seed, _SENSOR, SKY_KINDS.index(sky)])
    grain = noise * sensor.standard_normal((*shape, 3))
    rgb = np.clip(np.rint(value[..., None] * cast + grain), 1, 255).astype(np.uint8)
    rgb[~valid] = 0
    return rgb, np.where(valid, classes, SEA_ICE.nodata).astype(np.uint8), valid


def _soft_noise(
    shape: tuple[int, int], rng: np.random.Generator, sigma: tuple[float, float]
) -> NDArray[np.float64]:
    """Draw white noise smoothed by a Gaussian; (H, W), deviation 1.

    `sigma` is the deviation of the Gaussian (y, x), in pixels.
    """
    step = max(1, int(min(sigma) / 3))
    margin = [math.ceil(3 * s / step) + 2 for s in sigma]
    rows, cols = (math.ceil(n / step) for n in shape)
    white = rng.standard_normal((rows + 2 * margin[0], cols + 2 * margin[1]))
    soft = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma[1] / step, sigmaY=sigma[0] / step)
    soft = soft[margin[0] : margin[0] + rows, margin[1] : margin[1] + cols]
    soft *= 2.0 * math.sqrt(math.pi * sigma[0] * sigma[1]) / step
    if step > 1:
        soft = cv2.resize(soft, (cols * step, rows * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(soft[: shape[0], : shape[1]], np.float64)


def _ground(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw class codes uint8 (H, W) and V float64 (H, W): patches with elliptic floes on them."""
    shares = rng.dirichlet((1.0, 1.0, 1.0))
    order = rng.permutation(len(shares))
    sigma = float(np.exp(rng.uniform(np.log(6.0), np.log(60.0))))
    field = _soft_noise(shape, rng, (sigma, sigma * float(rng.uniform(1.0, 2.0))))
    # A second, finer field frays the outlines of the patches.
    field += float(rng.uniform(0.0, 0.3)) * _soft_noise(shape, rng, (3.0, 3.0))
    limits = np.quantile(field[::4, ::4], np.cumsum(shares)[:-1])
    classes = order[np.digitize(field, limits)].astype(np.uint8)

    regions = np.zeros(shape, np.int32)
    class_of = [WATER]
    for code in _LEVELS:
        count, parts = cv2.connectedComponents((classes == code).astype(np.uint8))
        regions = np.where(parts > 0, parts + len(class_of) - 1, regions)
        class_of += [code] * (count - 1)
    for code in _floes(shape, rng, regions, len(class_of)):
        class_of.append(code)

    codes = np.array(class_of, np.uint8)
    low, high = (np.array([_LEVELS[code][end] for code in _LEVELS])[codes] for end in (0, 1))
    return codes[regions], rng.uniform(low, high)[regions]


def _floes(
    shape: tuple[int, int], rng: np.random.Generator, regions: NDArray[np.int32], first: int
) -> list[int]:
    """Paint ellipses into `regions` (H, W), numbered from `first`; returns their class codes."""
    height, width = shape
    wanted = float(rng.uniform(0.05, 0.9)) * height * width
    thick = float(rng.uniform(0.4, 1.0))
    largest = float(rng.uniform(30.0, 160.0))
    codes: list[int] = []
    painted = 0.0
    # Paint from large to small, so that large floes don't cover small ones.
    radii = []
    while painted < wanted:
        radius = float(np.clip(3.0 * (1.0 - rng.random()) ** (-1 / 1.2), 3.0, largest))
        radii.append(radius)
        painted += math.pi * radius**2
    for radius in sorted(radii, reverse=True):
        axes = (max(1, round(radius * float(rng.uniform(0.5, 1.0)))), max(1, round(radius)))
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        turn = float(rng.uniform(0.0, 180.0))
        cv2.ellipse(regions, centre, axes, turn, 0.0, 360.0, first + len(codes), cv2.FILLED)
        codes.append(THICK if rng.random() < thick else int(rng.choice((WATER, THIN))))
    return codes


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Fine texture in grey levels, float64 (H, W), the same for all classes."""
    strength = float(rng.uniform(0.5, 2.0))
    sigma = float(rng.uniform(0.7, 2.5))
    return np.clip(_soft_noise(shape, rng, (sigma, sigma)), -2.5, 2.5) * strength


def _colour_cast(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a factor for each band, the largest is 1; the same for ice, water and cloud."""
    bands = rng.uniform(0.85, 1.0, 3)
    return np.asarray(bands / bands.max(), np.float64)


def _sky(
    shape: tuple[int, int], rng: np.random.Generator, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Draw gain and opacity, float64 (H, W), and V of an opaque cloud."""
    brightness = float(rng.uniform(215.0, 255.0))
    deepest = float(rng.uniform(0.45, 0.85))
    opacity = float(rng.uniform(0.15, 0.5))
    shading, overhead = _cover(shape, rng), _cover(shape, rng)
    gain = 1.0 - (1.0 - deepest) * shading if kind in ("shadow", "both") else np.ones(shape)
    haze = opacity * overhead if kind in ("cloud", "both") else np.zeros(shape)
    return gain, haze, brightness


def _cover(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the cover of cloud or shadow: float64 (H, W), 0..1, with soft borders."""
    sigma = float(np.exp(rng.uniform(np.log(30.0), np.log(120.0))))
    field = _soft_noise(shape, rng, (sigma, sigma * float(rng.uniform(1.0, 2.0))))
    edge = np.quantile(field[::4, ::4], 1.0 - float(rng.uniform(0.15, 0.5)))
    return np.clip((field - edge) / float(rng.uniform(0.4, 1.2)), 0.0, 1.0)


def _swath(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Valid pixels, bool (H, W): on one site in three a straight edge cuts off 5 to 25 %."""
    chance, share = float(rng.random()), float(rng.uniform(0.05, 0.25))
    angle = float(rng.uniform(0.0, 2 * math.pi))
    if chance > 1 / 3:
        return np.ones(shape, np.bool_)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    across = cols * math.cos(angle) + rows * math.sin(angle)
    return np.asarray(across < np.quantile(across[::4, ::4], 1.0 - share), np.bool_)
