"""What can be seen of maps: labels, and probabilities and other measures, with their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from inference.maps.grids import to_crs
from inference.maps.made_map import ASSETS, MadeMap
from inference.products.class_map import is_one_band
from inference.products.qgis import RAMP
from polynya.rasters.opening import opened_raster
from polynya.recipe.classes import ClassScheme

STEPS = 250
"""Steps of measures from 0 to 1, as products of bytes have them."""
_TITLES = {"probability": "Probability", "entropy": "Entropy", "concentration": "Concentration"}
_COLORMAP = dict[int, tuple[int, int, int, int]]


@dataclass(frozen=True)
class Layer:
    """One thing to see of maps of a scheme: a band of one of their files."""

    id: str
    """Unique name, safe in URLs: labels, probability-2 and so on."""
    title: str
    file: str
    """Key of the asset of the file."""
    band: int
    """1-based band of the file."""
    colors: _COLORMAP
    """RGBA by stored number; for measures by steps of `STEPS`."""
    legend: tuple[tuple[str, str], ...]
    """Colour in CSS and name of each entry."""
    is_measure: bool = False


def layers_of(maps: Sequence[MadeMap]) -> list[Layer]:
    """List the layers that at least one map has; labels come first."""
    classes = maps[0].classes
    found = {layer.id: layer for layer in _label_layers(classes)}
    for made in maps:
        for key, title in _TITLES.items():
            if key in made.files:
                for layer in _measure_layers(made.files[key], key, title):
                    found.setdefault(layer.id, layer)
    return list(found.values())


class ServedMap:
    """A map that is served under an id that says nothing of its place."""

    def __init__(self, name: str, made: MadeMap) -> None:
        """Take a map; `name` is its id in URLs."""
        self.name, self.made = name, made
        labels = next((made.files[key] for key in ASSETS if key in made.files), made.path)
        self._files = {**made.files, "labels": labels}

    def file(self, layer: Layer) -> Path | None:
        """File of a layer; None if the map doesn't have it."""
        return self._files.get(layer.file)

    def values(self, lon_lat: tuple[float, float]) -> dict[str, Any]:
        """Read what the map says of a place in degrees; empty beside it.

        Raises:
            SceneError: A file can't be read.
        """
        column, row = self._pixel(lon_lat)
        scene, classes = self.made.scene, self.made.classes
        if not (0 <= row < scene.height and 0 <= column < scene.width):
            return {}
        labels = _pixel_of(self._files["labels"], row, column)
        found: dict[str, Any] = {"labels": _titles(labels, classes)}
        for key, title in _TITLES.items():
            path = self.made.files.get(key)
            if path is None or not found["labels"]:
                continue
            with opened_raster(str(path)) as source:
                # Cells of the concentration are larger than pixels.
                at = row * source.height // scene.height, column * source.width // scene.width
                if key == "concentration":
                    at = _cell(source, scene.transform, row, column)
                window = rasterio.windows.Window(at[1], at[0], 1, 1)
                numbers = source.read(window=window)[:, 0, 0].astype(float)
                for name, number, scale in zip(
                    source.descriptions, numbers, source.scales, strict=True
                ):
                    if np.isfinite(number) and number != source.nodata:
                        label = name or title
                        found[label[0].upper() + label[1:]] = round(number * scale, 3)
        return found

    def _pixel(self, lon_lat: tuple[float, float]) -> tuple[int, int]:
        x, y = self._from_degrees.transform(*lon_lat)
        a, b, c, d, e, f = self.made.scene.transform or (1, 0, 0, 0, 1, 0)
        if "4326" in (self.made.scene.crs or ""):
            x = c + (x - c) % 360  # Maps may go on beyond 180 degrees.
        column, row = np.linalg.solve([[a, b], [d, e]], [x - c, y - f])
        if not np.isfinite([column, row]).all():
            return -1, -1
        return int(np.floor(column)), int(np.floor(row))

    @cached_property
    def _from_degrees(self) -> Transformer:
        return to_crs("EPSG:4326", self.made.scene.crs or "")


def _cell(source: Any, transform: Any, row: int, column: int) -> tuple[int, int]:
    """Row and column of the cell that holds a pixel: cells are whole pixels."""
    a, b, _, d, e, _ = transform
    of = source.transform
    columns = round(np.hypot(of.a, of.d) / np.hypot(a, d))
    rows = round(np.hypot(of.b, of.e) / np.hypot(b, e))
    return row // max(1, rows), column // max(1, columns)


def _pixel_of(path: Path, row: int, column: int) -> NDArray[Any]:
    with opened_raster(str(path)) as source:
        return np.asarray(source.read(window=rasterio.windows.Window(column, row, 1, 1))[:, 0, 0])


def _titles(values: NDArray[Any], classes: ClassScheme) -> list[str]:
    """Titles of the class or of all masks of a pixel; empty without data."""
    if values[0] == classes.nodata:
        return []
    if classes.has_masks:
        inside = [c.title for c, value in zip(classes.classes, values, strict=True) if value]
        return inside or ["No mask"]
    code = int(values[0])
    return [classes.titles[code]] if code < classes.n_classes else []


def _label_layers(classes: ClassScheme) -> list[Layer]:
    if not classes.has_masks:
        colors = {c.code: (*c.color, 255) for c in classes.classes}
        legend = tuple((_css(c.color), c.title) for c in classes.classes)
        return [Layer("labels", "Classes", "labels", 1, colors, legend)]
    one = is_one_band(classes)
    return [
        Layer(
            "labels" if one else f"labels-{c.code + 1}",
            c.title,
            "labels",
            c.code + 1,
            {0: (0, 0, 0, 0), 1: (*c.color, 255)},
            ((_css(c.color), c.title),),
        )
        for c in classes.classes
    ]


def _measure_layers(path: Path, key: str, title: str) -> list[Layer]:
    with opened_raster(str(path)) as source:
        names = [name or title for name in source.descriptions]
    colors = _ramp_colors()
    shares = [number / (len(RAMP) - 1) for number in range(len(RAMP))]
    legend = tuple((_css(color), f"{share:g}") for share, color in zip(shares, RAMP, strict=True))
    return [
        Layer(
            f"{key}-{band}",
            f"{title}: {name.removeprefix('probability of ')}" if len(names) > 1 else title,
            key,
            band,
            colors,
            legend,
            is_measure=True,
        )
        for band, name in enumerate(names, start=1)
    ]


def _ramp_colors() -> _COLORMAP:
    at = np.linspace(0, STEPS, len(RAMP))
    steps = np.arange(STEPS + 1)
    bands = [np.interp(steps, at, [color[band] for color in RAMP]).round() for band in range(3)]
    return {
        step: (int(bands[0][step]), int(bands[1][step]), int(bands[2][step]), 255)
        for step in range(STEPS + 1)
    }


def _css(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
