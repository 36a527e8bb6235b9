"""Outlines of the regions of a map as polygons: GeoPackage and GeoParquet.

Polygons are made and written some at a time, so memory depends on the largest region and not on
their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from inference.measures import pixel_areas, step_lengths, to_map
from inference.outlines import Rings, trace_rings
from inference.regions import Regions, add_values, cut_regions, region_areas, regions_of
from inference.vectors import VectorFiles
from polynya.classes import ClassScheme
from polynya.scenes import Scene

_PIXELS_AT_ONCE = 4_000_000
"""Regions with so many pixels together are outlined at once."""

ReadProbability = Callable[[int], Iterator[tuple[int, NDArray[np.uint8]]]]
"""From a class code to (row, uint8 (n, W)), parts of that class's probability in steps of
`step`, from the top."""

_COLUMNS = pa.schema(
    [
        ("class", pa.string()),
        ("code", pa.int32()),
        ("pixels", pa.int64()),
        ("area_m2", pa.float64()),
        ("perimeter_px", pa.int64()),
        ("perimeter_m", pa.float64()),
        ("mean_probability", pa.float64()),
        ("cut", pa.bool_()),
        ("geometry", pa.binary()),
    ]
)


@dataclass(frozen=True)
class PolygonCounts:
    """What became of the regions of a map."""

    polygons: int
    dropped_regions: int
    """Smaller than asked for, and so in no polygon."""
    dropped_pixels: int
    """Pixels of those."""


def write_polygons(
    files: VectorFiles,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    *,
    min_pixels: int = 1,
    probability: ReadProbability | None = None,
    step: float = 1.0,
) -> PolygonCounts:
    """Write the outline of each region of each class; nodata is in none.

    Without CRS and transform, x is the column and y the negative row of a corner, where QGIS shows
    an image without georeference.

    Args:
        files: Where to.
        codes: uint8 (H, W), class codes.
        scene: Gives CRS, transform and so areas.
        classes: Scheme of the codes.

        min_pixels: Smaller regions are left out and counted.
        probability: Where probabilities are; None leaves the column empty.
        step: What a step of these is worth.
    """
    counts = np.zeros(3, np.int64)

    def batches() -> Iterator[pa.RecordBatch]:
        for regions in regions_of(codes, classes.codes):
            small = (regions.pixels < min_pixels) & (regions.pixels > 0)
            kept = regions.pixels >= min_pixels
            counts[:] += [kept.sum(), small.sum(), regions.pixels[small].sum()]
            if kept.any():
                name = classes.names[regions.code]
                means = _mean_probability(regions, probability, step)
                yield from _batches(regions, kept, name, means, codes, scene, classes.nodata)

    files.write(_COLUMNS, batches())
    return PolygonCounts(*(int(count) for count in counts))


def _mean_probability(
    regions: Regions, probability: ReadProbability | None, step: float
) -> NDArray[np.float64] | None:
    if probability is None:
        return None
    sums = np.zeros(len(regions.pixels))
    for row, values in probability(regions.code):
        add_values(sums, regions, row, values)
    return sums * step / np.maximum(regions.pixels, 1)


def _batches(
    regions: Regions,
    kept: NDArray[np.bool_],
    name: str,
    means: NDArray[np.float64] | None,
    codes: NDArray[np.uint8],
    scene: Scene,
    nodata: int,
) -> Iterator[pa.RecordBatch]:
    of_row = pixel_areas(scene)
    areas = None if of_row is None else region_areas(regions, of_row)
    cut = cut_regions(regions, codes, nodata)
    numbers = np.flatnonzero(kept)
    batch_of = np.cumsum(regions.pixels[numbers]) // _PIXELS_AT_ONCE
    for batch in np.unique(batch_of):
        members = numbers[batch_of == batch]
        wanted = np.zeros(len(regions.pixels), np.bool_)
        wanted[members] = True
        rings = _by_region(trace_rings(regions.numbers, wanted))
        corners = to_map(rings.corners, scene)
        first_rings = np.flatnonzero(np.diff(rings.regions, prepend=0))
        polygons = shapely.orient_polygons(
            shapely.from_ragged_array(
                shapely.GeometryType.POLYGON,
                corners,
                (rings.offsets, np.append(first_rings, len(rings.regions))),
            )
        )
        in_metres = step_lengths(corners, scene.crs) if scene.crs else None
        in_pixels = np.abs(np.diff(rings.corners, axis=0)).sum(axis=1)
        perimeters = [
            None if edges is None else np.add.reduceat(_by_ring(edges, rings), first_rings)
            for edges in (in_pixels, in_metres)
        ]
        columns = {
            "class": [name] * len(members),
            "code": np.full(len(members), regions.code),
            "pixels": regions.pixels[members],
            "area_m2": None if areas is None else areas[members],
            "perimeter_px": perimeters[0],
            "perimeter_m": perimeters[1],
            "mean_probability": None if means is None else means[members],
            "cut": cut[members],
            "geometry": shapely.to_wkb(polygons),
        }
        yield pa.RecordBatch.from_arrays(
            [
                pa.nulls(len(members), field.type)
                if columns[field.name] is None
                else pa.array(columns[field.name], field.type)
                for field in _COLUMNS
            ],
            schema=_COLUMNS,
        )


def _by_region(rings: Rings) -> Rings:
    """The rings in order of their regions; the outer one, found first, stays before its holes."""
    order = np.argsort(rings.regions, kind="stable")
    lengths = np.diff(rings.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    taken = np.repeat(rings.offsets[:-1][order] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Rings(rings.corners[taken], offsets, rings.regions[order], rings.holes[order])


def _by_ring(edges: NDArray[np.generic], rings: Rings) -> NDArray[np.generic]:
    """Length of each ring from the lengths between corners, (R,)."""
    edges = np.append(edges, 0)
    edges[rings.offsets[1:] - 1] = 0
    return np.add.reduceat(edges, rings.offsets[:-1])
