"""Outlines of scenes on a map: polar stereographic near the poles, else around the scenes.

The map is a graticule with labels, and land from Natural Earth at 1:110 million (public domain;
`deploy/setup/land_outline.py`). Where all scenes are within a small part of it, a second map shows
them in their size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from polynya.report.charts import nice_ticks
from polynya.report.html import Html, element
from polynya.report.pictures import bar_length

Points = NDArray[np.float64]

_POLAR = 50.0
"""Least latitude of scenes, in degrees from the equator, for a map around the pole."""
_SIZE = 420.0
_WIDE = 0.3
"""Share of the map within which scenes get a second map of their own."""


@dataclass(frozen=True)
class Place:
    """Where a scene lies."""

    name: str
    geometry: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon in degrees."""
    link: str | None
    """Address of the scene within the page."""

    @property
    def rings(self) -> list[Points]:
        """Outer rings, float64 (N, 2), longitude and latitude.

        Raises:
            ValueError: The geometry is something else.
        """
        parts = self.geometry["coordinates"]
        polygons = [parts] if self.geometry["type"] == "Polygon" else parts
        rings = [np.asarray(polygon[0], np.float64)[:, :2] for polygon in polygons]
        if not rings or not all(np.isfinite(ring).all() for ring in rings):
            raise ValueError(f"the outline of {self.name} has no numbers")
        return rings


@dataclass(frozen=True)
class View:
    """A map projection and the square of it that is shown."""

    name: str
    crs: str
    centre: tuple[float, float]
    """In metres of the projection."""
    half: float
    """Half of the edge in metres."""

    def at(self, lon_lat: Points) -> Points:
        """Positions in the picture, float64 (N, 2), right and down."""
        metres = self.project(lon_lat)
        right = (metres[:, 0] - self.centre[0]) / (2 * self.half) + 0.5
        down = 0.5 - (metres[:, 1] - self.centre[1]) / (2 * self.half)
        return _SIZE * np.stack([right, down], axis=1)

    def project(self, lon_lat: Points) -> Points:
        """Metres of the projection, float64 (N, 2)."""
        return np.stack(_transformer(self.crs).transform(lon_lat[:, 0], lon_lat[:, 1]), axis=1)

    def back(self, metres: Points) -> Points:
        """Degrees, float64 (N, 2)."""
        turned = _transformer(self.crs).transform(metres[:, 0], metres[:, 1], direction="INVERSE")
        return np.stack(turned, axis=1)


@cache
def _transformer(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


@cache
def _land() -> list[Points]:
    text = files("inference.report").joinpath("static/land.json").read_text(encoding="utf-8")
    return [np.reshape(ring, (-1, 2)) / 10 for ring in json.loads(text)]


def place_map(places: Sequence[Place]) -> list[Html]:
    """Draw the outlines of scenes; scenes of both poles get a map each.

    Raises:
        ValueError: A geometry can't be used.
    """
    drawn = []
    for crs, own in _by_projection(places).items():
        overview, around = _views(crs, own)
        maps = [_figure(overview, own, dots=True)]
        if around is not None:
            maps.append(_figure(around, own, dots=False))
        drawn.append(element("div", *maps, _class="maps"))
    names = [
        element("li", element("a", place.name, href=f"#{place.link}") if place.link else place.name)
        for place in places
    ]
    summary = element("summary", f"{len(places)} scenes on the map")
    drawn.append(element("details", summary, element("ul", *names, _class="tiles")))
    return drawn


def _by_projection(places: Sequence[Place]) -> dict[str, list[Place]]:
    groups: dict[str, list[Place]] = {}
    for place in places:
        latitudes = np.concatenate(place.rings)[:, 1]
        if latitudes.min() >= _POLAR:
            groups.setdefault("EPSG:3413", []).append(place)
        elif latitudes.max() <= -_POLAR:
            groups.setdefault("EPSG:3031", []).append(place)
        else:
            groups.setdefault("", []).append(place)
    return groups


def _views(crs: str, places: Sequence[Place]) -> tuple[View, View | None]:
    """Choose what is shown: around the pole or the scenes, and the scenes alone."""
    corners = np.concatenate([ring for place in places for ring in place.rings])
    if crs:
        pole = 90.0 if crs == "EPSG:3413" else -90.0
        far = min(np.abs(corners[:, 1]).min() - 4, 60.0)
        edge = View(crs, crs, (0.0, 0.0), 1.0).project(np.array([[0.0, np.copysign(far, pole)]]))
        title = f"{'Arctic' if pole > 0 else 'Antarctic'}, polar stereographic ({crs})"
        overview = View(title, crs, (0.0, 0.0), float(np.hypot(*edge[0])))
    else:
        lon, lat = _middle(corners)
        crs = f"+proj=laea +lat_0={lat:.3f} +lon_0={lon:.3f} +datum=WGS84"
        far = np.abs(View("", crs, (0.0, 0.0), 1.0).project(corners)).max()
        overview = View("Around the scenes, equal areas", crs, (0.0, 0.0), max(2.5e6, 1.3 * far))
    metres = overview.project(corners)
    low, high = metres.min(axis=0), metres.max(axis=0)
    half = max(float((high - low).max()) / 2 * 1.25, 500.0)
    if half > _WIDE * overview.half:
        return overview, None
    centre = tuple(((low + high) / 2).tolist())
    return overview, View("The scenes", crs, (centre[0], centre[1]), half)


def _middle(corners: Points) -> tuple[float, float]:
    """Middle of points on the globe, longitude and latitude."""
    lon, lat = np.radians(corners).T
    x, y, z = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean(), np.sin(lat)
    return float(np.degrees(np.arctan2(y, x))), float(
        np.degrees(np.arctan2(z.mean(), np.hypot(x, y)))
    )


def _figure(view: View, places: Sequence[Place], *, dots: bool) -> Html:
    shown = [
        element("rect", width=_SIZE, height=_SIZE, _class="sea"),
        *_land_paths(view),
        *_graticule(view),
        *(mark for place in places for mark in _marks(view, place, dots=dots)),
    ]
    if not dots:
        shown += _bar(view)
    alt = f"{view.name}: outlines of {len(places)} scenes; the list below names them"
    drawing = element(
        "svg", *shown, viewBox=f"0 0 {_SIZE:g} {_SIZE:g}", role="group", aria_label=alt,
        _class="map",
    )  # fmt: skip
    caption = f"{view.name}." + (" Land: Natural Earth." if dots else "")
    return element("figure", drawing, element("figcaption", caption))


def _path(points: Points, *, closed: bool) -> str:
    text = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"M{text}{'Z' if closed else ''}"


def _is_seen(points: Points) -> bool:
    """Whether the box around points meets the picture."""
    return bool((points.max(axis=0) >= 0).all() and (points.min(axis=0) <= _SIZE).all())


def _land_paths(view: View) -> list[Html]:
    shapes = []
    for ring in _land():
        points = view.at(ring)
        # Land on the other side of the Earth is far out, or nowhere.
        if np.isfinite(points).all() and _is_seen(points) and np.abs(points).max() < 60 * _SIZE:
            shapes.append(_path(points, closed=True))
    return [element("path", d="".join(shapes), _class="land")] if shapes else []


def _graticule(view: View) -> list[Html]:
    """Meridians and parallels with their labels."""
    edge = np.linspace(-1, 1, 41)
    x, y = (view.half * grid.ravel() for grid in np.meshgrid(edge, edge))
    inside = view.back(np.stack([view.centre[0] + x, view.centre[1] + y], axis=1))
    inside = inside[np.isfinite(inside).all(axis=1)]
    lat_low, lat_high = inside[:, 1].min(), inside[:, 1].max()
    lines, labels = [], []
    is_polar = lat_high > 89.5 or lat_low < -89.5
    middle = _middle(inside)[0]
    turned = (inside[:, 0] - middle + 180) % 360 - 180
    if is_polar:
        meridians: Iterable[float] = range(-180, 180, 30)
        far = max(abs(lat_low), abs(lat_high)) - 10
        sign = 1 if lat_high > 89.5 else -1
        first = 10 * np.ceil(min(abs(lat_low), abs(lat_high)) / 10)
        parallels: Iterable[float] = [sign * one for one in np.arange(first, 90, 10)]
        span = (sign * first, sign * far)
    else:
        meridians = nice_ticks(float(middle + turned.min()), float(middle + turned.max()))
        parallels = nice_ticks(float(lat_low), float(lat_high))
        span = (float(lat_low) - 1, float(lat_high) + 1)
    for lon in meridians:
        along = np.linspace(max(span[0], -90), min(span[1], 90), 60)
        points = view.at(np.stack([np.full(60, lon), along], axis=1))
        lines.append(_path(points, closed=False))
        labels += _label(points, _degrees(lon, "E", "W"), is_polar=is_polar)
    for lat in parallels:
        around = np.linspace(-105, 255, 181) if is_polar else np.linspace(
            middle + turned.min() - 1, middle + turned.max() + 1, 60
        )  # fmt: skip
        points = view.at(np.stack([around, np.full(len(around), lat)], axis=1))
        lines.append(_path(points, closed=False))
        labels += _label(points, _degrees(lat, "N", "S"), is_polar=False)
    return [element("path", d="".join(lines), _class="graticule"), *labels]


def _label(points: Points, text: str, *, is_polar: bool) -> list[Html]:
    """Write at the first point of a line that is well inside the picture."""
    margin = 16.0
    inside = ((points > margin) & (points < _SIZE - margin)).all(axis=1)
    if not inside.any():
        return []
    x, y = points[int(np.argmax(inside))]
    return [element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor="middle")]


def _degrees(value: float, plus: str, minus: str) -> str:
    turned = (value + 180) % 360 - 180 if plus == "E" else value
    side = "" if turned in (0, -180) else plus if turned > 0 else minus
    return f"{abs(turned):g}°{side}".replace("-", "")


def _marks(view: View, place: Place, *, dots: bool) -> list[Html]:
    shapes = [view.at(ring) for ring in place.rings]
    told = element("title", place.name)
    drawn = element(
        "path", told, d="".join(_path(ring, closed=True) for ring in shapes), _class="footprint"
    )
    marks = [drawn]
    if dots:
        x, y = np.concatenate(shapes).mean(axis=0)
        marks.append(element("circle", told, cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, _class="spot"))
    if place.link is None:
        return marks
    # The list below has the same links for the keyboard.
    return [element("a", *marks, href=f"#{place.link}", tabindex=-1, aria_hidden="true")]


def _bar(view: View) -> list[Html]:
    """Scale bar of the second map; near its middle, metres of the map are metres on the ground."""
    metres = np.array([[view.centre[0], view.centre[1]], [view.centre[0] + 1000, view.centre[1]]])
    lon, lat = np.radians(view.back(metres)).T
    ground = 6371000 * np.hypot((lon[1] - lon[0]) * np.cos(lat[0]), lat[1] - lat[0]) / 1000
    length = bar_length(0.3 * 2 * view.half * ground)
    width = length / ground / (2 * view.half) * _SIZE
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    left, top = 14, _SIZE - 16
    line = element("path", d=f"M{left} {top - 5}v5h{width:.1f}v-5", _class="scale")
    return [line, element("text", text, x=left, y=top - 10, _class="scale-text")]
