"""Cells of a shard's table as arrays, after their checksums were compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def checked_array(
    cell: pa.BinaryScalar,
    row: Mapping[str, Any],
    column: str,
    dtype: Any,
    shape: tuple[int, ...],
) -> NDArray[Any]:
    """Content of a cell as an array of a type and shape, which shares the cell's memory.

    Args:
        cell: The bytes.
        row: Small columns of the same row, with the checksum.
        column: Name of the cell's column.
        dtype: Type of the array.
        shape: Shape of the array.

    Raises:
        ValueError: The size or the checksum is wrong. The message is a part of a sentence.
    """
    content = cell.as_buffer()
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if content is None or len(content) != expected:
        has = 0 if content is None else len(content)
        raise ValueError(f"its {column} has {has} bytes in place of {expected}")
    if google_crc32c.value(content) != row[f"{column}_crc32c"]:
        raise ValueError(f"the checksum of its {column} is wrong")
    return np.frombuffer(content, dtype).reshape(shape)


def checked_valid(
    cell: pa.BinaryScalar, row: Mapping[str, Any], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Where values of bands are valid, bool of a shape; an empty cell means everywhere.

    Raises:
        ValueError: See `checked_array`.
    """
    if not cell.is_valid:
        return np.ones(shape, np.bool_)
    size = int(np.prod(shape))
    bits = checked_array(cell, row, "valid", np.uint8, (-(-size // 8),))
    return np.unpackbits(bits, count=size).view(np.bool_).reshape(shape)
