"""Sizes of images on the command line."""

from __future__ import annotations

from polynya.errors import PolynyaError


def parse_size(text: str) -> tuple[int, int]:
    """Read a size: rows x columns such as "350x525", or one number for a square.

    Returns:
        Rows and columns, at least 1.

    Raises:
        PolynyaError: The text is no size.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise PolynyaError(f'size "{text}" is not a size: write 512, or 512x640 (rows x columns)')
    return int(parts[0]), int(parts[-1])


def parse_slices(text: str) -> tuple[int, int]:
    """Read two edges in pixels, such as "128:320": of a piece, and to which it is resized.

    Raises:
        PolynyaError: The text is no such pair.
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise PolynyaError(
            f'slices "{text}" are no pair of edges: write 128:320 for pieces of 128 pixels that are'
            " resized to 320."
        )
    return int(parts[0]), int(parts[1])
