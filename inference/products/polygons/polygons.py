"""Outlines of the regions of a map as polygons: GeoPackage and GeoParquet.

Polygons are made and written in batches. So memory doesn't depend on the number of polygons, but on
the longest outline, which has a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from inference.ground.areas import PixelAreas, pixel_areas, sum_areas
from inference.ground.lengths import Lengths, to_map
from inference.products.polygons.outlines import Rings, trace_rings
from inference.products.polygons.regions import Regions, add_values, cut_regions, regions_of
from inference.products.polygons.vectors import Batch, VectorFiles
from polynya.progress import console, is_large, track
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene

_EDGES_AT_ONCE = 2_000_000
"""Number of pixel edges of all regions in a batch."""
_MOST_EDGES = 10_000_000
"""Greatest number of pixel edges of a region. A region with more edges is speckle everywhere: its
outline would take gigabytes and be useless."""

ReadProbability = Callable[[int], Iterator[tuple[int, NDArray[np.uint8]]]]
"""Function from a class code to parts (row, uint8 (n, W)) of the class's probability, in steps of
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
    """Numbers of written and dropped regions of a map."""

    polygons: int
    dropped_regions: int
    """Regions without a polygon: they are too small, or their outline is too long."""
    dropped_pixels: int
    """Pixels of the dropped regions."""


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
    """Write the outline of each region of each class or mask; nodata is in no region.

    Without a transform, x is the column and y the negative row of a corner, as in QGIS.

    Args:
        files: Files to write.
        codes: uint8 (H, W), labels.
        scene: Scene with CRS and transform, for areas.
        classes: Scheme of the codes.

        min_pixels: Least size in pixels; smaller regions are left out and counted.
        probability: Function that reads probabilities; None leaves the column empty.
        step: Value of one step of the stored probabilities.
    """
    counts = np.zeros(3, np.int64)
    ground = _Ground(pixel_areas(scene), Lengths.of(scene))

    def batches() -> Iterator[Batch]:
        of_classes = regions_of(codes, classes)
        title, shown = f"Outlining regions of {scene.id}", is_large(codes.size)
        for regions in track(of_classes, title, classes.n_classes, enabled=shown):
            tangled = regions.edges > _MOST_EDGES
            kept = (regions.pixels >= min_pixels) & ~tangled
            dropped = (regions.pixels > 0) & ~kept
            counts[:] += [kept.sum(), dropped.sum(), regions.pixels[dropped].sum()]
            if tangled.any():
                console.print(
                    f"{scene.id}: {tangled.sum()} region(s) of {classes.names[regions.code]} have"
                    f" outlines of more than {_MOST_EDGES:,} edges of pixels and are left out of"
                    " the polygons.",
                    markup=False,
                    soft_wrap=True,
                )
            if kept.any():
                name = classes.names[regions.code]
                means = _mean_probability(regions, probability, step)
                yield from _batches(
                    regions, kept, name, means, codes, scene, ground, classes.nodata
                )

    files.write(_COLUMNS, batches())
    return PolygonCounts(*(int(count) for count in counts))


@dataclass(frozen=True)
class _Ground:
    """Areas and lengths on the ground under a scene; None if unknown."""

    areas: PixelAreas | None
    lengths: Lengths | None


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
    ground: _Ground,
    nodata: int,
) -> Iterator[Batch]:
    areas = None
    if ground.areas is not None:
        areas = sum_areas(regions.numbers, ground.areas, len(regions.pixels))
    cut = cut_regions(regions, codes, nodata)
    numbers = np.flatnonzero(kept)
    batch_of = np.cumsum(regions.edges[numbers]) // _EDGES_AT_ONCE
    for batch in np.unique(batch_of):
        members = numbers[batch_of == batch]
        outlines = _outlines(regions, members, scene, ground.lengths)
        columns = {
            "class": [name] * len(members),
            "code": np.full(len(members), regions.code),
            "pixels": regions.pixels[members],
            "area_m2": None if areas is None else areas[members],
            "perimeter_px": regions.edges[members],
            "perimeter_m": outlines.in_metres,
            "mean_probability": None if means is None else means[members],
            "cut": cut[members],
            "geometry": outlines.wkb,
        }
        bounds = outlines.bounds
        del outlines  # Free the memory before the batch is written.
        yield _table(columns, len(members)), bounds


def _table(columns: dict[str, Any], length: int) -> pa.RecordBatch:
    arrays = [
        pa.nulls(length, field.type)
        if columns[field.name] is None
        else pa.array(columns.pop(field.name), field.type, from_pandas=True)  # NaN is null.
        for field in _COLUMNS
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_COLUMNS)


@dataclass(frozen=True)
class _Outlines:
    """Polygons of some regions and the lengths of their borders."""

    wkb: NDArray[np.object_]
    """Well-known binary, outer rings counterclockwise."""
    bounds: NDArray[np.float64]
    """Least x and y, greatest x and y of all polygons."""
    in_metres: NDArray[np.float64] | None
    """Length of all rings of each polygon in metres; None if the ground is unknown."""


def _outlines(
    regions: Regions, members: NDArray[np.int64], scene: Scene, lengths: Lengths | None
) -> _Outlines:
    """Make the polygons of the regions with these numbers, in ascending order.

    The largest regions have tens of millions of corners, so memory is freed as soon as possible.
    """
    wanted = np.zeros(len(regions.pixels), np.bool_)
    wanted[members] = True
    a, b, _, d, e, _ = scene.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    # In the image, the region is to the right of the direction of travel.
    rings = _by_region(trace_rings(regions.numbers, wanted), backwards=a * e - b * d < 0)
    offsets, first_rings = rings.offsets, np.flatnonzero(np.diff(rings.regions, prepend=0))
    ends = np.append(first_rings, len(rings.regions))

    in_metres = None
    if lengths is not None:
        of_rings = _by_ring(lengths.steps(rings.corners), offsets)
        in_metres = np.add.reduceat(of_rings, first_rings)
    corners = to_map(rings.corners, scene)
    bounds = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    del rings
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, (offsets, ends))
    del corners
    return _Outlines(shapely.to_wkb(polygons), bounds, in_metres)


def _by_region(rings: Rings, backwards: bool) -> Rings:
    """Sort the rings by region; the outer ring, found first, stays before its holes.

    Args:
        rings: Rings in any order of regions.
        backwards: Whether to reverse the direction of each ring.
    """
    order = np.argsort(rings.regions, kind="stable")
    lengths = np.diff(rings.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    starts = rings.offsets[:-1][order]
    taken = np.arange(offsets[-1])
    if backwards:
        taken *= -1
        taken += np.repeat(starts + offsets[1:] - 1, lengths)
    else:
        taken += np.repeat(starts - offsets[:-1], lengths)
    return Rings(rings.corners[taken], offsets, rings.regions[order], rings.holes[order])


def _by_ring(steps: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the length of each ring, (R,), from the lengths between corners, (K - 1,)."""
    steps = np.append(steps, 0.0)
    steps[offsets[1:] - 1] = 0  # These steps lead from one ring to the next.
    return np.asarray(np.add.reduceat(steps, offsets[:-1]))
