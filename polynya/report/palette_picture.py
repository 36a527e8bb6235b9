"""Pictures of labels for pages: PNG files with a palette, whose colours a script can exchange."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Rgba = tuple[int, int, int, int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEXED, _DEPTH = 3, 8
"""Colour type of PNG for palettes, and bits of a pixel."""


def palette_uri(codes: NDArray[np.uint8], colors: Mapping[int, Rgba]) -> str:
    """Data URI of a PNG whose pixels are codes and whose colours stand in its palette.

    The palette comes right after the header, so a script finds it at byte 33.

    Args:
        codes: uint8 (H, W).
        colors: Red, green, blue and alpha of each code; codes without colour are transparent.

    Returns:
        `data:image/png;base64,...`, the same for the same pixels.

    Source: Portable Network Graphics, W3C Recommendation, sections 11.2 and 11.3.
    """
    height, width = codes.shape
    palette = np.zeros((256, 4), np.uint8)
    for code, color in colors.items():
        palette[code] = color
    # Each row begins with the number of its filter; none is best for palettes.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = codes
    header = struct.pack(">IIBBBBB", width, height, _DEPTH, _INDEXED, 0, 0, 0)
    content = b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette[:, :3].tobytes()),
            _chunk(b"tRNS", palette[:, 3].tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
