"""Several maps on one grid, part by part: labels of each, and surest or commonest of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from inference.maps.grids import Grid
from inference.maps.made_map import BadMap, MadeMap
from inference.maps.overlaps import Rule, combine
from inference.maps.sampling import Sampler, reader_of
from inference.products.class_map import read_labels
from inference.products.probability import NODATA, STEP
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import opened_raster

EDGE = 512
"""Edge of the parts of a grid that are made at once."""

Confidence = Literal["probability", "entropy"]
_SURE = round(1 / STEP)


def find_confidence(
    maps: Sequence[MadeMap],
) -> tuple[Confidence, list[MadeMap], list[BadMap]]:
    """Find the product that says how sure each map is: the same for all, as they are compared.

    Returns:
        The product that most maps have, `probability` if both are as common; the maps with it; and
        the others.

    Raises:
        SceneError: No map has one.
    """
    kinds: tuple[Confidence, Confidence] = ("probability", "entropy")
    kind = max(kinds, key=lambda kind: sum(kind in made.files for made in maps))
    kept = [made for made in maps if kind in made.files]
    if not kept:
        raise SceneError(
            "No map has a probability or an entropy beside it, so --rule most-confident can't know"
            " which is surest; predict them with --products probability, or give another --rule."
        )
    others = [
        BadMap(
            str(made.path),
            f"{printable(made.path)} has no {kind} beside it as most maps have; predict it with"
            f" --products {kind}, or give another --rule.",
        )
        for made in maps
        if kind not in made.files
    ]
    return kind, kept, others


@dataclass(frozen=True)
class Part:
    """Maps in a part of a grid, combined."""

    labels: NDArray[np.uint8]
    """uint8 (h, w)."""
    which: NDArray[np.int64]
    """int64 (h, w): number of the map in the stack that decided; -1 without data."""
    framed: NDArray[np.bool_]
    """bool (h, w): pixels within the frame of any map, with data or not."""


class Stack:
    """Maps on a grid, in the order in which they decide (`inference.maps.overlaps.in_order`)."""

    def __init__(
        self, maps: Sequence[MadeMap], grid: Grid, rule: Rule, confidence: Confidence | None = None
    ) -> None:
        """Take maps of one scheme; `confidence` is needed for the rule `most-confident`."""
        self.maps, self._rule, self._confidence = maps, rule, confidence
        self._samplers = [Sampler(made.scene, grid) for made in maps]
        self._nodata = maps[0].classes.nodata

    @contextmanager
    def opened(self, tile: Tile, of: frozenset[int] | None = None) -> Iterator[OpenStack]:
        """Open the maps that may lie in a part of the grid, such as some of its rows.

        Args:
            tile: Rectangle of the grid.
            of: Numbers of the maps that count; default: all.
        """
        with ExitStack() as stack:
            yield OpenStack(
                self,
                [
                    _Layer(
                        number,
                        sampler,
                        stack.enter_context(opened_raster(str(made.path))),
                        None
                        if self._confidence is None
                        else stack.enter_context(opened_raster(str(made.files[self._confidence]))),
                    )
                    for number, (made, sampler) in enumerate(
                        zip(self.maps, self._samplers, strict=True)
                    )
                    if sampler.meets(tile) and (of is None or number in of)
                ],
            )

    def combine(self, tile: Tile, layers: Sequence[_Layer]) -> Part:
        """See `OpenStack.part`."""
        labels, scores, numbers = [], [], []
        framed = np.zeros((tile.height, tile.width), np.bool_)
        for layer in layers:
            if not layer.sampler.meets(tile):
                continue
            rows, columns = layer.sampler.positions(tile)
            inside = rows >= 0
            if not inside.any():
                continue
            framed |= inside
            made = self.maps[layer.number]
            with _read_errors(made):
                read = reader_of(layer.source, read_labels)
                labels.append(layer.sampler.take(rows, columns, read, self._nodata))
                if layer.confidence is not None:
                    read = reader_of(layer.confidence, self._read_confidence)
                    scores.append(layer.sampler.take(rows, columns, read, 0))
            numbers.append(layer.number)
        if not labels:
            shape = framed.shape
            return Part(np.full(shape, self._nodata, np.uint8), np.full(shape, -1), framed)
        stacked = np.stack(labels)
        combined, which = combine(
            stacked, self._rule, self._nodata, np.stack(scores) if scores else None
        )
        return Part(combined, np.where(which < 0, -1, np.array(numbers)[which]), framed)

    def _read_confidence(self, source: Any, window: Any) -> NDArray[np.uint8]:
        """Read how sure a map is, uint8 (h, w), 0 to 250; 0 without data.

        It is the greatest probability of a class; of masks, how far the least sure mask is from
        one half; or what entropy is missing to its greatest.
        """
        bands = np.asarray(source.read(window=window), np.int64)
        if self._confidence == "entropy":
            sure = _SURE - bands[0]
        elif self.maps[0].classes.has_masks:
            sure = np.abs(2 * bands - _SURE).min(axis=0)
        else:
            sure = bands.max(axis=0)
        return np.where(bands[0] == NODATA, 0, sure).astype(np.uint8)


@dataclass(frozen=True)
class _Layer:
    number: int
    """Position of the map in the stack."""
    sampler: Sampler
    source: Any
    """Open raster of labels."""
    confidence: Any
    """Open raster of the confidence; None if the rule needs none."""


class OpenStack:
    """The maps of a `Stack` that are open for a part of the grid."""

    def __init__(self, stack: Stack, layers: Sequence[_Layer]) -> None:
        self._stack, self._layers = stack, layers

    def part(self, tile: Tile) -> Part:
        """Combine the maps in a part of the grid that lies within the opened one.

        Raises:
            SceneError: A map can't be read.
        """
        return self._stack.combine(tile, self._layers)


@contextmanager
def _read_errors(made: MadeMap) -> Iterator[None]:
    try:
        yield
    except RasterioError as error:
        raise SceneError(
            f"The map {printable(made.path)} can't be read ({error.__cause__ or error}); predict it"
            " again, or leave it out."
        ) from None
