"""Pictures of scenes with their labels and maps, and of confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import numpy as np
from numpy.typing import NDArray

from polynya.environment import settle_matplotlib
from polynya.recipe.classes import NO_MASK, ClassScheme
from polynya.storage.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

_MAX_PANEL = 900
"""Longest side of a panel in pixels; for larger scenes, a pixel shows a block of pixels."""
_DPI = 100
_MATRICES = 4
"""Confusion matrices beside each other in a picture."""


def thinning(height: int, width: int) -> int:
    """Edge of the block of scene pixels that becomes one pixel of the picture."""
    return -(-max(height, width) // _MAX_PANEL)


def plain(draw: Callable[P, None]) -> Callable[P, None]:
    """Draw in matplotlib's default style, independent of the user's matplotlibrc and variables."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        settle_matplotlib()
        from matplotlib import style

        with style.context("default"):
            draw(*args, **kwargs)

    return drawn


@plain
def draw_panels(
    path: Path,
    panels: Sequence[tuple[str, NDArray[np.uint8]]],
    classes: ClassScheme,
    title: str,
    columns: int | None = None,
    *,
    metres: float | None = None,
    north: tuple[float, float] | None = None,
) -> None:
    """Draw images side by side above a legend of the classes; with masks also of "No mask".

    Args:
        path: PNG file to write.
        panels: Title and image of each panel: uint8 (h, w, 3) for colours, uint8 (h, w) for labels.
        classes: Class scheme with colours and names.
        title: Title above all panels.
        columns: Number of panels in a row; default: all of them.

        metres: Width of a pixel on the ground in metres, for a scale bar; None: no bar.
        north: Direction of north as (right, down), for an arrow; None: no arrow.
    """
    from matplotlib.patches import Patch

    height, width = panels[0][1].shape[:2]
    # A pixel of the preview is a pixel of the picture, but small scenes are enlarged.
    scale = max(1.0, 360 / max(height, width))
    panel_width, panel_height = max(width * scale, 200) / _DPI, max(height * scale, 60) / _DPI
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    figure_width = columns * (panel_width + 0.15) + 0.15
    # Wide pictures are usually shown smaller, so their text must be larger.
    zoom = max(1.0, figure_width / 16)
    figure = new_figure(figure_width, rows * panel_height + (0.75 + 0.4 * rows) * zoom)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, image) in zip(axes, panels, strict=False):
        shown = classes.paint(image) if image.ndim == 2 else image
        axis.imshow(shown, interpolation="nearest")
        axis.set_title(name, fontsize=11 * zoom)
        axis.set_axis_off()
    if metres is not None:
        _draw_bar(axes[0], (height, width), metres, 11 * zoom)
    if north is not None:
        _draw_arrow(axes[0], (height, width), north, 11 * zoom)
    figure.suptitle(title, fontsize=12 * zoom)
    no_mask = [("No mask", _rgb(NO_MASK))] if classes.has_masks else []
    entries = [(c.title, _rgb(c.color)) for c in classes.classes] + no_mask
    entries.append(("No data", _rgb((0, 0, 0))))
    figure.legend(
        handles=[Patch(facecolor=color, edgecolor="grey", label=name) for name, color in entries],
        loc="outside lower center",
        ncols=len(entries),
        frameon=False,
        fontsize=10 * zoom,
    )
    save_figure(figure, path)


def bar_length(metres: float) -> float:
    """Greatest number of the form 1, 2 or 5 times a power of ten that is not above `metres`.

    Args:
        metres: Greatest length.
    """
    power = 10.0 ** math.floor(math.log10(metres))
    return max(n * power for n in (1, 2, 5) if n * power <= metres)


def _draw_bar(axis: Axes, size: tuple[int, int], metres: float, font: float) -> None:
    """Draw a scale bar in the lower left corner."""
    from matplotlib.patches import Rectangle

    height, width = size
    length = bar_length(0.35 * width * metres)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    left, thick = 0.04 * width - 0.5, 0.008 * max(size)
    bottom = 0.96 * height - 0.5
    axis.add_patch(
        Rectangle(
            (left, bottom - thick), length / metres, thick, facecolor="white", edgecolor="black",
            linewidth=0.8,
        )
    )  # fmt: skip
    axis.text(
        left, bottom - 2 * thick, text, fontsize=font, color="white", va="bottom",
        path_effects=_outlined(),
    )  # fmt: skip


def _draw_arrow(axis: Axes, size: tuple[int, int], north: tuple[float, float], font: float) -> None:
    """Draw an arrow to the north in the lower right corner."""
    height, width = size
    length = 0.06 * max(size)
    x, y = width - 0.5 - 2 * length, height - 0.5 - 2 * length
    right, down = (length * part for part in north)
    axis.annotate(
        "", (x + right, y + down), (x - right, y - down),
        arrowprops={
            "arrowstyle": "simple,head_width=0.8,head_length=0.8,tail_width=0.25",
            "mutation_scale": 1.4 * font,
            "facecolor": "white", "edgecolor": "black", "linewidth": 0.8,
        },
    )  # fmt: skip
    axis.text(
        x + 1.6 * right, y + 1.6 * down, "N", fontsize=font, color="white", ha="center",
        va="center", path_effects=_outlined(),
    )  # fmt: skip


def _outlined() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2, foreground="black")]


def confusion_grid(
    confusion: NDArray[np.int64], classes: ClassScheme
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Arrange a confusion matrix in rows and columns with names.

    Args:
        confusion: int64 (C, C), rows are the truth, columns the prediction; (C, 2, 2) for masks.
        classes: Class scheme with the names.

    Returns:
        int64 (C, C), or (2 C, 2) for masks; names of the rows; names of the columns.
    """
    if not classes.has_masks:
        return confusion, list(classes.titles), list(classes.titles)
    states = ["absent", "present"]
    rows = [f"{title}: {state}" for title in classes.titles for state in states]
    return confusion.reshape(-1, 2), rows, states


@plain
def draw_confusion(
    path: Path,
    confusions: Sequence[tuple[str, NDArray[np.int64]]],
    classes: ClassScheme,
    *,
    rows: Literal["truth", "predicted"] = "truth",
    title: str | None = None,
) -> None:
    """Draw confusion matrices: share of each true class in colour and percent, with counts.

    Matrices beyond the fourth come into further rows of the picture.

    Args:
        path: PNG file to write.
        confusions: Title and matrix of each: int64 (C, C), rows are the truth, columns the
            prediction; (C, 2, 2) for masks, and each mask is drawn as two rows.
        classes: Class scheme with the names of rows and columns.
        rows: What the rows of the picture are. With the prediction in rows each column adds up to
            100 %, as in the sea-ice paper.
        title: Title above the picture.
    """
    what = "state" if classes.has_masks else "class"
    # Masks have two rows each.
    height = max(5.2, 1.4 * classes.n_classes + 1.8) if classes.has_masks else 5.2
    across = min(len(confusions), _MATRICES)
    down = -(-len(confusions) // across)
    figure = new_figure(4.4 * across + 1.8, height * down + (0.4 if title else 0))
    axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for axis in axes[len(confusions) :]:
        axis.set_axis_off()
    for number, (name, counted) in enumerate(confusions):
        axis = axes[number]
        confusion, truths, found = confusion_grid(counted, classes)
        totals = confusion.sum(axis=1, keepdims=True)
        shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
        names = [(f"True {what}", truths), (f"Predicted {what}", found)]
        if rows == "predicted":
            confusion, shares, names = confusion.T, shares.T, names[::-1]
        shown = axis.imshow(shares * 100, cmap="viridis", vmin=0, vmax=100)
        for row, column in np.ndindex(*confusion.shape):
            share = shares[row, column]
            axis.text(
                column,
                row,
                f"{share:.1%}\n{confusion[row, column]:,}",
                ha="center",
                va="center",
                color="black" if share > 0.6 else "white",
            )
        accuracy = np.trace(counted, axis1=-2, axis2=-1).sum() / max(counted.sum(), 1)
        axis.set_title(f"{name}: {accuracy:.2%} right", fontsize=11)
        (of_rows, row_names), (of_columns, column_names) = names
        axis.set_xticks(range(len(column_names)), _wrapped(column_names))
        axis.set_yticks(range(len(row_names)), _wrapped(row_names))
        axis.set_xlabel(of_columns)
        if number % across == 0:
            axis.set_ylabel(of_rows)
    if title:
        figure.suptitle(title)
    figure.colorbar(shown, ax=axes, label=f"% of the true {what}", shrink=0.8 / down)
    save_figure(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of this size in inches."""
    # Not pyplot, because it keeps figures in memory and searches for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, complete or not at all."""
    with whole_file(path) as temporary:
        # Without matplotlib's version in the file, the same picture has the same bytes everywhere.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _rgb(color: tuple[int, int, int]) -> Any:
    return tuple(part / 255 for part in color)


def _wrapped(titles: Sequence[str]) -> list[str]:
    return [title.replace("/", "/\n").replace(" ", "\n", 1) for title in titles]
