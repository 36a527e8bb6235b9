"""From the numbers, colours or bands of a mask to labels. Functions on arrays only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import LabelError, RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import ClassNames, CodeOptions
from polynya.recipe.recipe import Recipe

Table = Mapping[tuple[int, ...], int]
"""Label of each number (n,) or colour (r, g, b)."""

_SHOWN = 8
"""Known numbers that an error names."""


def label_of(names: ClassNames, classes: ClassScheme) -> int:
    """Label of a class, of several masks, or nodata for None.

    Raises:
        RecipeError: A name is unknown, or there are several although classes exclude each other.
    """
    if names is None:
        return classes.nodata
    several = (names,) if isinstance(names, str) else names
    unknown = [name for name in several if name not in classes.names]
    if unknown or (len(several) != 1 and not classes.has_masks):
        what = f"'{unknown[0]}' is none of" if unknown else "a number stands for none or several of"
        raise RecipeError(
            f"The recipe's section 'imports' is wrong: {what} the classes"
            f" {', '.join(classes.names)}; fix it, or set 'classes.kind' to masks."
        )
    codes = [classes.names.index(name) for name in several]
    return sum(1 << code for code in codes) if classes.has_masks else codes[0]


def code_table(recipe: Recipe, default: Table | None = None) -> Table:
    """Labels of the numbers in masks: the recipe's `imports.codes`, otherwise a default.

    Args:
        recipe: Classes and section `imports`.
        default: Table of the data set's own numbers; None: the labels of the classes themselves.
    """
    classes, codes = recipe.classes, _codes(recipe)
    if codes is not None:
        return {(number,): label_of(names, classes) for number, names in codes.items()}
    if default is not None:
        return default
    return {(label,): label for label in (*range(classes.n_labels), classes.nodata)}


def _codes(recipe: Recipe) -> dict[int, ClassNames] | None:
    return recipe.imports.codes if isinstance(recipe.imports, CodeOptions) else None


def background(recipe: Recipe) -> int:
    """Label of pixels outside of all runs, polygons and hot bands."""
    assert recipe.imports is not None
    name, classes = recipe.imports.background, recipe.classes
    if name is None and classes.has_masks:
        return 0  # Under no mask.
    return label_of(name, classes)


def look_up(
    numbers: NDArray[Any],
    known: NDArray[np.bool_],
    table: Table,
    nodata: int,
    called: str,
    nearest: bool = False,
) -> NDArray[np.uint8]:
    """Turn numbers or colours into labels.

    Args:
        numbers: (H, W, K) with K = 1 for numbers and 3 for colours.
        known: bool (H, W), False where the mask says nothing.
        table: Labels of the numbers that may occur.
        nodata: Label where the mask says nothing.
        called: Beginning of error messages.
        nearest: Whether other numbers take the label of the nearest one (Euclidean).

    Returns:
        uint8 (H, W).

    Raises:
        LabelError: A number is not in the table.
    """
    labels, left = np.full(known.shape, nodata, np.uint8), known.copy()
    # A comparison for each key is faster than sorting all pixels.
    for key, label in table.items():
        here = left.copy()
        for channel, value in enumerate(key):
            here &= numbers[..., channel] == value
        labels[here] = label
        left &= ~here
    if not left.any():
        return labels
    others, places = np.unique(numbers[left], axis=0, return_inverse=True)  # (U, K)
    if not nearest:
        raise LabelError(
            f"{called} has the {_what(others[0])}, which stands for no class (known:"
            f" {_listed(table)}); add it to the recipe's section 'imports', or set"
            " 'imports.nearest' to true if JPEG has changed it."
        )
    keys = np.array(list(table), np.float64)  # (M, K)
    distances = ((others[:, None] - keys) ** 2).sum(axis=-1)
    chosen = np.array(list(table.values()), np.uint8)[distances.argmin(axis=1)]
    labels[left] = chosen[places.reshape(-1)]
    return labels


def from_one_hot(
    hot: NDArray[np.bool_],
    known: NDArray[np.bool_],
    band_labels: Sequence[int],
    recipe: Recipe,
    called: str,
) -> NDArray[np.uint8]:
    """Turn a band for each class into labels.

    Args:
        hot: bool (H, W, M), True where the class of a band is.
        known: bool (H, W), False where the mask says nothing.
        band_labels: Label of each of the M bands.
        recipe: Classes; label of pixels where no band is hot.
        called: Beginning of error messages.

    Returns:
        uint8 (H, W).

    Raises:
        LabelError: Bands are hot at the same pixel, although classes exclude each other.
    """
    classes = recipe.classes
    labels = np.full(known.shape, background(recipe), np.uint8)
    if classes.has_masks:
        for band, label in enumerate(band_labels):
            if label == classes.nodata:
                known = known & ~hot[..., band]
            else:
                labels[hot[..., band]] |= label
    else:
        several = known & (hot.sum(axis=-1) > 1)
        if several.any():
            row, col = np.argwhere(several)[0]
            raise LabelError(
                f"{called} has several classes at row {row}, column {col} (0-based), and classes"
                " exclude each other; set the recipe's key 'classes.kind' to masks."
            )
        for band, label in enumerate(band_labels):
            labels[hot[..., band]] = label
    labels[~known] = classes.nodata
    return labels


def hot_labels(count: int, recipe: Recipe, called: str) -> list[int]:
    """Labels of the bands of a one-hot mask; the bands are numbered 0 to count - 1.

    Raises:
        LabelError: A band stands for no class, or there are fewer bands than classes.
    """
    classes, table = recipe.classes, code_table(recipe)
    if _codes(recipe) is None:
        if count != classes.n_classes:
            raise LabelError(
                f"{called} has {count} bands of classes and '{classes.name}' {classes.n_classes}"
                " classes; name the class of each band, from 0, in the recipe's key"
                " 'imports.codes'."
            )
        return [label_of(name, classes) for name in classes.names]
    missing = [band for band in range(count) if (band,) not in table]
    if missing:
        raise LabelError(
            f"{called} has {count} bands of classes, and the recipe's key 'imports.codes' says"
            f" nothing of {missing[0]} (from 0); add it, null for nodata."
        )
    return [table[(band,)] for band in range(count)]


def _what(number: NDArray[Any]) -> str:
    text = ", ".join(f"{value:g}" for value in number)
    return f"number {text}" if len(number) == 1 else f"colour [{text}]"


def _listed(table: Table) -> str:
    shown = [", ".join(map(str, key)) for key in list(table)[:_SHOWN]]
    if any(len(key) > 1 for key in table):
        shown = [f"[{text}]" for text in shown]
    return ", ".join(shown) + (", ..." if len(table) > _SHOWN else "")
