"""Which pixels of a scene have data, according to the file and the used bands.

A file can mark nodata by an alpha band, by a mask (inside the file or beside it, `.msk`) and by
nodata values. A pixel has no data if alpha is 0, if the mask is 0, or if all used bands have their
nodata value. Other bands don't count: GDAL's mask of a data set is the union over all its bands
(GDAL RFC 15), so a fourth band without holes would hide the holes of the colours. A used band
without nodata value is ignored. A nodata value that no pixel can have (NaN, or 300 in 8 bits) is
also ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

_NODATA_TAG = "NODATA_VALUES"
"""GDAL's tag with one nodata value per band; a pixel is nodata if all bands have their value."""

_ALPHA_NAMES = re.compile(r"alpha|mask|opacity|transparen|valid|^(?:a|band)[ _]?4?$")


@dataclass(frozen=True)
class Validity:
    """Information of a file about its nodata."""

    alpha: int | None
    """1-based alpha band."""
    masks: tuple[int, ...]
    """1-based bands with a mask that is not made from nodata values; only one band if the mask is
    for all bands."""
    nodata: tuple[float | None, ...]
    """Nodata value of each used band; None for a band without one."""

    @property
    def says_nothing(self) -> bool:
        """Whether the file has no information about nodata."""
        return self.alpha is None and not self.masks and set(self.nodata) == {None}

    def without_values(self) -> Validity:
        """Only alpha and masks, for callers that check nodata values per band."""
        return replace(self, nodata=(None,) * len(self.nodata))


def find_validity(source: Any, indexes: tuple[int, ...]) -> Validity:
    """Find the information of a file about nodata in some of its bands.

    Args:
        source: The open raster.
        indexes: 1-based bands that are used.
    """
    alpha = _alpha(source, indexes)
    flags = source.mask_flag_enums
    own = []
    for index in indexes:
        of_band = flags[index - 1]
        if {MaskFlags.all_valid, MaskFlags.nodata, MaskFlags.alpha} & set(of_band):
            continue
        own.append(index)
        if MaskFlags.per_dataset in of_band:
            break  # The other bands have the same mask.
    return Validity(alpha, tuple(own), _values(source, indexes))


def read_valid(
    source: Any, validity: Validity, numbers: NDArray[Any], window: Window | None
) -> NDArray[np.bool_]:
    """Find the pixels that have data.

    Args:
        source: The open raster.
        validity: From `find_validity`.
        numbers: (H, W, bands), digital numbers of the used bands.
        window: Part of the raster that `numbers` covers, perhaps in fewer pixels.

    Returns:
        bool (H, W), True for pixels with data.
    """
    empty = None
    # Only used bands with a nodata value decide.
    for band, value in enumerate(validity.nodata):
        if value is not None:
            # Convert the nodata value, because it may have more digits than a float32.
            same = numbers[..., band] == np.asarray(value, numbers.dtype)
            empty = same if empty is None else np.logical_and(empty, same, out=empty)
    valid = np.ones(numbers.shape[:2], np.bool_) if empty is None else ~empty
    if validity.alpha is not None:
        valid &= source.read(validity.alpha, window=window, out_shape=valid.shape) != 0
    if validity.masks:
        shape = valid.shape
        some = source.read_masks(validity.masks[0], window=window, out_shape=shape) != 0
        for index in validity.masks[1:]:
            some |= source.read_masks(index, window=window, out_shape=shape) != 0
        valid &= some
    return valid


def _alpha(source: Any, indexes: tuple[int, ...]) -> int | None:
    """1-based alpha band; None if there is none.

    By default GDAL calls the fourth band of each 8-bit TIFF alpha, so a band with another name is
    not taken as alpha.
    """
    for index, color in enumerate(source.colorinterp, start=1):
        if color == ColorInterp.alpha and index not in indexes:
            name = (source.descriptions[index - 1] or "").lower()
            if not name or _ALPHA_NAMES.search(name):
                return index
    return None


def nodata_value(source: Any, index: int) -> float | None:
    """Nodata value of a band; None without one, for NaN, or if the data type can't hold it."""
    return _values(source, (index,))[0]


def _values(source: Any, indexes: tuple[int, ...]) -> tuple[float | None, ...]:
    """Nodata value of each used band; see `nodata_value`."""
    texts = (source.tags().get(_NODATA_TAG) or "").split()
    if len(texts) == source.count:
        values = [_number(texts[index - 1]) for index in indexes]
    else:
        values = [source.nodatavals[index - 1] for index in indexes]
    dtypes = [source.dtypes[index - 1] for index in indexes]
    return tuple(_possible(value, dtype) for value, dtype in zip(values, dtypes, strict=True))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _possible(value: float | None, dtype: str) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    if np.dtype(dtype).kind == "f":
        return value
    if value != int(value):
        return None
    limits = np.iinfo(dtype)
    return int(value) if limits.min <= value <= limits.max else None
