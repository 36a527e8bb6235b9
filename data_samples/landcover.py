"""Tiles of countryside from above with five classes, in the form of LandCover.ai.

The form is that of A. Boguszewski et al., "LandCover.ai: Dataset for Automatic Mapping of
Buildings, Woodlands, Water and Roads from Aerial Imagery", CVPR Workshops 2021, after its script
split.py: `output/ID.jpg`, `output/ID_m.png` with codes 0 to 4, and `train.txt`, `val.txt`,
`test.txt`. No class is a matter of colour alone: bare fields are as grey as roads, some roofs are
as grey as roads too, shadows are as dark as water, and meadows are as green as woods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field, voronoi_cells
from polynya.progress import track
from polynya.storage.files import output_folder, write_bytes, write_text

SIZE = 512
"""Edge in pixels of the data set's tiles."""
BACKGROUND, BUILDING, WOODLAND, WATER, ROAD = range(5)
TILES = "output"
SUBSETS = ("train", "val", "test")

Rng = np.random.Generator
Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

_FIELDS = np.array(
    [(150, 160, 95), (115, 135, 75), (95, 120, 62), (170, 160, 120), (150, 140, 122)], np.float32
)
"""Colours of crops, meadows and bare soil."""
_ROOFS = np.array([(165, 85, 65), (120, 75, 60), (150, 150, 150), (205, 200, 195)], np.float32)
_WOOD, _SHADE = (np.array(c, np.float32) for c in ((58, 78, 48), (26, 34, 30)))
_WATERS = np.array([(45, 62, 62), (70, 85, 80), (38, 48, 44)], np.float32)
_ROADS = np.array([(150, 148, 144), (120, 118, 116), (165, 152, 130)], np.float32)
_FURROW = 5.0
"""Distance between rows of a crop, in pixels."""
_JPEG_QUALITY = 92
_ROOF_EDGE = 0.02, 0.06
"""Range of half of the edge of a roof, as a share of the tile's edge."""


def make_landcover(seed: int, index: int, size: int = SIZE) -> tuple[Picture, Picture]:
    """Make a tile: fields with woods, a pond or a river, a road or two, houses beside them.

    Args:
        seed: Seed of the set.
        index: Number of the tile; seed and index decide the pixels.
        size: Edge of the tile in pixels. A smaller tile shows the same land with larger pixels.

    Returns:
        Image uint8 (size, size, 3), RGB, and classes uint8 (size, size), codes 0 to 4.
    """
    rng = np.random.default_rng([seed, index])
    image, along = _fields(rng, size)
    labels = np.zeros((size, size), np.uint8)

    woods = _blobs(rng, size, share=rng.uniform(0.05, 0.5))
    crowns = random_field((size, size), rng, scale=0.03 * size, cutoff=2).astype(np.float32)
    image[woods] = (_WOOD * (1 + 0.28 * crowns[..., None]))[woods]
    labels[woods] = WOODLAND

    if rng.random() < 0.6:
        water = _river(rng, size) if rng.random() < 0.4 else _blobs(rng, size, share=0.1, holes=0)
        image[water] = _WATERS[rng.integers(len(_WATERS))]
        labels[water] = WATER

    roads = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 3)):
        width = max(2, round(rng.uniform(0.012, 0.03) * size))
        cv2.polylines(roads, [_path(rng, size)], False, 1, width)
    is_road = roads > 0
    image[is_road] = _ROADS[rng.integers(len(_ROADS))]
    labels[is_road] = ROAD

    _houses(rng, image, labels, is_road)
    light = random_field((size, size), rng, scale=0.8 * size, cutoff=0.1 * size)
    image *= (rng.uniform(0.8, 1.15) * (1 + 0.05 * light))[..., None]
    image += rng.normal(0, 5, (size, size, 1)) + along[..., None]
    return np.clip(image, 1, 255).astype(np.uint8), labels


def share_out(count: int) -> dict[str, int]:
    """Number of tiles of each subset: a fifth to validate, a fifth to test, the rest to learn."""
    part = count // 5
    return {"train": count - 2 * part, "val": part, "test": part}


def write_landcover(
    folder: Path, seed: int, counts: Mapping[str, int], size: int = SIZE
) -> dict[str, list[str]]:
    """Write a set of tiles.

    Args:
        folder: Existing folder; files of the same name that this generator wrote are replaced.
        seed: Seed of the set.
        counts: Number of tiles by subset: train, val and test.
        size: Edge of the tiles in pixels.

    Returns:
        Names of the tiles by subset.

    Raises:
        OutputError: A file can't be written, or a file that is not Polynya's is in its place.
    """
    output = output_folder(folder / TILES)
    names: dict[str, list[str]] = {subset: [] for subset in counts}
    wanted = [subset for subset, count in counts.items() for _ in range(count)]
    for index, subset in enumerate(track(wanted, "Making tiles")):
        image, labels = make_landcover(seed, index, size)
        name = f"M-{seed}_{index}"
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        write_bytes(output / f"{name}.jpg", _encoded(".jpg", image[..., ::-1], quality))
        write_bytes(output / f"{name}_m.png", _encoded(".png", labels, []))
        names[subset].append(name)
    for subset, listed in names.items():
        write_text(folder / f"{subset}.txt", "".join(f"{name}\n" for name in listed))
    return names


def _encoded(kind: str, pixels: Picture, options: list[int]) -> bytes:
    return bytes(cv2.imencode(kind, pixels, options)[1].tobytes())


def _fields(rng: Rng, size: int) -> tuple[Floats, Floats]:
    """Draw fields of one colour each, and the furrows to add to them: (E, E, 3) and (E, E)."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    cells = voronoi_cells(x.ravel(), y.ravel(), rng.uniform(0.2, 0.4) * size, rng, aspect=1.6)
    site = cells.site.reshape(size, size)
    count = len(cells.site_x)
    color = _FIELDS[rng.integers(len(_FIELDS), size=count)] + rng.normal(0, 8, (count, 3))
    angle = rng.uniform(0, math.pi, count)[site]
    strength = (rng.uniform(0, 9, count) * (rng.random(count) < 0.6))[site]
    wave = np.sin(2 * math.pi / _FURROW * (x * np.cos(angle) + y * np.sin(angle)))
    patches = random_field((size, size), rng, scale=0.2 * size, cutoff=0.02 * size)
    image = color[site] * (1 + 0.06 * patches[..., None])
    return image.astype(np.float32), (strength * wave).astype(np.float32)


def _blobs(rng: Rng, size: int, *, share: float, holes: float = 1.0) -> NDArray[np.bool_]:
    """Draw patches that cover a share of the tile; `holes` is how ragged they are."""
    field = random_field((size, size), rng, scale=0.5 * size, cutoff=0.08 * size)
    fine = random_field((size, size), rng, scale=0.08 * size, cutoff=0.01 * size)
    field = field + 0.15 * holes * fine
    return np.asarray(field > np.quantile(field, 1 - share))


def _path(rng: Rng, size: int) -> NDArray[np.int32]:
    """Draw a curve from one side of the tile to the other: int32 (N, 1, 2), points x, y."""
    along = np.linspace(-0.05, 1.05, 60)
    across = rng.uniform(0.1, 0.9) + rng.uniform(-0.4, 0.4) * (along - 0.5)
    across += rng.uniform(0, 0.08) * np.sin(2 * math.pi * (rng.uniform(0.4, 1.2) * along
                                                           + rng.random()))  # fmt: skip
    points = np.stack([along, across], axis=-1) * size
    if rng.random() < 0.5:
        points = points[:, ::-1]
    return np.round(points).astype(np.int32)[:, None]


def _river(rng: Rng, size: int) -> NDArray[np.bool_]:
    river = np.zeros((size, size), np.uint8)
    cv2.polylines(
        river, [_path(rng, size)], False, 1, max(3, round(rng.uniform(0.03, 0.09) * size))
    )
    return river > 0


def _houses(rng: Rng, image: Floats, labels: Picture, is_road: NDArray[np.bool_]) -> None:
    """Put houses with their shadows on open land, most of them near a road; in place."""
    size = len(labels)
    away = cv2.distanceTransform((~is_road).astype(np.uint8), cv2.DIST_L2, 3)
    sun = rng.uniform(0, 2 * math.pi)
    for _ in range(rng.integers(0, 14)):
        half = rng.uniform(*_ROOF_EDGE, 2) * size
        reach = float(half.max()) * 1.5
        near = rng.random() < 0.8
        spots = np.argwhere((away > reach) & (away < reach + (0.1 if near else 0.6) * size))
        if not len(spots):
            continue
        row, col = (float(value) for value in spots[rng.integers(len(spots))])
        box = cv2.boxPoints(((col, row), tuple(2 * half), float(rng.uniform(0, 180))))
        roof, shadow = np.zeros((2, size, size), np.uint8)
        cv2.fillConvexPoly(roof, np.round(box).astype(np.int32), 1)
        shift = 0.015 * size * np.array([math.cos(sun), math.sin(sun)])
        cv2.fillConvexPoly(shadow, np.round(box + shift).astype(np.int32), 1)
        if (labels[roof > 0] != BACKGROUND).any():
            continue
        dark = (shadow > 0) & (roof == 0) & (labels != BUILDING)
        image[dark] = 0.5 * (image[dark] * 0.5 + _SHADE)
        image[roof > 0] = _ROOFS[rng.integers(len(_ROOFS))] + rng.normal(0, 6, 3)
        labels[roof > 0] = BUILDING
