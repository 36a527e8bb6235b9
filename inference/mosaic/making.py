"""Writes a mosaic: labels, which map each pixel is from, styles and the STAC item."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.maps.grids import Grid
from inference.maps.made_map import MadeMap
from inference.maps.overlaps import Rule
from inference.maps.stack import EDGE, Confidence, Stack
from inference.mosaic.item import write_mosaic_item
from inference.products.class_map import is_one_band
from inference.products.cog import RasterLayout, RasterRows, cog_rows
from inference.products.paths import ProductPaths
from inference.products.qgis import (
    Color,
    class_entries,
    is_style,
    palette_style,
    write_style,
)
from inference.stac.item import read_document
from polynya import __version__
from polynya.errors import OutputError
from polynya.grid import Tile
from polynya.progress import progress
from polynya.storage.ownership import check_free, is_ours, remove_file

SOURCES = "_source"
"""End of the name of the raster that says which map each pixel is from."""
_MOST_MAPS = 65534


@dataclass(frozen=True)
class Mosaic:
    """What a mosaic is made of."""

    maps: Sequence[MadeMap]
    """In the order in which they decide."""
    grid: Grid
    rule: Rule
    confidence: Confidence | None = None
    """Product that is compared, for the rule `most-confident`."""

    @property
    def tags(self) -> dict[str, str]:
        """Provenance: all that decides the pixels."""
        grid = self.grid
        members = "; ".join(f"{made.id} {made.digest}" for made in self.maps)
        return {
            "polynya_version": __version__,
            "recipe_digest": ", ".join(sorted({made.recipe_digest for made in self.maps})),
            "mosaic_rule": self.rule + (f" ({self.confidence})" if self.confidence else ""),
            "mosaic_grid": f"{grid.crs}, {grid.transform}, {grid.width} x {grid.height}",
            "mosaic_maps": members,
            "mosaic_digest": hashlib.sha256(members.encode()).hexdigest(),
        }


def mosaic_files(paths: ProductPaths) -> list[Path]:
    """List the files of a mosaic; the item is the last."""
    endings = (".tif", f"{SOURCES}.tif", ".qml", f"{SOURCES}.qml", ".json")
    return [paths.named(ending) for ending in endings]


def is_made(mosaic: Mosaic, paths: ProductPaths) -> bool:
    """Whether the mosaic is there already, made of the same maps in the same way."""
    item = read_document(paths.item, ("mosaic",))
    properties = item.get("properties", {})
    assets = item.get("assets", {}).values()
    return (
        bool(item)
        and all(properties.get(f"polynya:{key}") == text for key, text in mosaic.tags.items())
        and all(
            (file := paths.folder / asset["href"]).is_file()
            and (is_style(file) or file.stat().st_size == asset["file:size"])
            for asset in assets
        )
    )


def write_mosaic(mosaic: Mosaic, paths: ProductPaths) -> float:
    """Write a mosaic part by part; memory doesn't depend on its size.

    The item comes last, so a mosaic with an item is complete. If something fails, an earlier mosaic
    stays as it was, or nothing is left.

    Args:
        mosaic: What it is made of.
        paths: Files of the mosaic; the folder is open for this run.

    Returns:
        Share of the grid with data, 0 to 1.

    Raises:
        OutputError: A file can't be written, or isn't ours.
        SceneError: A map can't be read.
    """
    if len(mosaic.maps) > _MOST_MAPS:
        raise OutputError(f"A mosaic can be of {_MOST_MAPS:,} maps; make several of them.")
    check_free(file for file in mosaic_files(paths) if not is_style(file))
    with ExitStack() as undo:
        known = _write_rasters(mosaic, paths, undo)
        classes = mosaic.maps[0].classes
        write_style(paths.named(".qml"), palette_style(class_entries(classes)))
        names = [
            (number, _hue(number), made.id) for number, made in enumerate(mosaic.maps, start=1)
        ]
        write_style(paths.named(f"{SOURCES}.qml"), palette_style(names))
        write_mosaic_item(paths, mosaic.maps, mosaic.grid, mosaic.tags, SOURCES)
        undo.pop_all()
    return known / (mosaic.grid.height * mosaic.grid.width)


def _write_rasters(mosaic: Mosaic, paths: ProductPaths, undo: ExitStack) -> int:
    """Write both rasters; return the number of pixels with data."""
    grid, classes = mosaic.grid, mosaic.maps[0].classes
    place: dict[str, Any] = {
        "height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform,
    }  # fmt: skip
    one = is_one_band(classes)
    layout = RasterLayout(
        bands=classes.names if classes.has_masks else (f"class ({classes.name})",),
        dtype="uint8",
        nodata=classes.nodata,
        resampling="MODE",
        colormap=classes.label_colors() if one else None,
        **place,
    )
    numbers = RasterLayout(bands=("number of the map",), dtype="uint16", nodata=0, **place)
    stack = Stack(mosaic.maps, grid, mosaic.rule, mosaic.confidence)
    known = 0
    with (
        cog_rows(paths.map, layout, mosaic.tags) as labels,
        cog_rows(paths.named(f"{SOURCES}.tif"), numbers, mosaic.tags) as sources,
        progress("Combining rows", grid.height) as advance,
    ):
        for row in range(0, grid.height, EDGE):
            strip = Tile(row, 0, min(EDGE, grid.height - row), grid.width)
            known += _write_strip(stack, strip, labels, sources, None if one else classes.planes)
            advance(strip.height)
        # All maps have been read. From here on, what was there before is no longer complete.
        undo.callback(_remove, mosaic_files(paths))
        remove_file(paths.item)
    return known


def _write_strip(
    stack: Stack, strip: Tile, labels: RasterRows, sources: RasterRows, planes: Any
) -> int:
    """Write some rows of both rasters; return the number of pixels with data."""
    codes = np.empty((strip.height, strip.width), np.uint8)
    which = np.empty((strip.height, strip.width), np.uint16)
    with stack.opened(strip) as opened:
        for column in range(0, strip.width, EDGE):
            width = min(EDGE, strip.width - column)
            part = opened.part(Tile(strip.row, column, strip.height, width))
            codes[:, column : column + width] = part.labels
            which[:, column : column + width] = part.which + 1
    labels.write(strip.row, codes if planes is None else np.moveaxis(planes(codes), 0, -1))
    sources.write(strip.row, which)
    return int(np.count_nonzero(which))


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        if is_ours(file):
            remove_file(file)


def _hue(number: int) -> Color:
    """Colour of a map; neighbouring numbers differ much (steps of the golden ratio)."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.55, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
