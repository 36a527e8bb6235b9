"""Pictures of cloud structures with masks as run-length codes, in the form of a competition.

The form is that of Kaggle, "Understanding Clouds from Satellite Images" (data page): JPEG files of
1400 x 2100 pixels in `train_images/`, and `train.csv` with a row for each image and structure. As
there, masks are coarse outlines that may overlap. The structures differ in the size of their
clouds; small clouds of every kind are also outside of the masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.progress import track
from polynya.run_length import csv_text, encode
from polynya.storage.files import output_folder, write_bytes, write_text

SHAPE = (1400, 2100)
"""Rows and columns of the competition's images."""
IMAGES, TABLE = "train_images", "train.csv"
STRUCTURES = ("Fish", "Flower", "Gravel", "Sugar")

_GRAINS = {
    "Fish": (70.0, 14.0),
    "Flower": (48.0, 48.0),
    "Gravel": (22.0, 22.0),
    "Sugar": (8.0, 8.0),
}
"""Size of clouds along x and y in pixels, in images of 1400 rows: standard deviation of the
Gaussian that smooths noise."""
_CLOUDY = {"Fish": 0.45, "Flower": 0.55, "Gravel": 0.40, "Sugar": 0.30}
"""Share of a structure's area under cloud."""
_SEA = np.array([22, 46, 70], np.float32)
_CLOUD = np.array([225, 228, 230], np.float32)
_SHARE_OF_IMAGES = 0.45
"""Chance that an image has a structure."""
_SPECKS = 12
"""Small clouds outside of the masks."""
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class CloudPicture:
    """A picture and its masks."""

    image: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    masks: dict[str, NDArray[np.bool_]]
    """bool (H, W) by structure."""


def make_clouds(seed: int, index: int, shape: tuple[int, int] = SHAPE) -> CloudPicture:
    """Make a picture with one to four structures.

    Args:
        seed: Seed of the set.
        index: Number of the picture; seed and index decide the pixels.
        shape: Rows and columns.
    """
    rng = np.random.default_rng([seed, index])
    scale = shape[0] / SHAPE[0]
    present = rng.random(len(STRUCTURES)) < _SHARE_OF_IMAGES
    present[rng.integers(len(STRUCTURES))] = True
    cloud = np.zeros(shape, np.float32)
    masks = {}
    for name, there in zip(STRUCTURES, present, strict=True):
        masks[name] = np.zeros(shape, np.bool_)
        if there:
            for _ in range(rng.integers(1, 3)):
                masks[name] |= _outline(rng, shape, (0.22, 0.42))
            cloud = np.maximum(cloud, _texture(rng, name, shape, scale) * masks[name])
    for _ in range(_SPECKS):
        name = STRUCTURES[rng.integers(len(STRUCTURES))]
        speck = _outline(rng, shape, (0.03, 0.07))
        cloud = np.maximum(cloud, _texture(rng, name, shape, scale) * speck)
    light = _smooth(rng, shape, 300 * scale, 300 * scale)[..., None] * 5
    image = _SEA + light + (_CLOUD - _SEA) * cloud[..., None]
    image += rng.normal(0, 3, shape).astype(np.float32)[..., None]
    return CloudPicture(np.clip(image, 1, 255).astype(np.uint8), masks)


def write_clouds(folder: Path, seed: int, count: int, shape: tuple[int, int] = SHAPE) -> None:
    """Write a set: `train_images/*.jpg` and `train.csv`.

    Args:
        folder: Existing folder; files of the same name that this generator wrote are replaced.
        seed: Seed of the set.
        count: Number of pictures.
        shape: Rows and columns.

    Raises:
        OutputError: A file can't be written, or a file that is not Polynya's is in its place.
    """
    images = output_folder(folder / IMAGES)
    rows = []
    for index in track(range(count), "Making pictures"):
        made, name = make_clouds(seed, index, shape), f"{seed:03d}{index:04d}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, content = cv2.imencode(".jpg", made.image[..., ::-1], quality)
        write_bytes(images / name, content.tobytes())
        rows += [(name, title, encode(mask)) for title, mask in made.masks.items()]
    write_text(folder / TABLE, csv_text(rows))


def _outline(
    rng: np.random.Generator, shape: tuple[int, int], edges: tuple[float, float]
) -> NDArray[np.bool_]:
    """Draw a rounded box, as people outline structures: bool (H, W).

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        edges: Least and greatest half edge, as shares of the height.
    """
    height, width = shape
    rows, columns = rng.uniform(*edges, 2) * height
    y = np.abs(np.arange(height) - rng.uniform(0.1, 0.9) * height)[:, None] / rows
    x = np.abs(np.arange(width) - rng.uniform(0.1, 0.9) * width)[None] / columns
    return np.asarray(y**4 + x**4 < 1)


def _texture(
    rng: np.random.Generator, name: str, shape: tuple[int, int], scale: float
) -> NDArray[np.float32]:
    """Draw the clouds of a structure over a whole picture: float32 (H, W), opacity."""
    x, y = _GRAINS[name]
    noise = _smooth(rng, shape, x * scale, y * scale)
    limit = np.quantile(noise, 1 - _CLOUDY[name])
    return np.asarray(np.clip((noise - limit) * 2 + 0.3, 0, 1) * 0.95, np.float32)


def _smooth(
    rng: np.random.Generator, shape: tuple[int, int], x: float, y: float
) -> NDArray[np.float32]:
    """Draw smooth noise of mean 0 and standard deviation 1: float32 (H, W)."""
    # Coarse noise is drawn small and enlarged, as wide Gaussians take long.
    step = max(1, int(min(x, y) / 4))
    small = -(-shape[0] // step), -(-shape[1] // step)
    noise = rng.normal(size=small).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), x / step, sigmaY=y / step)
    noise = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-6), np.float32)
