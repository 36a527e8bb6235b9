"""Which tiles the report shows, and their pictures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from polynya.report.html import Html, element, joined
from polynya.shards.dataset import ShardSet
from polynya.shards.scan import TilePixels, TilePlace, scan_tiles
from training.inspection.page.views import (
    composites,
    framed,
    label_alone,
    label_style,
    legend,
    painted,
    single_bands,
)
from training.inspection.survey import Survey

_LARGE, _SMALL, _THUMB = 288, 112, 128
"""Longest sides of pictures in pixels: composites, single bands, tiles of findings."""
SHOWN = 8
"""Tiles of a finding that are shown as pictures."""

Pixels = dict[int, TilePixels]
"""Content of tiles by their 0-based numbers."""


def choose(survey: Survey, count: int, seed: int) -> list[int]:
    """Draw tiles for the report, equal for equal seeds; tiles with findings come last.

    Each class gets a tile that has much of it, as far as `count` allows. The rest is random.

    Args:
        survey: The data set.
        count: Number of tiles, fewer if there are fewer.
        seed: Seed of the random numbers.

    Returns:
        Sorted 0-based numbers of tiles that can be read.
    """
    rng = np.random.default_rng(seed)
    bad = {tile for finding in survey.findings for tile in finding.tiles}
    drawn = rng.permutation(len(survey.facts.places)).tolist()
    order = [tile for tile in drawn if not survey.facts.damage[tile]]
    order.sort(key=lambda tile: tile in bad)  # Stable, so each part stays random.
    chosen: dict[int, None] = {}
    pixels = survey.facts.class_pixels
    for code in survey.facts.classes.codes[:count]:
        having = [tile for tile in order if pixels[tile, code]]
        much = np.quantile(pixels[having, code], 0.75) if having else 0
        chosen.update(dict.fromkeys([t for t in having if pixels[t, code] >= much][:1]))
    chosen.update(dict.fromkeys(order))
    return sorted(list(chosen)[:count])


def read_tiles(shards: ShardSet, places: Iterable[tuple[int, TilePlace]]) -> Pixels:
    """Read some tiles again; those that can't be read are left out."""
    numbers = {(place.file, place.index): number for number, place in places}
    wanted: dict[str, set[int]] = {}
    for file, index in numbers:
        if index is not None:
            wanted.setdefault(file, set()).add(index)
    return {
        numbers[tile.place.file, tile.place.index]: tile.pixels
        for tile in scan_tiles(shards, wanted)
        if tile.pixels is not None
    }


def stretches(survey: Survey) -> NDArray[np.float64]:
    """Values of each band that become black and white in pictures: float64 (B, 2).

    8-bit colours are shown as they are, other bands from their 2nd to their 98th percentile.
    """
    if survey.shards.recipe.scene.sees_colors:
        return np.tile([0.0, 255.0], (len(survey.facts.bands), 1))
    total = survey.total
    low, high = total.quantiles(0.02), total.quantiles(0.98)
    return np.stack([low, np.where(high > low, high, low + 1)], axis=1)


def samples_section(survey: Survey, tiles: list[int], pixels: Pixels) -> Html:
    """Show tiles in all composites and bands, with their labels over them."""
    ends, bands = stretches(survey), survey.facts.bands
    switch = element(
        "label",
        element("input", type="checkbox", id="labels", checked="checked"),
        "Labels over the pictures",
        _class="toggle",
    )
    shown = []
    for number in tiles:
        if number not in pixels:
            continue
        tile = pixels[number]
        views = [framed(painted(tile, v, ends, _LARGE), v.title) for v in composites(bands)]
        plain = painted(tile, composites(bands)[0], ends, _LARGE)
        views.append(framed(plain, "Without label", with_label=False))
        views.append(label_alone(tile, survey.facts.classes, _LARGE))
        parts = [
            element("h3", str(survey.facts.places[number])),
            element("div", *views, _class="views"),
        ]
        if len(bands) > 1:
            small = [framed(painted(tile, v, ends, _SMALL), v.title) for v in single_bands(bands)]
            parts += [
                element(
                    "details",
                    element("summary", "Single bands"),
                    element("div", *small, _class="views small"),
                )
            ]
        style = label_style(tile, survey.facts.classes, _LARGE)
        shown.append(element("article", *parts, _class="card", style=style))
    return joined(
        element("h2", "Samples", id="samples"),
        element("p", f"{len(shown)} tiles, drawn at random; each class is there if it can be."),
        switch,
        legend(survey.facts.classes),
        element("div", *shown, _class="samples"),
    )


def thumbnails(survey: Survey, tiles: Iterable[int], pixels: Pixels) -> Html:
    """Show tiles small, in their first composite, with their labels over them."""
    ends, view = stretches(survey), composites(survey.facts.bands)[0]
    shown = []
    for number in tiles:
        if number in pixels:
            tile = pixels[number]
            image = painted(tile, view, ends, _THUMB)
            style = label_style(tile, survey.facts.classes, _THUMB)
            place = str(survey.facts.places[number])
            shown.append(element("div", framed(image, place), style=style))
    return element("div", *shown, _class="views small") if shown else joined()
