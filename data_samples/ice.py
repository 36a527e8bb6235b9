"""Sea ice: the class of each pixel, and its brightness under a clear sky.

The parts of the ice, from large to small:

- Floes are cells of nested random tessellations. At each level a cell either survives whole or
  breaks into cells about 0.6 times as large, as in scale-invariant fragmentation. This gives
  the observed power law of floe sizes (Rothrock & Thorndike 1984, J. Geophys. Res. 89, 6477;
  Toyota et al. 2011, Deep-Sea Res. II 58, 1182).
- Leads are the borders of a coarse tessellation stretched along the direction of shear. Most are
  closed. The widths of open leads follow a power law with exponent 1.4, as measured on
  Antarctic sea ice with Sentinel-2 (1.11 to 1.41: Muchow et al. 2021, The Cryosphere 15, 4527).
  Some leads have frozen over.
- Between the floes lies open water, young ice or brash. Towards an ice edge, floes become small,
  round and sparse.

Brightness is V = max(R, G, B) in 0..255. Open water is V <= 30, thin ice 31..204, thick ice
>= 205. In each class it varies from floe to floe and from patch to patch over a wide range
of the class, so classes differ in brightness and shape only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_samples.fields import Cells, random_field, smoothstep, voronoi_cells

WATER, THIN, THICK = 0, 1, 2
VALUE_RANGES = ((2.0, 30.0), (31.0, 204.0), (205.0, 254.0))
"""Lowest and highest V of each class; 0 is nodata and 255 would be saturated."""

SURFACE_RANGES = ((2.0, 25.0), (38.0, 188.0), (210.0, 254.0))
"""Lowest and highest V of a surface of each class. The paper's thresholds work in summer, so
surfaces close to a threshold must be rare then. Mixed pixels on borders fill the gaps."""

_FLOE_SIZES = (420.0, 250.0, 150.0, 90.0, 54.0, 32.0, 19.0, 11.0)
"""Typical floe widths of the levels of fragmentation, in pixels of 10 m."""

_LEAD_EXPONENT = 1.4
"""Exponent of the power law of lead widths."""

Range = tuple[float, float]


@dataclass(frozen=True)
class IceRegime:
    """A kind of ice: ranges from which each scene draws its own values."""

    name: str
    concentration: Range
    """Share of floes that exist; the others are gaps."""
    breakup: Range
    """Mean chance that a cell breaks at a level."""
    frozen: Range
    """Share of the gaps that young ice covers; the rest is open water."""
    thin_floes: Range
    """Share of floes that are thin ice."""
    gap: Range
    """Typical distance between floes, in pixels."""
    leads: Range
    """Share of the possible leads that have opened."""
    brash: Range
    """Share of the gaps that brash ice fills."""
    edge: bool = False
    """Whether the scene contains an ice edge towards open water."""


REGIMES = (
    IceRegime(
        name="pack",
        concentration=(0.96, 1.0),
        breakup=(0.15, 0.5),
        frozen=(0.3, 0.95),
        thin_floes=(0.0, 0.12),
        gap=(0.5, 2.0),
        leads=(0.2, 0.55),
        brash=(0.0, 0.2),
    ),
    IceRegime(
        name="floes",
        concentration=(0.5, 0.9),
        breakup=(0.4, 0.7),
        frozen=(0.0, 0.6),
        thin_floes=(0.0, 0.25),
        gap=(1.5, 5.0),
        leads=(0.0, 0.3),
        brash=(0.02, 0.2),
    ),
    IceRegime(
        name="marginal",
        concentration=(0.7, 0.95),
        breakup=(0.5, 0.8),
        frozen=(0.0, 0.3),
        thin_floes=(0.0, 0.3),
        gap=(1.0, 3.0),
        leads=(0.0, 0.3),
        brash=(0.05, 0.3),
        edge=True,
    ),
    IceRegime(
        name="young",
        concentration=(0.3, 0.7),
        breakup=(0.3, 0.65),
        frozen=(0.7, 1.0),
        thin_floes=(0.1, 0.5),
        gap=(1.0, 4.0),
        leads=(0.2, 0.6),
        brash=(0.0, 0.1),
    ),
)
"""Consolidated pack, loose floes, marginal ice with an edge, and broad young ice."""


@dataclass(frozen=True)
class Ice:
    """The ice of a scene, before texture and sensor."""

    regime: str
    classes: NDArray[np.uint8]
    """(H, W), class codes 0 open water, 1 thin ice, 2 thick ice."""
    value: NDArray[np.float64]
    """(H, W), V before texture: constant on each floe and patch."""


def make_ice(shape: tuple[int, int], rng: np.random.Generator, texture: float) -> Ice:
    """Draw the ice of one scene.

    Args:
        shape: (H, W) in pixels of 10 m.
        rng: Source of randomness.
        texture: Largest relative deviation that texture will add later; brightness stays at
            least this far from the limits of its class.

    Returns:
        Class map and brightness.
    """
    regime = REGIMES[int(rng.choice(len(REGIMES), p=(0.25, 0.3, 0.25, 0.2)))]
    x, y = _warped_coordinates(shape, rng)
    angle = float(rng.uniform(0.0, math.pi))
    concentration, breakup = _concentration_and_breakup(shape, regime, rng)

    low, high = _base_range(THIN, texture)
    matrix_is_thin = _patches(shape, rng, share=_draw(regime.frozen, rng))
    classes = np.where(matrix_is_thin, THIN, WATER).astype(np.uint8).ravel()
    thin_value = _patch_values(shape, rng, low, high).ravel()
    thick_value = np.full(classes.shape, 0.0)

    gap = _draw(regime.gap, rng)
    thin_floes = _draw(regime.thin_floes, rng)
    # Shear stretches the plates of closed pack along its leads. Loose floes grind each other round.
    is_pack = regime.name == "pack"
    aspect = float(rng.uniform(1.0, 3.0 if is_pack else 1.8))
    roundness = 0.0 if is_pack else float(rng.uniform(0.0, 1.0))
    undecided = np.arange(classes.size)
    first = int(rng.integers(0, 3))
    for level, size in enumerate(_FLOE_SIZES[first:], start=first):
        if not len(undecided):
            break
        last = level == len(_FLOE_SIZES) - 1
        cells = voronoi_cells(x[undecided], y[undecided], size, rng, aspect=aspect, angle=angle)
        n = len(cells.site_x)
        intact = rng.random(n) >= (0.0 if last else _at_sites(breakup, cells))
        present = rng.random(n) < _at_sites(concentration, cells)
        # Where a large plate is missing, smaller ice usually fills the place.
        filled = rng.random(n) < (0.6 if size >= 90.0 else 0.0)
        intact &= present | ~filled
        thin = rng.random(n) < thin_floes
        # Gaps grow slowly with floe size: otherwise small floes vanish and large floes touch.
        gaps = gap * (size / 60.0) ** 0.3 * rng.exponential(1.0, n)
        reach = np.where(rng.random(n) < roundness, rng.uniform(0.45, 0.65, n), 9.0) * size
        thick_base = rng.uniform(*_base_range(THICK, texture), n)
        thin_base = rng.uniform(low, high, n)

        decided = intact[cells.site]
        site = cells.site[decided]
        pixels = undecided[decided]
        solid = present[site] & (2.0 * cells.margin[decided] > gaps[site])
        solid &= cells.radius[decided] < reach[site]
        thick_value[pixels] = thick_base[site]
        floe, floe_site = pixels[solid], site[solid]
        classes[floe] = np.where(thin[floe_site], THIN, THICK)
        thin_value[floe] = thin_base[floe_site]
        undecided = undecided[~decided]

    _add_brash(shape, classes, rng, _draw(regime.brash, rng))
    _open_leads(shape, x, y, classes, thin_value, rng, regime, angle, (low, high))

    water_value = _patch_values(shape, rng, *_base_range(WATER, texture))
    shape_classes = classes.reshape(shape)
    values = (water_value, thin_value.reshape(shape), thick_value.reshape(shape))
    value = np.choose(shape_classes, values)
    return Ice(regime.name, shape_classes, value)


def _draw(limits: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*limits))


def _base_range(code: int, texture: float) -> Range:
    """Return the range of V from which texture does not leave the range of the class's surfaces."""
    low, high = SURFACE_RANGES[code]
    return low / (1.0 - texture), high / (1.0 + texture)


def _warped_coordinates(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Displace pixel coordinates by a ragged field, so straight borders become natural outlines."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    amplitude = float(rng.uniform(1.5, 7.0))
    roughness = float(rng.uniform(0.35, 0.9))
    scale = float(rng.uniform(40.0, 120.0))
    cols += amplitude * random_field(shape, rng, scale=scale, cutoff=2.0, roughness=roughness)
    rows += amplitude * random_field(shape, rng, scale=scale, cutoff=2.0, roughness=roughness)
    return cols.astype(np.float32).ravel(), rows.astype(np.float32).ravel()


def _concentration_and_breakup(
    shape: tuple[int, int], regime: IceRegime, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw two fields (H, W): the chance that a floe exists, and the chance that it is broken."""
    zones = random_field(shape, rng, scale=float(rng.uniform(150, 500)), cutoff=12.0)
    breakup = np.clip(_draw(regime.breakup, rng) + 0.3 * zones, 0.05, 0.97)
    openings = random_field(shape, rng, scale=float(rng.uniform(150, 500)), cutoff=12.0)
    concentration = np.clip(_draw(regime.concentration, rng) + 0.12 * openings, 0.0, 1.0)
    if regime.edge:
        height, width = shape
        direction = float(rng.uniform(0, 2 * math.pi))
        dx, dy = math.cos(direction), math.sin(direction)
        rows, cols = np.mgrid[:height, :width]
        reach = (abs(dx) * width + abs(dy) * height) / 2
        seaward = (cols - width / 2) * dx + (rows - height / 2) * dy
        seaward += reach * float(rng.uniform(-0.45, 0.45))
        # Meanders and eddies of the ice edge.
        seaward += float(rng.uniform(15, 50)) * random_field(shape, rng, scale=200, cutoff=8.0)
        zone = float(rng.uniform(30.0, 160.0))
        concentration *= 1.0 - smoothstep(0.5 + seaward / zone)
        breakup = np.maximum(breakup, 0.97 * smoothstep(1.0 + seaward / (3.0 * zone)))
    return concentration, breakup


def _at_sites(field: NDArray[np.float64], cells: Cells) -> NDArray[np.float64]:
    """Return the values of a field (H, W) at the sites (S,), or at the nearest pixel inside."""
    rows = np.clip(cells.site_y, 0, field.shape[0] - 1).astype(np.int64)
    cols = np.clip(cells.site_x, 0, field.shape[1] - 1).astype(np.int64)
    return field[rows, cols]


def _patches(shape: tuple[int, int], rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """Ragged patches (H, W) that cover about `share` of the scene."""
    field = random_field(
        shape,
        rng,
        scale=float(rng.uniform(80.0, 350.0)),
        cutoff=3.0,
        roughness=float(rng.uniform(0.5, 0.9)),
        aspect=float(rng.uniform(1.0, 2.5)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    return field > np.quantile(field[::4, ::4], 1.0 - share)


def _patch_values(
    shape: tuple[int, int], rng: np.random.Generator, low: float, high: float
) -> NDArray[np.float64]:
    """Draw V (H, W) in sharp patches: young ice of a few ages, or water under slicks and gusts."""
    levels = rng.uniform(low, high, 4)
    first, second = _patches(shape, rng, 0.5), _patches(shape, rng, 0.3)
    return np.asarray(levels[first.astype(np.int64) + 2 * second])


def _add_brash(
    shape: tuple[int, int], classes: NDArray[np.uint8], rng: np.random.Generator, share: float
) -> None:
    """Scatter lumps of a few pixels, smaller than floes, over part of the gaps; in place."""
    lumps = random_field(shape, rng, scale=6.0, cutoff=2.5, roughness=0.6)
    density = random_field(shape, rng, scale=180.0, cutoff=12.0)
    level = np.quantile(density[::4, ::4], 1.0 - share)
    # The lumps thin out softly towards the rim of a brash field.
    brash = (lumps > 0.9 + 2.5 * np.maximum(level - density, 0.0)).ravel() & (classes != THICK)
    classes[brash] = THICK if rng.random() < 0.7 else THIN


def _open_leads(
    shape: tuple[int, int],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    classes: NDArray[np.uint8],
    thin_value: NDArray[np.float64],
    rng: np.random.Generator,
    regime: IceRegime,
    angle: float,
    thin_range: Range,
) -> None:
    """Cut leads through the ice, open or frozen over; in place.

    Widths lie between 1 and 30 pixels, or less for the finer of the two networks.
    """
    opened, frozen = _draw(regime.leads, rng), _draw(regime.frozen, rng)
    # The width of a lead varies along its length, down to zero.
    opening = np.clip(0.8 + 0.6 * random_field(shape, rng, scale=70.0, cutoff=8.0).ravel(), 0, 2)
    for size in (float(rng.uniform(120, 300)), float(rng.uniform(25, 60))):
        turn = float(rng.normal(0.0, 0.3))
        aspect = float(rng.uniform(2.0, 5.0))
        cells = voronoi_cells(x, y, size, rng, aspect=aspect, angle=angle + turn)
        is_open = _draw_per_border(cells, rng) < opened
        tail = 1.0 - _LEAD_EXPONENT
        rest = min(30.0, 0.15 * size) ** tail
        width = (1.0 - _draw_per_border(cells, rng) * (1.0 - rest)) ** (1.0 / tail)
        lead = is_open & (2.0 * cells.margin < width * opening) & (classes != WATER)
        refrozen = _draw_per_border(cells, rng) < frozen
        low, high = thin_range
        age = low + (high - low) * _draw_per_border(cells, rng)
        classes[lead] = np.where(refrozen, THIN, WATER)[lead]
        thin_value[lead] = age[lead]
        opened *= 0.5


def _draw_per_border(cells: Cells, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a number in 0..1 for each border, and return it at each point (N,).

    The border of a point is the one between its two nearest sites. The number is the sum of the two
    sites' draws, modulo 1: it is uniform, and the same on both sides of the border.
    """
    draw = rng.random(len(cells.site_x))
    return np.asarray((draw[cells.site] + draw[cells.neighbour]) % 1.0)
