"""Facts about Sentinel-2 that hold for all sources: band names, scale and offset.

Reflectance = (DN + ADD_OFFSET) / QUANTIFICATION_VALUE. Products have an offset, -1000 so far, from
processing baseline 04.00 on; DN 0 is nodata in all of them. Source: Sentinel-2 Products
Specification Document, https://sentiwiki.copernicus.eu/web/s2-products.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from polynya.errors import SourceError

NODATA = 0
SCALE = 0.0001
"""1 / QUANTIFICATION_VALUE."""
ADD_OFFSET = -1000
"""Offset of products from baseline 04.00 on, in digital numbers."""

_FIRST_WITH_OFFSET = (4, 0)


@dataclass(frozen=True)
class BandName:
    """Names of one band."""

    name: str
    """Name in products, such as 'B04'."""
    common: str
    """Name in STAC, such as 'red' (common name of the eo extension, asset key of Earth Search)."""
    resolution: int
    """Resolution in metres."""
    color: str = ""
    """'red', 'green' or 'blue' for these bands, otherwise ""."""

    @property
    def short(self) -> str:
        """Name in Earth Engine and in product metadata, such as 'B4'."""
        return re.sub(r"^B0", "B", self.name)


BANDS = (
    BandName("B01", "coastal", 60),
    BandName("B02", "blue", 10, "blue"),
    BandName("B03", "green", 10, "green"),
    BandName("B04", "red", 10, "red"),
    BandName("B05", "rededge1", 20),
    BandName("B06", "rededge2", 20),
    BandName("B07", "rededge3", 20),
    BandName("B08", "nir", 10),
    BandName("B8A", "nir08", 20),
    BandName("B09", "nir09", 60),
    BandName("B10", "cirrus", 60),
    BandName("B11", "swir16", 20),
    BandName("B12", "swir22", 20),
    BandName("SCL", "scl", 20),
)
"""Bands in the order of `band_id` in product metadata; the scene classification has no id."""

CLASSIFICATION = "SCL"
"""Band of Level-2A with classes instead of reflectance."""


def find_band(name: str) -> BandName | None:
    """Find a band by any of its names, in upper or lower case; None if there is none."""
    wanted = name.lower()
    for band in BANDS:
        if wanted in (band.name.lower(), band.short.lower(), band.common):
            return band
    return None


def require_band(name: str) -> BandName:
    """Find a band by any of its names; SourceError if there is none."""
    band = find_band(name)
    if band is None:
        known = ", ".join(f"{band.name} ({band.common})" for band in BANDS)
        raise SourceError(
            f"Sentinel-2 has no band '{name}'; fix acquire.bands in the recipe (known: {known})."
        )
    return band


def has_offset(baseline: str) -> bool:
    """Whether products of a processing baseline, such as '05.10', have an offset.

    Raises:
        ValueError: The text is no baseline.
    """
    match = re.fullmatch(r"(\d\d)\.(\d\d)", baseline)
    if match is None:
        raise ValueError(f"'{baseline}' is no processing baseline")
    return (int(match[1]), int(match[2])) >= _FIRST_WITH_OFFSET
