"""Tiles of coasts with kelp, in the form of a competition, with planted faults and duplicates.

The form is that of DrivenData's "Kelp Wanted: Segmenting Kelp Forests": `ID_satellite.tif` has
seven int16 bands of 350 x 350 pixels (short-wave and near infrared, red, green, blue, quality,
elevation), -32768 where missing; `ID_kelp.tif` is 1 for kelp. As there, two fifths of the tiles
have no kelp, many tiles are pictures of one place, and some are damaged. `planted.csv` lists what
was planted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from polynya.progress import track
from polynya.quiet import ignore_warnings
from polynya.report.tables import Table
from polynya.storage.files import output_folder, write_bytes

SIZE = 350
"""Edge in pixels of the competition's tiles."""
BANDS = ("swir16", "nir", "red", "green", "blue", "qa", "elevation")
NODATA = -32768
IMAGES, MASKS, TABLE = "train_satellite", "train_kelp", "planted.csv"
REACH = 5
"""Greatest shift of a duplicate along rows and columns, in pixels."""
SEA, LAND, KELP = range(3)

Kind = Literal["kelp", "coast", "land", "water"]
"""What a place shows: a coast with kelp, a coast without, land alone, or water alone."""
Rng = np.random.Generator
Floats = NDArray[np.float64]
Image = NDArray[np.int16]
"""(H, W, 7), bands as in `BANDS`."""

_KINDS: dict[Kind, float] = {"kelp": 0.31, "coast": 0.05, "land": 0.04, "water": 0.25}
"""Places of each kind, relative; places other than water have two pictures on average."""
_MOST_PICTURES = 3
_BRIGHTNESS = 0.1
"""Greatest change of the brightness of a duplicate, as a share."""
_CLOUDY = 0.3
"""Share of a duplicate under cloud."""
_LIGHT = np.array(
    #   swir  nir   red   green blue
    [(120, 180, 300, 420, 480), (2100, 2600, 1300, 1100, 800), (150, 1700, 320, 480, 430)],
    float,
)
"""Reflectance times 10,000 of sea, land and dense kelp in the five bands of light."""
_TURBID = np.array([20, 150, 250, 300, 150], float)
"""What turbid water adds."""
_LEAST_CANOPY = 0.08, 0.3
"""Share of a pixel from which people call it kelp. It differs from place to place, as people do."""
_SURF, _CLOUD, _NOISE, _GLINT = 900.0, 3500.0, 30.0, 200.0
"""Brightness of surf and cloud, standard deviation of noise, greatest glint; times 10,000."""


@dataclass(frozen=True)
class Place:
    """Ground of a place, larger than its pictures by `REACH` on each side."""

    surface: NDArray[np.uint8]
    """(E, E), `SEA`, `LAND` or `KELP`."""
    elevation: Floats
    """(E, E), metres; 0 on water."""
    light: Floats
    """(E, E, 5), reflectance times 10,000."""


@dataclass(frozen=True)
class Picture:
    """A tile before it is damaged."""

    image: Image
    surface: NDArray[np.uint8]
    """(H, W), `SEA`, `LAND` or `KELP`."""

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W), 1 for kelp that isn't under cloud."""
        seen = self.image[..., BANDS.index("qa")] == 0
        return ((self.surface == KELP) & seen).astype(np.uint8)


@dataclass(frozen=True)
class Planted:
    """What is known of a tile: a row of `planted.csv`."""

    tile: str
    """Id, eight hexadecimal digits."""
    place: int
    """Number of the place; tiles of one place are duplicates."""
    kind: Kind
    picture: int
    """Number of the picture of the place; 0 is neither shifted nor under cloud."""
    fault: str = ""
    """A key of `FAULTS`; "" for a good tile."""


def rough(rng: Rng, edge: int, slope: float) -> Floats:
    """Draw noise that is stronger at long wavelengths: (edge, edge), mean 0, deviation 1.

    Args:
        rng: Source of randomness.
        edge: Rows and columns.
        slope: Amplitudes fall with this power of the frequency.
    """
    rows, cols = np.fft.fftfreq(edge)[:, None], np.fft.rfftfreq(edge)[None]
    frequency = np.hypot(rows, cols)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(edge, edge))) * frequency**-slope
    field = np.fft.irfft2(spectrum, (edge, edge))
    return np.asarray(field / field.std())


def make_place(rng: Rng, kind: Kind, size: int) -> Place:
    """Make the ground of a place.

    Args:
        rng: Source of randomness.
        kind: What it shows.
        size: Edge of its pictures in pixels.
    """
    edge = size + 2 * REACH
    height = rough(rng, edge, 2.2)
    land_share = {"land": 1.0, "water": 0.0}.get(kind, rng.uniform(0.3, 0.7))
    height -= np.quantile(height, 1 - land_share) + (1e-9 if land_share == 0 else 0)
    is_land = height >= 0
    canopy = _canopy(rng, ~is_land & (height > -0.6)) if kind == "kelp" else np.zeros_like(height)
    is_kelp = canopy > rng.uniform(*_LEAST_CANOPY)
    surface = np.where(is_land, LAND, np.where(is_kelp, KELP, SEA)).astype(np.uint8)
    ways = np.mgrid[:edge, :edge] / edge
    glint = np.tensordot(rng.uniform(0, _GLINT / 2, 2), ways, 1)[..., None]
    turbid = rng.uniform(0, 1) * np.clip(0.5 + rough(rng, edge, 2.0) / 2, 0, 1)[..., None]
    sea = _LIGHT[SEA] + glint + turbid * _TURBID
    light = sea + canopy[..., None] * (_LIGHT[KELP] - _LIGHT[SEA])
    surf = (height > -0.1) & (rough(rng, edge, 1.0) > 0.8) & ~is_kelp
    light = np.where(surf[..., None], light + _SURF, light)
    ground = _LIGHT[LAND] * (1 + 0.2 * rough(rng, edge, 1.6))[..., None]
    light = np.where(is_land[..., None], ground, light)
    return Place(surface, np.where(is_land, 40 * np.abs(height) + 1, 0), light)


def _canopy(rng: Rng, near: NDArray[np.bool_]) -> Floats:
    """Draw the share of each pixel that canopy covers, (E, E), 0..1; only where `near` is True."""
    beds = np.where(near, rough(rng, len(near), 1.4), -np.inf)
    least = np.quantile(beds[near], 1 - rng.uniform(0.1, 0.6))
    return np.asarray(np.clip((beds - least) * rng.uniform(0.3, 0.8), 0, 1))


def take_picture(rng: Rng, place: Place, *, is_first: bool = True) -> Picture:
    """Take a picture of a place: the first as it is, others shifted, brighter or darker, clouded.

    Args:
        rng: Source of randomness.
        place: The place.
        is_first: False for a duplicate: up to `REACH` px aside, 10 % brighter or darker, and 30 %
            under cloud, which the quality band shows.
    """
    size = len(place.surface) - 2 * REACH
    row, col = (REACH, REACH) if is_first else rng.integers(0, 2 * REACH + 1, 2)
    part = np.s_[row : row + size, col : col + size]
    light, qa = place.light[part], np.zeros((size, size))
    if not is_first:
        cover = rough(rng, size, 2.2)
        is_cloud = cover > np.quantile(cover, 1 - _CLOUDY)
        light = light * rng.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS)
        cloud = _CLOUD * (1 + 0.1 * rough(rng, size, 1.6))[..., None]
        light, qa = np.where(is_cloud[..., None], cloud, light), is_cloud.astype(float)
    light = light + rng.normal(0, _NOISE, light.shape)
    layers = np.concatenate([light, np.stack([qa, place.elevation[part]], axis=-1)], axis=-1)
    return Picture(np.clip(layers, -1000, 32000).astype(np.int16), place.surface[part])


def _missing(image: Image, rng: Rng) -> None:
    height = len(image)
    image[: round(rng.uniform(0.7, 0.9) * height), :, :5] = NODATA
    image[..., 5] = image[..., 0] == NODATA


def _empty(image: Image, rng: Rng) -> None:
    image[..., :5], image[..., 5] = NODATA, 1


def _striped(image: Image, rng: Rng) -> None:
    image[rng.integers(8) :: 8, :, rng.integers(5)] += 400


def _saturated(image: Image, rng: Rng) -> None:
    nir = image[..., 1]
    nir[nir >= np.quantile(nir, 0.8)] = 32767


def _misaligned(image: Image, rng: Rng) -> None:
    edge = len(image)
    moves = rng.integers(edge // 12, edge // 6, 2) * rng.choice([-1, 1], 2)
    image[..., 6] = np.roll(image[..., 6], moves, (0, 1))


@dataclass(frozen=True)
class Fault:
    """A fault that the set has on purpose."""

    finding: str
    """Finding of `polynya inspect` that names its tile."""
    damage: Callable[[Image, Rng], None] | None = None
    """Changes an image in place; None if image and quality stay as they are."""
    mask: Literal["", "cut", "numbers", "size"] = ""
    """What is wrong with the mask's file."""


FAULTS = {
    "cut mask": Fault("failed", mask="cut"),
    "mask of other numbers": Fault("failed", mask="numbers"),
    "mask of another size": Fault("failed", mask="size"),
    "most of the image missing": Fault("label-without-image", _missing),
    "no image": Fault("empty", _empty),
    "stripes": Fault("striped", _striped),
    "saturated": Fault("saturated", _saturated),
    "misaligned elevation": Fault("misaligned", _misaligned),
    "copy": Fault("copy"),
}
"""The faults. A copy is the same image as another tile's, to the last bit."""


def plan_kelp(seed: int, count: int, each: int = 2) -> list[Planted]:
    """Decide which tiles a set has, and what is wrong with some of them.

    Args:
        seed: Seed of the set.
        count: Number of tiles, at least as many as there are faults and room for them.
        each: Tiles with each fault. Faulty tiles are the only pictures of coasts with kelp, so that
            a duplicate is never faulty; only a copy shares its place.
    """
    rng = np.random.default_rng([seed, 0])
    faults = [name for name in FAULTS for _ in range(each)]
    names = _ids(seed)
    tiles = []
    place = 0
    for fault in faults:
        if fault == "copy":
            tiles.append(Planted(next(names), place, "kelp", 0))
        tiles.append(Planted(next(names), place, "kelp", 0, fault))
        place += 1
    kinds, weights = list(_KINDS), np.array(list(_KINDS.values()))
    while len(tiles) < count:
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        pictures = 1 if kind == "water" else int(rng.integers(1, _MOST_PICTURES + 1))
        for picture in range(min(pictures, count - len(tiles))):
            tiles.append(Planted(next(names), place, kind, picture))
        place += 1
    return tiles


def make_tiles(
    planted: Sequence[Planted], seed: int, size: int = SIZE
) -> Iterator[tuple[Image, NDArray[np.uint8]]]:
    """Yield the images and masks of planned tiles, with the faults of the images.

    Args:
        planted: From `plan_kelp`.
        seed: Seed of the set.
        size: Edge of the tiles in pixels.
    """
    made: tuple[int, Place] | None = None
    for tile in planted:
        if made is None or made[0] != tile.place:
            made = tile.place, make_place(_rng(seed, 1, tile.place), tile.kind, size)
        rng = _rng(seed, 2, tile.place, tile.picture)
        shown = take_picture(rng, made[1], is_first=tile.picture == 0)
        image, mask = shown.image.copy(), shown.mask
        damage = FAULTS[tile.fault].damage if tile.fault else None
        if damage is not None:
            damage(image, rng)
        yield image, mask


def write_kelp(
    folder: Path, seed: int, count: int, size: int = SIZE, each: int = 2
) -> list[Planted]:
    """Write a set: `train_satellite/`, `train_kelp/` and `planted.csv`.

    Args:
        folder: Existing folder; files of the same name that this generator wrote are replaced.
        seed: Seed of the set.
        count: Number of tiles.
        size: Edge of the tiles in pixels.
        each: Tiles with each fault; see `plan_kelp`.

    Raises:
        OutputError: A file can't be written, or a file that is not Polynya's is in its place.
    """
    images, masks = output_folder(folder / IMAGES), output_folder(folder / MASKS)
    planted = plan_kelp(seed, count, each)
    ignore_warnings(NotGeoreferencedWarning)
    tiles = make_tiles(planted, seed, size)
    for tile, (image, mask) in zip(track(planted, "Making tiles"), tiles, strict=True):
        write_bytes(images / f"{tile.tile}_satellite.tif", _tiff(image))
        write_bytes(masks / f"{tile.tile}_kelp.tif", _mask_file(mask, tile.fault))
    columns = ("tile", "place", "kind", "picture", "fault", "finding")
    rows = [
        (t.tile, str(t.place), t.kind, str(t.picture), t.fault,
         FAULTS[t.fault].finding if t.fault else "near-duplicate" if t.picture else "")
        for t in planted
    ]  # fmt: skip
    Table("Planted", columns, tuple(rows)).write_csv(folder / TABLE)
    return planted


def planted_pairs(places: Sequence[int]) -> NDArray[np.bool_]:
    """Say of each pair of N tiles whether they show one place: bool (N (N - 1) / 2,)."""
    known = np.asarray(places)
    return np.asarray((known[:, None] == known)[np.triu_indices(len(known), 1)])


def _rng(*numbers: int) -> Rng:
    return np.random.default_rng(numbers)


def _ids(seed: int) -> Iterator[str]:
    """Ids that don't tell the order in which tiles were made."""
    number = 0
    while True:
        text = f"{seed}/{number}".encode()
        yield hashlib.blake2b(text, digest_size=4).hexdigest().upper()
        number += 1


def _mask_file(mask: NDArray[np.uint8], fault: str) -> bytes:
    wrong = FAULTS[fault].mask if fault else ""
    if wrong == "numbers":
        mask = mask * np.uint8(77)
    if wrong == "size":
        mask = mask[:-1]
    content = _tiff(mask[..., None])
    return content[: len(content) // 2] if wrong == "cut" else content


def _tiff(pixels: NDArray[Any]) -> bytes:
    height, width, count = pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=height, width=width, count=count, dtype=pixels.dtype,
            compress="deflate", interleave="band",
        ) as target:  # fmt: skip
            target.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())
