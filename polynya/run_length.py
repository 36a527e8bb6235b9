"""Run-length codes of masks, as Kaggle's competitions write them: pairs of start and length.

Pixels are numbered from 1, down the columns (Kaggle, "Understanding Clouds from Satellite Images",
evaluation page), or along the rows in some other competitions. `264918 937` in an image of 1400
rows begins in column 189 at row 317, counted from 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polynya.errors import LabelError

Order = Literal["columns", "rows"]

_EMPTY = ("", "-1")
"""Codes of a mask without pixels."""


def decode(
    code: str, height: int, width: int, called: str, order: Order = "columns"
) -> NDArray[np.bool_]:
    """Turn a run-length code into a mask.

    Args:
        code: Starts and lengths, separated by blanks; '' or '-1' for a mask without pixels.
        height: Rows of the image.
        width: Columns of the image.
        called: Beginning of error messages: the file and its row.
        order: Whether pixels are numbered down the columns or along the rows.

    Returns:
        bool (height, width).

    Raises:
        LabelError: A run overlaps another, leaves the image or is out of order, or the code isn't
            made of pairs of numbers.
    """
    mask = np.zeros(height * width, np.bool_)
    if code.strip() not in _EMPTY:
        try:
            numbers = [int(text) for text in code.split()]
        except ValueError:
            raise _wrong(called, "it has a part that is no whole number") from None
        if len(numbers) % 2:
            raise _wrong(called, "the last start has no length")
        end, before = 0, 0  # Last pixel and start of the run before.
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            run = f"the run {start} {length}"
            if length < 1:
                raise _wrong(called, f"{run} has no pixel")
            if start < 1 or start + length - 1 > mask.size:
                raise _wrong(called, f"{run} leaves the image of {height} x {width} pixels")
            if start < before:
                raise _wrong(called, f"{run} comes after the run at {before}, so they are unsorted")
            if start <= end:
                raise _wrong(called, f"{run} overlaps the run at {before}")
            end, before = start + length - 1, start
            mask[start - 1 : end] = True
    if order == "rows":
        return mask.reshape(height, width)
    return np.ascontiguousarray(mask.reshape(width, height).T)


def encode(mask: NDArray[np.bool_], order: Order = "columns") -> str:
    """Turn a mask, bool (H, W), into its run-length code; '' for a mask without pixels."""
    flat = (mask.T if order == "columns" else mask).reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(starts, ends, strict=True))


def csv_text(rows: Iterable[tuple[str, str, str]]) -> str:
    """CSV of masks in Kaggle's form `Image_Label,EncodedPixels`.

    Args:
        rows: File name of the image, name of the mask, and run-length code.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["Image_Label", "EncodedPixels"])
    writer.writerows((f"{image}_{name}", code) for image, name, code in rows)
    return table.getvalue()


def _wrong(called: str, what: str) -> LabelError:
    return LabelError(
        f"{called} has a wrong run-length code: {what}; fix the row, or leave it out."
    )
