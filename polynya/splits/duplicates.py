"""Near-duplicate tiles: pictures of one place, shifted, brighter or darker, partly under cloud.

Each tile gets a descriptor. Tiles belong together if the similarity of their descriptors reaches a
threshold, directly or through other tiles. A threshold belongs to its descriptor.

The descriptor `orientation` needs no weights. It holds the directions of the gradients of one band
on a coarse grid, as orientation correlation does (A. J. Fitch, A. Kadyrov, W. J. Christmas and
J. Kittler, "Orientation correlation", BMVC 2002). Directions don't change with brightness or
contrast, and a cloud changes only the cells that it covers. The mean direction of a cell's
surroundings is subtracted, so slopes that many tiles share (sun glint, haze) count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polynya.progress import track

Floats = NDArray[np.float32]

REACH = 5.0
"""Shift in pixels, along rows and columns, that similar tiles may have."""
ORIENTATION_THRESHOLD = 6.5
"""Least similarity of the descriptor `orientation`, in standard deviations of unrelated tiles."""
_CELLS = 64
"""Wanted number of cells along an edge of a tile."""
_LEAST_CELL = 3
_SURROUNDINGS = 5
"""Edge in cells of the square whose mean direction is subtracted."""
_FLOOR = 0.1
"""Contrast that counts half, as a share of the root mean square contrast of all tiles."""
_LEAST_TEXTURE = 0.02
"""Share of cells with contrast that a tile needs; with less, nothing can be told from it."""
_LEAST_CELLS = 100
"""Number of cells that must carry a vector."""
_SAMPLE = 256
"""Number of tiles by which it is found how far chance reaches."""
_MARGIN = 1.5
"""Factor by which duplicates must be more alike than the sample is opposite."""
_LEAST_SAMPLE = 16
"""Fewest unrelated tiles whose similarities have a meaningful spread."""
_ONE_BELOW = 0.16
"""Share of normally distributed values that are one standard deviation or more below the mean."""
_BLOCK = 256
"""Number of tiles that are compared with as many others at once."""


@dataclass(frozen=True)
class Described:
    """Descriptors of N tiles, with all that comparing them needs."""

    vectors: Floats
    """(N, ...); 0 for a tile that is like no other. The scalar product is the similarity."""
    threshold: float
    """Least similarity of near-duplicates."""
    shifted: Callable[[Floats], Iterable[Floats]] = lambda vectors: (vectors,)
    """Makes the variants of some vectors of which the most similar counts."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What the file of a split says of the descriptor."""


def cell_size(edge: int) -> int:
    """Edge in pixels of a cell of the descriptor `orientation`, for tiles of some edge."""
    return max(_LEAST_CELL, round(edge / _CELLS))


def gradients(band: NDArray[np.floating], valid: NDArray[np.bool_]) -> Floats:
    """Compute the gradients of one band between the cells of a coarse grid.

    Args:
        band: (H, W), any unit.
        valid: bool (H, W), False for missing values.

    Returns:
        float32 (H // cell, W // cell, 2): per cell, along rows and columns; 0 where half of the
        pixels of a cell or of a neighbour are missing.
    """
    cell = cell_size(max(band.shape))
    rows, cols = (max(edge // cell, 2) for edge in band.shape)
    there = valid[: rows * cell, : cols * cell]
    values = np.where(there, band[: rows * cell, : cols * cell], 0).astype(np.float32)
    share = _cell_means(there.astype(np.float32), rows, cols)
    means = _cell_means(values, rows, cols) / np.maximum(share, 1e-6)
    known = cv2.erode((share > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
    slopes = [np.gradient(means, axis=axis) for axis in (0, 1)]
    found = np.stack(slopes, axis=-1) * known[..., None]
    return np.asarray(found, np.float32)


def _cell_means(pixels: Floats, rows: int, cols: int) -> Floats:
    resized = cv2.resize(pixels, (cols, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)


def describe_orientations(
    found: Floats, edge: int, threshold: float = ORIENTATION_THRESHOLD
) -> Described:
    """Make descriptors of the directions of gradients.

    The similarity of two tiles is the cosine of their vectors times (4 n m) ^ (1/4), where n and m
    are the numbers of cells that carry the vectors (1 / sum of |v|^4 of unit vectors). If cells
    were independent, it would have the standard deviation 1 for tiles that have nothing in common.

    Waves, stripes and blocks repeat themselves, so their cells are not independent, and chance
    reaches further. How far is seen from the other sign: directions of unrelated tiles are opposite
    as often as equal, and duplicates are never opposite. So the vector of a tile is made shorter if
    the tile has a strongly negative similarity to some of the others, or if similarities below the
    median spread by more than 1.

    Args:
        found: float32 (N, rows, cols, 2) from `gradients`; it is overwritten.
        edge: Edge of the tiles in pixels.
        threshold: Least similarity of near-duplicates.
    """
    total = sum(float(np.square(tile, dtype=np.float64).sum()) for tile in found)
    floor = _FLOOR * np.sqrt(total / max(found.size / 2, 1)) + np.finfo(np.float32).tiny
    for tile in found:
        contrast = np.hypot(tile[..., 0], tile[..., 1])[..., None]
        weight = contrast**2 / (contrast**2 + floor**2)
        direction = weight * tile / np.maximum(contrast, np.finfo(np.float32).tiny)
        around = _box(direction) / np.maximum(_box(weight), 1e-6).reshape(*weight.shape)
        tile[:] = direction - weight * around
        tile /= max(float(np.linalg.norm(tile)), np.finfo(np.float32).tiny)
        cells = 1 / max(float(np.square(np.square(tile).sum(axis=-1)).sum()), 1e-12)
        is_told = tile.any() and cells >= _LEAST_CELLS and weight.mean() >= _LEAST_TEXTURE
        tile *= (2 * cells) ** 0.25 if is_told else 0
    cell = cell_size(edge)
    steps = max(int(np.ceil((REACH - cell / 2) / cell)), 0)
    wanted = _chance(found, steps) / ORIENTATION_THRESHOLD
    found /= np.sqrt(np.maximum(wanted, 1))[:, None, None, None]
    return Described(
        found, threshold, lambda vectors: _shifts(vectors, steps), {"descriptor": "orientation"}
    )


def _chance(vectors: Floats, steps: int) -> Floats:
    """Find how alike unrelated tiles may be, from a sample of all tiles: (N,), per tile.

    It is the greater of two numbers: the strongest opposite with a margin; and the median
    similarity, plus as many standard deviations as the threshold has, found below the median
    because duplicates are above it. A median above 0 comes from patterns that all tiles share, such
    as seams of a grid.
    """
    sample = np.linspace(0, len(vectors) - 1, min(len(vectors), _SAMPLE)).astype(int)
    flat = vectors.reshape(len(vectors), -1)
    least = np.zeros(len(vectors), np.float32)
    for shifted in _shifts(vectors[sample], steps):
        np.minimum(least, (flat @ shifted.reshape(len(sample), -1).T).min(axis=1), out=least)
    still = flat @ flat[sample].T
    # What looks like a duplicate tells nothing about chance: a set may show one place only.
    still[still >= ORIENTATION_THRESHOLD] = np.nan
    usual = np.zeros(len(vectors), np.float32)
    enough = np.count_nonzero(np.isfinite(still), axis=1) >= _LEAST_SAMPLE
    if enough.any():
        low, middle = np.nanquantile(still[enough], (_ONE_BELOW, 0.5), axis=1)
        usual[enough] = middle + ORIENTATION_THRESHOLD * (middle - low)
    return np.maximum(-_MARGIN * least, usual)


def _box(cells: Floats) -> Floats:
    return np.asarray(cv2.blur(cells, (_SURROUNDINGS, _SURROUNDINGS)), np.float32)


def _shifts(vectors: Floats, steps: int) -> Iterator[Floats]:
    """Shift (N, rows, cols, 2) by up to some cells in each direction, with 0 from outside."""
    rows, cols = vectors.shape[1:3]
    padded = np.pad(vectors, ((0, 0), (steps, steps), (steps, steps), (0, 0)))
    for row in range(2 * steps + 1):
        for col in range(2 * steps + 1):
            yield padded[:, row : row + rows, col : col + cols]


def find_duplicates(described: Described) -> NDArray[np.int64]:
    """Group near-duplicates: connected components of the similarity.

    Memory holds the similarities of two blocks of 256 tiles at a time, never those of all pairs.

    Returns:
        int64 (N,), number of the group of each tile; groups are numbered by their first tiles.
    """
    vectors = described.vectors
    flat = vectors.reshape(len(vectors), -1)
    usable = np.flatnonzero(flat.any(axis=1))
    starts = range(0, len(usable), _BLOCK)
    pairs = []
    for start in track(starts, "Comparing tiles", len(starts)):
        own = usable[start : start + _BLOCK]
        variants = [part.reshape(len(own), -1) for part in described.shifted(vectors[own])]
        for other in range(start, len(usable), _BLOCK):
            others = usable[other : other + _BLOCK]
            similarity = np.max([part @ flat[others].T for part in variants], axis=0)
            first, second = np.nonzero(similarity >= described.threshold)
            pairs.append(np.stack([own[first], others[second]]))
    edges = np.concatenate([np.empty((2, 0), np.int64), *pairs], axis=1)
    return _components(len(vectors), edges)


def joined(groupings: Sequence[Sequence[str]]) -> list[str]:
    """Join several groupings of the same tiles: tiles that share a group in any stay together.

    Args:
        groupings: For each grouping, the group of each tile, N.

    Returns:
        N names; a joined group has the name that its first tile has in the first grouping.
    """
    if len(groupings) == 1:
        return list(groupings[0])
    edges = []
    for names in groupings:
        _, first, numbers = np.unique(
            np.array(names, np.str_), return_index=True, return_inverse=True
        )
        edges.append(np.stack([np.arange(len(names)), first[numbers]]))
    numbers = _components(len(groupings[0]), np.concatenate(edges, axis=1))
    _, first = np.unique(numbers, return_index=True)
    return [groupings[0][first[number]] for number in numbers.tolist()]


def _components(tiles: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    graph = coo_array((np.ones(edges.shape[1], np.bool_), tuple(edges)), shape=(tiles, tiles))
    _, numbers = connected_components(graph, directed=False)
    _, first, dense = np.unique(numbers, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[dense], np.int64)
