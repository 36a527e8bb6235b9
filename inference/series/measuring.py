"""Areas of classes in a region, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.ground.areas import add_areas, pixel_areas
from inference.maps.grids import Grid
from inference.maps.made_map import MadeMap
from inference.maps.stack import EDGE, Stack
from inference.series.region import Region
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.progress import progress
from polynya.recipe.classes import ClassScheme


@dataclass(frozen=True)
class Day:
    """What is known of one day."""

    date: str
    maps: tuple[str, ...]
    """Ids of its maps."""
    region_m2: float
    """Area of the whole region."""
    valid_m2: float
    """Area with data."""
    classes_m2: tuple[float, ...]
    """Area of each class or mask."""
    ice_m2: float | None
    """Area of all classes of ice; None if no class is known to be ice."""

    @property
    def valid_share(self) -> float:
        return self.valid_m2 / self.region_m2 if self.region_m2 else 0.0

    @property
    def concentration(self) -> float | None:
        """Share of ice in the area with data; None without data."""
        if self.ice_m2 is None or not self.valid_m2:
            return None
        return self.ice_m2 / self.valid_m2


def measure_days(
    maps: Sequence[MadeMap], stack: Stack, grid: Grid, region: Region | None, ice: Sequence[int]
) -> list[Day]:
    """Measure each day of a stack of maps, in one walk over the grid.

    Areas are those on the ellipsoid (`inference.ground.areas`). Several maps of one day are
    combined by the rule of the stack.

    Args:
        maps: Maps of the stack, each with a `day`.
        stack: The maps on the grid.
        grid: The grid.
        region: Region; None: all that lies within the frame of any map, of whatever day.
        ice: Codes of the classes or masks that are ice; empty if none is known.

    Returns:
        Days in order of time.

    Raises:
        SceneError: A map can't be read, or the grid has no areas on the ground.
    """
    areas = pixel_areas(grid.scene("series"))
    if areas is None:
        raise SceneError(f"Areas in {grid.crs} can't be known; give another --crs.")
    classes = maps[0].classes
    days = sorted({made.day for made in maps})
    of_day = {
        day: frozenset(number for number, made in enumerate(maps) if made.day == day)
        for day in days
    }
    sums = np.zeros((len(days), 256))
    whole = 0.0
    with progress("Measuring rows", grid.height * len(days)) as advance:
        for row in range(0, grid.height, EDGE):
            strip = Tile(row, 0, min(EDGE, grid.height - row), grid.width)
            sizes = areas.rows(strip.row, strip.row + strip.height)
            # Labels are within frames, so without a region they need no mask.
            inside = None if region is None else region.mask(strip)
            framed = np.zeros((strip.height, strip.width), np.bool_)
            for day, of_labels in zip(days, sums, strict=True):
                with stack.opened(strip, of_day[day]) as opened:
                    for column in range(0, strip.width, EDGE):
                        part = slice(column, column + min(EDGE, strip.width - column))
                        found = opened.part(Tile(row, column, strip.height, part.stop - column))
                        framed[:, part] |= found.framed
                        labels = found.labels
                        if inside is not None:
                            labels = np.where(inside[:, part], labels, np.uint8(classes.nodata))
                        _add(of_labels, labels, sizes, part)
                advance(strip.height)
            of_region = np.zeros(2)
            shown = framed if inside is None else inside
            _add(of_region, shown.astype(np.uint8), sizes, slice(0, strip.width))
            whole += float(of_region[1])
    return [
        _day(day, [maps[number].id for number in sorted(of_day[day])], whole, of, classes, ice)
        for day, of in zip(days, sums, strict=True)
    ]


def ice_codes(classes: ClassScheme, named: Sequence[str]) -> list[int]:
    """Find the classes that are ice: those that a user names, else thin and thick ice.

    Returns:
        Codes; empty if no class is named and the scheme isn't that of sea ice.

    Raises:
        SceneError: There is no class of that name.
    """
    for name in named:
        if name not in classes.names:
            raise SceneError(
                f"--ice names '{name}', but the maps have {', '.join(classes.names)}; give some of"
                " them, with commas between."
            )
    ice = named or [name for name in ("thin_ice", "thick_ice") if name in classes.names]
    return [classes.names.index(name) for name in dict.fromkeys(ice)]


def _add(sums: Any, numbers: Any, sizes: Any, columns: slice) -> None:
    """Add the areas of pixels; rows of equal pixels have one area each."""
    own = sizes if sizes.shape[1] == 1 else sizes[:, columns]
    add_areas(sums, numbers, np.ascontiguousarray(own))


def _day(
    date: str,
    names: Sequence[str],
    whole: float,
    of_labels: Any,
    classes: ClassScheme,
    ice: Sequence[int],
) -> Day:
    labels = np.arange(classes.n_labels, dtype=np.uint8)
    own = of_labels[: classes.n_labels]
    under = [classes.where(labels, code) for code in classes.codes]
    any_ice = np.logical_or.reduce([under[code] for code in ice]) if ice else None
    return Day(
        date=date,
        maps=tuple(names),
        region_m2=whole,
        valid_m2=float(own.sum()),
        classes_m2=tuple(float(own[one].sum()) for one in under),
        ice_m2=None if any_ice is None else float(own[any_ice].sum()),
    )
