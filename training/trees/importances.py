"""Importance of bands and indices for decision trees: as numbers, a picture and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polynya.report.pictures import new_figure, plain, save_figure
from training.trees.booster import gains
from training.trees.pixel_model import PixelModel

_BAR_INCHES = 0.28


@dataclass(frozen=True)
class Importance:
    """A row of importances.csv."""

    feature: str
    """Name of a band or an index."""
    gain_share: float
    """Share of this feature in the gain of all splits: 0..1."""
    gain: float
    """Mean gain of a split by this feature: how much less the loss is after it, by XGBoost's
    approximation. 0 without any."""
    splits: int


def importances(model: PixelModel, names: Sequence[str]) -> list[Importance]:
    """Rank the features of one training by the gain of their splits.

    Args:
        model: A model of one member.
        names: Names of the features, bands first.
    """
    totals, counts = gains(model.members[0].booster, len(names))
    whole = totals.sum() or 1.0
    rows = [
        Importance(name, float(total / whole), float(total / max(count, 1)), int(count))
        for name, total, count in zip(names, totals, counts, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.gain_share)


@plain
def draw_importances(path: Path, rows: Sequence[Importance], title: str) -> None:
    """Draw a bar for each feature, the greatest on top, into a PNG file."""
    figure = new_figure(7.5, 1.4 + _BAR_INCHES * len(rows))
    axis = figure.subplots()
    places = range(len(rows))
    bars = axis.barh(places, [100 * row.gain_share for row in rows], color="tab:blue")
    axis.bar_label(bars, [f"{100 * row.gain_share:.1f}" for row in rows], padding=3, fontsize=8)
    axis.set_yticks(places, [row.feature for row in rows])
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_xlabel("Share in the gain of all splits, %")
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def importances_text(rows: Sequence[Importance]) -> str:
    """The same as a table of Markdown."""
    lines = ["| band or index | share in the gain, % | splits |", "|---|---|---|"]
    lines += [f"| {row.feature} | {100 * row.gain_share:.1f} | {row.splits} |" for row in rows]
    return "\n".join(lines)
