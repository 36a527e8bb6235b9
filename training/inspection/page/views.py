"""Pictures of tiles: composites of bands in colour, single bands in grey, labels over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import NO_MASK, ClassScheme
from polynya.report.html import Html, element, overlay_uri, picture, sharp_picture
from polynya.shards.scan import TilePixels

_SWIR = ("swir16", "swir22", "swir", "swir1", "swir2")
_NIR = ("nir", "nir08", "B8", "B08")


@dataclass(frozen=True)
class View:
    """A way to show a tile: three bands as red, green and blue."""

    title: str
    bands: tuple[int, int, int]
    """0-based numbers of the bands."""


def composites(bands: Sequence[str]) -> list[View]:
    """List the composites that these bands allow; the first band in grey if there are none."""
    place = {name.lower(): number for number, name in reversed(list(enumerate(bands)))}
    nir = next((place[name.lower()] for name in _NIR if name.lower() in place), None)
    swir = next((place[name] for name in _SWIR if name in place), None)
    red, green, blue = (place.get(name) for name in ("red", "green", "blue"))
    wanted = [
        ("True colour", (red, green, blue)),
        ("False colour", (nir, red, green)),
        ("Short-wave", (swir, nir, red)),
    ]
    views = []
    for title, (first, second, third) in wanted:
        if first is not None and second is not None and third is not None:
            told = "" if title == "True colour" else f": {bands[first]}, {bands[second]}"
            rest = "" if title == "True colour" else f", {bands[third]}"
            views.append(View(f"{title}{told}{rest}", (first, second, third)))
    return views or [View(f"Band {bands[0]}", (0, 0, 0))]


def single_bands(bands: Sequence[str]) -> list[View]:
    """List views of each band in grey."""
    return [View(name, (number,) * 3) for number, name in enumerate(bands)]


def painted(
    tile: TilePixels, view: View, ends: NDArray[np.float64], longest: int
) -> NDArray[np.uint8]:
    """Picture of a tile: uint8 (h, w, 3), black where a band is missing.

    Args:
        tile: Content of the tile.
        view: Which bands.
        ends: float64 (B, 2), values that become black and white.
        longest: Longest side in pixels; larger tiles are thinned.
    """
    step = -(-max(tile.label.shape) // longest)
    bands = list(view.bands)
    values = np.moveaxis(tile.values[bands, ::step, ::step], 0, -1)
    low, high = ends[bands].T
    levels = np.clip((values - low) / (high - low), 0, 1) * 254 + 1
    return np.where(np.isnan(values).any(axis=-1, keepdims=True), 0, levels).astype(np.uint8)


def label_overlay(
    label: NDArray[np.uint8], classes: ClassScheme, longest: int
) -> NDArray[np.uint8]:
    """Colours of labels with opacity: uint8 (h, w, 4), transparent where there is no class."""
    step = -(-max(label.shape) // longest)
    thin = label[::step, ::step]
    shown = np.zeros(256, np.uint8)
    shown[1 if classes.has_masks else 0 : classes.n_labels] = 255
    return np.dstack([classes.paint(thin), shown[thin]])


def framed(image: NDArray[np.uint8], caption: str, *, with_label: bool = True) -> Html:
    """Show a picture with its caption, and under the label that its parent element holds."""
    over = [element("span", _class="over")] if with_label else []
    frame = element("span", picture(image, caption), *over, _class="frame")
    return element("figure", frame, element("figcaption", caption))


def label_alone(tile: TilePixels, classes: ClassScheme, longest: int) -> Html:
    """Show a label without its image; black where there is none."""
    step = -(-max(tile.label.shape) // longest)
    image = sharp_picture(classes.paint(tile.label[::step, ::step]), "Label")
    return element("figure", element("span", image, _class="frame"), element("figcaption", "Label"))


def label_style(tile: TilePixels, classes: ClassScheme, longest: int) -> str:
    """Style of an element in which `framed` shows this label over pictures."""
    return f"--label:url({overlay_uri(label_overlay(tile.label, classes, longest))})"


def legend(classes: ClassScheme) -> Html:
    """List the colours of the classes, of no mask and of nodata."""
    colors = [(c.title, c.color) for c in classes.classes]
    colors += [("No mask", NO_MASK)] if classes.has_masks else []
    colors.append(("No data", (0, 0, 0)))
    entries = [
        element("li", element("i", style=f"background:rgb({red},{green},{blue})"), title)
        for title, (red, green, blue) in colors
    ]
    return element("ul", *entries, _class="legend")
