"""What every source says of a scene: items and their bands."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

ALPHA = "alpha"
"""Name of the band that says where a scene is valid, in files that have one."""


@dataclass(frozen=True)
class Grid:
    """The pixels of a scene on the ground."""

    crs: str
    """WKT, or 'EPSG:n'; empty without georeference."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients (a, b, c, d, e, f) from pixel to CRS coordinates."""
    width: int
    """Columns."""
    height: int
    """Rows."""


@dataclass(frozen=True)
class Band:
    """One band of a scene, where it lies and what its numbers mean."""

    name: str
    """Sentinel-2 name such as 'B04', or the source's own."""
    path: str
    """What GDAL opens; of Earth Engine the band's id."""
    index: int
    """1-based band in the file."""
    scale: float
    """Reflectance per digital number."""
    offset: float
    """Reflectance at digital number 0."""
    nodata: float | None
    """Number of pixels without data; None: the source has none."""


@dataclass(frozen=True)
class Item:
    """A scene that a source has."""

    id: str
    """The source's name of it."""
    uri: str
    """Where it is: product, catalogue entry, asset or file."""
    bands: tuple[Band, ...] = ()
    """The asked ones, in their order."""
    time: datetime | None = None
    """When it was taken, UTC."""
    cloud_cover: float | None = None
    """Percent."""
    footprint: dict[str, Any] | None = None
    """GeoJSON geometry, longitude and latitude."""
    product: str | None = None
    """Id of the agency's product."""
    baseline: str | None = None
    """Processing baseline of the product, such as '05.10'."""
    sun_azimuth: float | None = None
    """Degrees clockwise from north."""
    sun_elevation: float | None = None
    """Degrees above the horizon."""
    grid: Grid | None = None
    """Where it is known without opening a file."""
    properties: tuple[tuple[str, str], ...] = ()
    """More of the source's own metadata, which goes into the scene file."""
    problem: str = ""
    """Why it can't be used, one sentence; empty if it can."""

    def tags(self) -> dict[str, str]:
        """Metadata for the scene file; the names of the sun's are those `polynya.layers` reads."""
        known = {
            "source": self.uri,
            "item": self.id,
            "PRODUCT_ID": self.product,
            "PROCESSING_BASELINE": self.baseline,
            "ACQUIRED": self.time_text or None,
            "CLOUD_COVER": self.cloud_cover,
            "SUN_AZIMUTH": self.sun_azimuth,
            "SUN_ELEVATION": self.sun_elevation,
        }
        return {
            **dict(self.properties),
            **{key: str(value) for key, value in known.items() if value is not None},
        }

    @property
    def time_text(self) -> str:
        """The time in ISO 8601, to the millisecond; empty if unknown."""
        if self.time is None:
            return ""
        return self.time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of all that a scene file depends on."""
        bands = [asdict(band) for band in self.bands]
        content = [self.tags(), bands, asdict(self.grid) if self.grid else None]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def failed(self, reason: str) -> Item:
        """The same item with a reason why it can't be used."""
        return replace(self, problem=reason)
