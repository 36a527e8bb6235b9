"""Checks a submission against the description of its format.

Kaggle, "Understanding Clouds from Satellite Images", evaluation page: a CSV file with the header
`Image_Label,EncodedPixels` and a row for each pair of an image and a label; pairs of start and run
length, separated by a space, as in `1 3 10 5`; pairs are sorted, positive, and no pixel is decoded
twice; pixels are one-indexed, numbered from top to bottom, then from left to right; the code is
empty where there is nothing. Masks are predicted at a quarter of the size, 350 x 525.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

PAIRS = re.compile(r"[1-9][0-9]* [1-9][0-9]*( [1-9][0-9]* [1-9][0-9]*)*")


def read_submission(
    text: str, images: Sequence[str], labels: Sequence[str], size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Masks, bool (H, W), by Image_Label; AssertionError where the format is broken."""
    lines = text.split("\n")
    assert lines[0] == "Image_Label,EncodedPixels"
    assert lines[-1] == "", "the last line must end"
    rows = [line.split(",") for line in lines[1:-1]]
    assert all(len(row) == 2 for row in rows)
    wanted = sorted(f"{image}_{label}" for image in images for label in labels)
    assert sorted(name for name, _ in rows) == wanted
    return {name: _mask(code, size) for name, code in rows}


def _mask(code: str, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    mask = np.zeros(size, bool)
    if code == "":
        return mask
    assert PAIRS.fullmatch(code), code[:80]
    numbers = [int(word) for word in code.split(" ")]
    starts, lengths = numbers[::2], numbers[1::2]
    assert starts == sorted(starts)
    for start, length in zip(starts, lengths, strict=True):
        for pixel in range(start, start + length):
            assert pixel <= height * width, f"pixel {pixel} is outside of the image"
            row, column = (pixel - 1) % height, (pixel - 1) // height
            assert not mask[row, column], f"pixel {pixel} is there twice"
            mask[row, column] = True
    return mask
