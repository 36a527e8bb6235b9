"""Labels and maps of several models beside each other, with enlarged insets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from polynya.report.pictures import new_figure, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE = 0.22
"""Edge of the part of a tile that the inset shows, as a share of the tile's shorter edge."""
_SCALE = 2
"""The inset shows it at 200 %, as Segmentation Gym's Figure 3 does."""
_OPACITY = 0.45
_INK = "yellow"


@dataclass(frozen=True)
class ComparedTile:
    """A tile with its labels, and what each model makes of it."""

    title: str
    colors: NDArray[np.uint8]
    """(H, W, 3), how the tile looks."""
    labels: NDArray[np.uint8]
    """(H, W), the truth."""
    predicted: Sequence[NDArray[np.uint8]]
    """(H, W) for each model."""


@plain
def draw_side_by_side(
    path: Path, tiles: Sequence[ComparedTile], models: Sequence[str], classes: ClassScheme
) -> None:
    """Draw a row for each tile: the image, then labels and models as colours over it.

    An inset shows the part in which the models differ most from the labels and from each other, as
    Segmentation Gym's Figure 3 (Buscombe and Goldstein, 2022).

    Args:
        path: PNG file to write.
        tiles: The tiles.
        models: Name of each model.
        classes: Class scheme with colours and names.
    """
    from matplotlib.patches import Patch

    titles = ["Image", "Labels", *models]
    figure = new_figure(2.7 * len(titles) + 0.3, 2.9 * len(tiles) + 1.0)
    axes = figure.subplots(len(tiles), len(titles), squeeze=False)
    for of_tile, tile in zip(axes, tiles, strict=True):
        part = busiest_part(tile.labels, tile.predicted, classes.nodata)
        images = [tile.colors]
        images += [overlaid(tile.colors, one, classes) for one in (tile.labels, *tile.predicted)]
        for axis, image in zip(of_tile, images, strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            _draw_inset(axis, image, part)
        of_tile[0].set_ylabel(fill(tile.title, 26), fontsize=8)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(fill(title, 30), fontsize=9)
    entries = [(one.title, tuple(value / 255 for value in one.color)) for one in classes.classes]
    figure.legend(
        handles=[Patch(facecolor=color, edgecolor="grey", label=name) for name, color in entries],
        loc="outside lower center",
        ncols=len(entries),
        frameon=False,
    )
    save_figure(figure, path)


def busiest_part(
    labels: NDArray[np.uint8], predicted: Sequence[NDArray[np.uint8]], nodata: int
) -> tuple[int, int, int]:
    """Find the square in which models differ most from the labels and from each other.

    Args:
        labels: (H, W), the truth.
        predicted: (H, W) for each model.
        nodata: Label of pixels that don't count.

    Returns:
        First row, first column, and edge in pixels; the first such square if several are alike.
    """
    height, width = labels.shape
    edge = max(1, round(_SHARE * min(height, width)))
    known = labels != nodata
    every = [labels, *predicted]
    differs = sum(
        ((one != two) & known).astype(np.float32)
        for number, one in enumerate(every)
        for two in every[number + 1 :]
    )
    if np.isscalar(differs):  # There is no model.
        differs = np.zeros(labels.shape, np.float32)
    sums = cv2.boxFilter(
        np.asarray(differs), cv2.CV_32F, (edge, edge), anchor=(0, 0), normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )[: height - edge + 1, : width - edge + 1]  # fmt: skip
    # Rounded, because a filter of sums has rounding errors.
    row, col = np.unravel_index(np.argmax(np.round(sums)), sums.shape)
    return int(row), int(col), edge


def overlaid(
    colors: NDArray[np.uint8], labels: NDArray[np.uint8], classes: ClassScheme
) -> NDArray[np.uint8]:
    """Lay labels (H, W) as half-transparent colours over an image (H, W, 3); not where nodata."""
    mixed = (1 - _OPACITY) * colors + _OPACITY * classes.paint(labels)
    shown = np.where((labels == classes.nodata)[..., None], colors, mixed)
    return np.asarray(np.round(shown), np.uint8)


def _draw_inset(axis: Axes, image: NDArray[np.uint8], part: tuple[int, int, int]) -> None:
    from matplotlib.patches import Rectangle

    row, col, edge = part
    height, width = image.shape[:2]
    frame: Any = {"fill": False, "edgecolor": _INK, "linewidth": 1.2}
    axis.add_patch(Rectangle((col - 0.5, row - 0.5), edge, edge, **frame))
    across, down = _SCALE * edge / width, _SCALE * edge / height
    # In the corner farthest from what it shows; the axis goes up, rows go down.
    x = 0 if col + edge / 2 > width / 2 else 1 - across
    y = 1 - down if row + edge / 2 > height / 2 else 0
    inset = axis.inset_axes((x, y, across, down))
    inset.imshow(image[row : row + edge, col : col + edge], interpolation="nearest")
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set_color(_INK)
