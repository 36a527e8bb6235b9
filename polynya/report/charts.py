"""Charts for HTML reports, as SVG inside the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polynya.report.html import Html, element, joined

_WIDTH, _HEIGHT, _FOOT = 320, 130, 18
"""Size of a chart in its own units, and the height below it for the ends of its axis."""


def histogram_chart(
    series: Sequence[tuple[str, NDArray[np.int64]]], low: float, high: float, alt: str
) -> Html:
    """Draw histograms over each other, each scaled to the same area.

    Args:
        series: Style ("group", "first" or "second") and counts (bins,) of each; later ones lie
            above. Histograms without any count are left out.
        low: Value at the left end.
        high: Value at the right end.
        alt: What the chart shows.
    """
    shares = [(style, counts / counts.sum()) for style, counts in series if counts.sum()]
    # One full bin, such as one of nodata, must not flatten the others.
    tops = sorted(share for _, shares_of in shares for share in np.sort(shares_of)[-2:])
    top = max(tops[-3:-1], default=1) if len(tops) > 2 else max(tops, default=1)
    lines = [element("path", _class=style, d=_outline(one, float(top))) for style, one in shares]
    base = element("line", _class="axis", x1=0, x2=_WIDTH, y1=_HEIGHT, y2=_HEIGHT)
    ends = (
        element("text", f"{low:.4g}", x=0, y=_HEIGHT + _FOOT - 4),
        element("text", f"{high:.4g}", x=_WIDTH, y=_HEIGHT + _FOOT - 4, text_anchor="end"),
    )
    box = f"0 0 {_WIDTH} {_HEIGHT + _FOOT}"
    return element("svg", base, *lines, *ends, viewBox=box, role="img", aria_label=alt)


def _outline(shares: NDArray[np.float64], top: float) -> str:
    """Path of steps; it begins and ends at the axis."""
    heights = _HEIGHT * (1 - np.minimum(shares / top, 1) * 0.95)
    step = _WIDTH / len(shares)
    points = "".join(f"V{height:.1f}h{step:.2f}" for height in heights)
    return f"M0 {_HEIGHT}{points}V{_HEIGHT}"


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    values: Sequence[tuple[float, float]]
    """Positions and values; those that are not finite are gaps."""


LINE_STYLES = ("first", "second", "third", "fourth")
"""Styles of the lines of a chart, in order; they differ in colour and in dashes."""
_BOX = (46, 26, 414, 222)
"""Left, top, right and bottom of the field that lines are in."""
_SIZE = (424, 260)


def line_chart(
    lines: Sequence[Line], *, x: str, y: str, alt: str, mark: tuple[float, str] | None = None
) -> Html:
    """Draw lines over a common axis, with a legend; each point says its value.

    The vertical axis is logarithmic if all values are above zero and differ by a factor of 20.

    Args:
        lines: At most as many as `LINE_STYLES`.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        alt: What the chart shows.
        mark: Position of a vertical line, and its name.
    """
    points = np.array([p for line in lines for p in line.values if np.isfinite(p).all()])
    if not len(points):
        return joined()
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    is_log = bool(bottom > 0 and top / bottom > 20)
    ticks = _log_ticks(bottom, top) if is_log else nice_ticks(bottom, top)
    low, high = min(ticks[0], bottom), max(ticks[-1], top)
    scale = np.log10 if is_log else np.asarray
    across = (_BOX[2] - _BOX[0]) / max(right - left, 1e-9)
    up = (_BOX[3] - _BOX[1]) / max(float(scale(high) - scale(low)), 1e-12)

    def at(point: tuple[float, float]) -> tuple[float, float]:
        down = _BOX[3] - up * float(scale(point[1]) - scale(low))
        return _BOX[0] + across * (point[0] - left), down

    drawn: list[Html] = []
    for tick in ticks:
        height = at((left, tick))[1]
        drawn.append(_rule(_BOX[0], height, _BOX[2], height))
        drawn.append(
            element("text", f"{tick:g}", x=_BOX[0] - 6, y=f"{height + 4:.1f}", text_anchor="end")
        )
    for tick in nice_ticks(left, right, whole=bool((points[:, 0] % 1 == 0).all() and right > 1)):
        if left <= tick <= right:
            place = f"{at((tick, low))[0]:.1f}"
            drawn.append(
                element("text", f"{tick:g}", x=place, y=_BOX[3] + 16, text_anchor="middle")
            )
    drawn.append(element("text", x, x=_BOX[2], y=_BOX[3] + 33, text_anchor="end"))
    drawn.append(element("text", y, x=0, y=12))
    if mark is not None and left <= mark[0] <= right:
        across_at = at((mark[0], low))[0]
        turned = "end" if across_at > (_BOX[0] + _BOX[2]) / 2 else "start"
        drawn.append(
            element("line", _class="mark", x1=across_at, x2=across_at, y1=_BOX[1], y2=_BOX[3])
        )
        beside = across_at + (5 if turned == "start" else -5)
        drawn.append(element("text", mark[1], x=beside, y=_BOX[1] + 10, text_anchor=turned))
    for style, line in zip(LINE_STYLES, lines, strict=False):
        drawn += _one_line(line, style, at, x)
    chart = element(
        "svg", *drawn, viewBox=f"0 0 {_SIZE[0]} {_SIZE[1]}", role="img", aria_label=alt,
        _class="lines",
    )  # fmt: skip
    # The heading of a single line says what it is.
    return joined(line_legend([line.name for line in lines]) if len(lines) > 1 else "", chart)


def line_legend(names: Sequence[str]) -> Html:
    """List what the lines of a chart are."""
    entries = [
        element("li", element("i", _class=f"line-mark {style}-line"), name)
        for style, name in zip(LINE_STYLES, names, strict=False)
    ]
    return element("ul", *entries, _class="legend")


def _one_line(
    line: Line, style: str, at: Callable[[tuple[float, float]], tuple[float, float]], x: str
) -> list[Html]:
    """Path and points of a line."""
    path, is_on, dots = "", False, []
    for point in line.values:
        if not np.isfinite(point).all():
            is_on = False
            continue
        right, down = at(point)
        path += f"{'L' if is_on else 'M'}{right:.1f} {down:.1f}"
        is_on = True
        told = element("title", f"{line.name}, {x} {point[0]:g}: {point[1]:.4g}")
        dots.append(element("circle", told, cx=f"{right:.1f}", cy=f"{down:.1f}", r=2.6))
    return [
        element("path", _class=f"{style}-line", d=path),
        element("g", *dots, _class=f"{style}-dot"),
    ]


def _rule(x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", _class="axis", x1=x1, x2=x2, y1=f"{y1:.1f}", y2=f"{y2:.1f}")


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return four to nine round numbers that enclose an interval.

    Args:
        low: Lower end.
        high: Upper end.
        whole: Whether only whole numbers are wanted.
    """
    span = max(high - low, abs(high) * 1e-3, 1e-9)
    power = 10.0 ** np.floor(np.log10(span / 4))
    step = next(n * power for n in (1, 2, 5, 10) if span / (n * power) <= 6)
    if whole:
        step = max(1.0, np.ceil(step))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    return [float(f"{n * step:.6g}") for n in np.arange(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten, 1, 2 and 5 times, that enclose an interval."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    wide = high / low > 1e3
    ticks = [float(f"{n * p:.6g}") for p in powers for n in ((1,) if wide else (1, 2, 5))]
    first = max((tick for tick in ticks if tick <= low), default=ticks[0])
    last = min((tick for tick in ticks if tick >= high), default=ticks[-1])
    return [tick for tick in ticks if first <= tick <= last]


def share_bar(parts: Sequence[tuple[str, tuple[int, int, int], float]]) -> Html:
    """Draw shares as parts of one bar.

    Args:
        parts: Title, RGB colour and share (0..1) of each.
    """
    shown = [
        element(
            "span",
            title=f"{title}: {share:.1%}",
            style=f"width:{share:.4%};background:rgb({color[0]},{color[1]},{color[2]})",
        )
        for title, color, share in parts
    ]
    told = ", ".join(f"{title} {share:.1%}" for title, _, share in parts)
    return element("div", *shown, _class="bar", role="img", aria_label=told)
