"""What every source says of a scene: items and their bands."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from polynya.attempt import Failure, attempt
from polynya.errors import SceneError
from polynya.names import printable

MOST_PIXELS = 2**32
"""Of a scene that is fetched: a small file may claim any number, and each is written."""
_LONGEST_TEXT = 1000
"""Characters of a text that goes into a scene's metadata."""
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
    version: str = ""
    """What tells the file from another one delivered at the same place: checksum, ETag, size and
    date; empty: unknown."""


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
    footprint: object = None
    """GeoJSON geometry, longitude and latitude, as the source has it; None: unknown."""
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
    version: str = ""
    """When the source last changed it, as the source says; empty: unknown."""
    problem: str = ""
    """Why it can't be used, one sentence; empty if it can."""

    def tags(self) -> dict[str, str]:
        """Metadata for the scene file; `polynya.scenes.beside.layers` reads those of the sun."""
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
        content = [self.tags(), bands, asdict(self.grid) if self.grid else None, self.version]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def failed(self, reason: str) -> Item:
        """The same item with a reason why it can't be used."""
        return replace(self, problem=reason)


def described(describe: Callable[[], Item], so_far: Item) -> Item:
    """What a source says of one item; whatever goes wrong with it becomes its problem.

    Args:
        describe: Makes the item.
        so_far: What is known of it.
    """
    if so_far.problem:
        return so_far
    found = attempt(lambda: _checked(describe()), printable(so_far.uri), "understood")
    return so_far.failed(found.reason) if isinstance(found, Failure) else found


def number_of(value: object) -> float | None:
    """A number that a source gives as such or as text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def time_of(value: object) -> datetime | None:
    """A time that a source gives as ISO 8601 or as such; UTC where it names no zone.

    None if it is none.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_of(value: object) -> str | None:
    """A short text that a source gives; None if it is none. JSON may hold halves of characters."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        return None
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def check_pixels(grid: Grid, uri: str) -> None:
    """Raise SceneError if a scene claims more pixels than are fetched."""
    if grid.width * grid.height > MOST_PIXELS:
        raise SceneError(
            f"{uri} says that it has {grid.width} x {grid.height} pixels, more than the"
            f" {MOST_PIXELS} of the largest scene that is fetched; leave it out."
        )


def _checked(item: Item) -> Item:
    """The item, if its numbers can be used; SceneError if not."""
    for name in (item.uri, *(band.path for band in item.bands)):
        if not name.isprintable():
            raise SceneError(
                f"{printable(item.uri)} has a name with characters that are no text; rename it"
                " (convmv -f latin1 -t utf8)."
            )
    for band in item.bands:
        if not (math.isfinite(band.scale) and band.scale > 0):
            raise SceneError(
                f"{item.uri} gives its band {band.name} the scale {band.scale:g}, which must be a"
                " number greater than 0; set acquire.scale in the recipe or leave the item out."
            )
        if not math.isfinite(band.offset):
            raise SceneError(
                f"{item.uri} gives its band {band.name} the offset {band.offset:g}, which must be a"
                " number; set acquire.offset in the recipe or leave the item out."
            )
    if item.grid is not None:
        check_pixels(item.grid, item.uri)
    return item
