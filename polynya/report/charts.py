"""Charts for HTML reports, as SVG inside the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polynya.report.html import Html, element

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
