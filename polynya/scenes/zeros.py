"""Black pixels that are nodata, in scenes whose file has no information about nodata.

A pixel is black if it is 0 in all used bands. In such files, black outside of the swath means
nodata, but black inside may be deep water. So black pixels that hang together form a patch. A patch
is nodata if it touches the edge of the scene, or if it contains a whole block (`BLOCK` rows and
columns, counted from the upper left corner). Other patches are data.

A patch can be larger than the part of a scene that is read. The result must not depend on this
part, so a scene has fixed bands of `BLOCK` rows. Of each band, only the black runs in its first and
last row are kept, because patches go on there. Further bands are read until it is known what the
patches of the wanted rows are. Therefore most reads need no other pixels, memory depends on the
width of the scene, and a process looks at each band once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from polynya.grid import Tile
from polynya.rasters.references import is_local_file
from polynya.scenes.scene import Scene

BLOCK = 256
"""Rows and columns of a block. Black holes in the middle of a mosaic hold some, as tiles of most
formats have at least this size. Black lakes and leads are narrower."""

_NEIGHBOURS = 8
"""A slanted edge of a swath may be one pixel wide. Its pixels meet at their corners only."""

_UNKNOWN, _DATA, _NODATA = 0, 1, 2
_SCENES = 32
"""Scenes that a process remembers."""

_Mask = NDArray[np.bool_]
_Numbers = NDArray[np.int32]
_States = NDArray[np.uint8]


@dataclass(frozen=True)
class _Runs:
    """Runs of black pixels in one row, from left to right."""

    starts: _Numbers
    stops: _Numbers
    """Columns after the last pixels."""
    patches: _Numbers
    """Number of the patch of each run, within the band."""


@dataclass(frozen=True)
class _Band:
    """What the neighbours of a band need to know of it."""

    top: _Runs
    bottom: _Runs
    states: _States
    """State of each patch that has pixels in the first or last row; changes when it is known."""


@dataclass(frozen=True)
class _Known:
    """What this process knows of the black pixels of one scene."""

    bands: dict[int, _Band] = field(default_factory=dict)
    masks: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    """Nodata of the two bands that were read last, 8 pixels a byte, for callers that read many
    tiles side by side."""


_NO_RUNS = _Runs(*(np.zeros(0, np.int32) for _ in range(3)))
_NO_BLACK = _Band(_NO_RUNS, _NO_RUNS, np.zeros(0, np.uint8))


def nodata_zeros(
    scene: Scene, source: Any, indexes: tuple[int, ...], tile: Tile | None, black: _Mask
) -> _Mask:
    """Find the black pixels that are nodata.

    Args:
        scene: Description of the scene.
        source: The scene's raster, open in rasterio; other rows are read if they are needed.
        indexes: 1-based bands that are used.
        tile: Rectangle that `black` covers; None: the whole scene.
        black: bool (H, W), True where all used bands are 0.

    Returns:
        bool (H, W), True for nodata.
    """
    if not black.any():
        return black
    tile = tile or Tile(0, 0, source.height, source.width)
    known = _known(
        scene.uri, tuple(sorted(set(indexes))), (source.height, source.width, _stamp(source))
    )
    bands = _Bands(source, indexes, tile, black, known)
    first, last = tile.row // BLOCK, (tile.row + tile.height - 1) // BLOCK
    bands.decide(first, last)
    result = np.zeros(black.shape, np.bool_)
    columns = slice(tile.col, tile.col + tile.width)
    for band in range(first, last + 1):
        start = band * BLOCK - tile.row
        rows = slice(max(start, 0), min(start + BLOCK, tile.height))
        if black[rows].any():
            of_band = bands.nodata(band)
            result[rows] = of_band[rows.start - start : rows.stop - start, columns]
    return result


@lru_cache(maxsize=_SCENES)
def _known(uri: str, indexes: tuple[int, ...], state: object) -> _Known:
    """Memory of one state of a scene's files."""
    return _Known()


def _stamp(source: Any) -> tuple[tuple[int, ...], ...]:
    """Size and time of change of a raster's local files, which differ after a change."""
    found = []
    for name in source.files:
        if is_local_file(name) and os.path.exists(name):
            status = os.stat(name)
            found.append((status.st_size, status.st_ctime_ns, status.st_mtime_ns, status.st_ino))
    return tuple(found)


class _Bands:
    """Bands of one scene, of which a part is in memory."""

    def __init__(
        self, source: Any, indexes: tuple[int, ...], tile: Tile, black: _Mask, known: _Known
    ) -> None:
        self._source = source
        self._indexes = list(indexes)
        self._tile = tile
        self._black = black
        self._known = known
        self._count = -(-source.height // BLOCK)

    def decide(self, first: int, last: int) -> None:
        """Find the state of all patches in some bands; look at further bands if it is necessary."""
        low, high, step = first, last, 1
        while True:
            for band in range(low, high + 1):
                self._look(band)
            up, down = _join(
                [self._known.bands[n] for n in range(low, high + 1)],
                low == 0,
                high == self._count - 1,
                slice(first - low, last - low + 1),
            )
            if not (up or down):
                return
            low = max(low - step, 0) if up else low
            high = min(high + step, self._count - 1) if down else high
            step *= 2

    def nodata(self, band: int) -> _Mask:
        """Nodata of a band whose patches are decided, as wide as the scene."""
        packed = self._known.masks.get(band)
        if packed is not None:
            return np.unpackbits(packed, axis=1, count=self._source.width).view(np.bool_)
        black, is_read = self._pixels(band)
        labels, is_nodata = self._patches(black, band)
        summary = self._known.bands[band]
        for row, runs in ((0, summary.top), (-1, summary.bottom)):
            is_nodata[labels[row, runs.starts]] = summary.states[runs.patches] == _NODATA
        is_nodata[0] = False
        mask = is_nodata[labels]
        if is_read:
            masks = self._known.masks
            for old in list(masks)[:-1]:
                masks.pop(old, None)
            masks[band] = np.packbits(mask, axis=1)
        return mask

    def _look(self, band: int) -> None:
        if band in self._known.bands:
            return
        black, _ = self._pixels(band)
        if not black.any():
            self._known.bands.setdefault(band, _NO_BLACK)
            return
        labels, is_nodata = self._patches(black, band)
        rows = (labels[0], labels[-1])
        # Only these patches can go on in another band.
        going_on = np.unique(np.concatenate(rows))
        going_on = going_on[going_on > 0]
        states = np.where(is_nodata[going_on], _NODATA, _UNKNOWN).astype(np.uint8)
        top, bottom = (_runs(row, going_on) for row in rows)
        self._known.bands.setdefault(band, _Band(top, bottom, states))

    def _patches(self, black: _Mask, band: int) -> tuple[_Numbers, _Mask]:
        """Number of each pixel's patch within the band, 0 for none; which are nodata for sure."""
        count, labels = cv2.connectedComponents(black.view(np.uint8), connectivity=_NEIGHBOURS)
        is_nodata = np.zeros(count, np.bool_)
        is_nodata[labels[:, 0]] = is_nodata[labels[:, -1]] = True
        if band == 0:
            is_nodata[labels[0]] = True
        if band == self._count - 1:
            is_nodata[labels[-1]] = True
        if len(black) == BLOCK:
            blocks = black.shape[1] // BLOCK
            full = black[:, : blocks * BLOCK].all(axis=0).reshape(blocks, BLOCK).all(axis=1)
            is_nodata[labels[0, : blocks * BLOCK : BLOCK][full]] = True
        is_nodata[0] = False
        return labels, is_nodata

    def _pixels(self, band: int) -> tuple[_Mask, bool]:
        """Black pixels of a whole band, and whether they were read from the file."""
        start, width = band * BLOCK, self._source.width
        stop = min(start + BLOCK, self._source.height)
        first = self._tile.row
        if self._tile.width == width and first <= start and stop <= first + self._tile.height:
            return np.ascontiguousarray(self._black[start - first : stop - first]), False
        window = Window(0, start, width, stop - start)
        return (self._source.read(self._indexes, window=window) == 0).all(axis=0), True


def _runs(row: _Numbers, patches: _Numbers) -> _Runs:
    """Runs of the same patch in a row; `patches` has the numbers that rows are counted by."""
    padded = np.zeros(len(row) + 2, np.int8)
    padded[1:-1] = row > 0
    changes = np.diff(padded)
    starts = np.flatnonzero(changes == 1).astype(np.int32)
    stops = np.flatnonzero(changes == -1).astype(np.int32)
    return _Runs(starts, stops, np.searchsorted(patches, row[starts]).astype(np.int32))


def _join(bands: list[_Band], has_first: bool, has_last: bool, wanted: slice) -> tuple[bool, bool]:
    """Join the patches of neighbouring bands and set the states that follow from it.

    Args:
        bands: Bands from top to bottom.
        has_first: Whether the first one is the first band of the scene.
        has_last: Whether the last one is the last band of the scene.
        wanted: Bands whose states the caller needs.

    Returns:
        Whether bands above, and bands below, are needed for the wanted states.
    """
    counts = np.cumsum([0, *(len(band.states) for band in bands)])
    above, below = [], []
    for number in range(len(bands) - 1):
        upper, lower = _touching(bands[number].bottom, bands[number + 1].top)
        above.append(upper + counts[number])
        below.append(lower + counts[number + 1])
    none = np.zeros(0, np.int64)
    root = _roots(int(counts[-1]), np.concatenate([none, *above]), np.concatenate([none, *below]))
    states = np.concatenate([band.states for band in bands])

    def among(patches: NDArray[Any]) -> _Mask:
        found = np.zeros(len(root), np.bool_)
        found[root[patches]] = True
        return found[root]

    goes_up = among(none if has_first else bands[0].top.patches.astype(np.int64))
    goes_down = among(none if has_last else bands[-1].bottom.patches + counts[-2])
    known = np.where(goes_up | goes_down, _UNKNOWN, _DATA).astype(np.uint8)
    known[among(np.flatnonzero(states == _DATA))] = _DATA
    known[among(np.flatnonzero(states == _NODATA))] = _NODATA
    for number, band in enumerate(bands):
        band.states[:] = known[counts[number] : counts[number + 1]]
    asked = np.zeros(len(root), np.bool_)
    asked[counts[wanted.start] : counts[wanted.stop]] = True
    asked &= known == _UNKNOWN
    return bool((asked & goes_up).any()), bool((asked & goes_down).any())


def _touching(upper: _Runs, lower: _Runs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of patches whose runs touch, also at a corner, in two rows that follow each other."""
    first = np.searchsorted(lower.stops, upper.starts, "left")
    stop = np.searchsorted(lower.starts, upper.stops, "right")
    counts = stop - first
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    below = lower.patches[np.repeat(first, counts) + places]
    return np.repeat(upper.patches, counts).astype(np.int64), below.astype(np.int64)


def _roots(count: int, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least number of the patches that hang together with each patch, by pairs that do."""
    root = np.arange(count)
    while True:
        least = np.minimum(root[ones], root[others])
        found = root.copy()
        np.minimum.at(found, root[ones], least)
        np.minimum.at(found, root[others], least)
        while not np.array_equal(found, found[found]):
            found = found[found]
        if np.array_equal(found, root):
            return root
        root = found
