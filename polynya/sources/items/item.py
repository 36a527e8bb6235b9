"""Items and their bands: the description of a scene that every source gives."""

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
from polynya.sources.items.sentinel2 import find_band

MOST_PIXELS = 2**32
"""Greatest number of pixels of a fetched scene, because a small file may claim any number."""
_LONGEST_TEXT = 1000
"""Greatest number of characters of a text in a scene's metadata."""
ALPHA = "alpha"
"""Name of the alpha band, which marks valid pixels."""


@dataclass(frozen=True)
class Grid:
    """Grid of a scene's pixels on the ground."""

    crs: str
    """WKT or 'EPSG:n'; "" without georeference."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients (a, b, c, d, e, f) from pixel to CRS coordinates."""
    width: int
    """Columns."""
    height: int
    """Rows."""


@dataclass(frozen=True)
class Band:
    """One band of a scene, with its place and scaling."""

    name: str
    """Sentinel-2 name such as 'B04', or the source's name."""
    path: str
    """GDAL path; for Earth Engine, the id of the band."""
    index: int
    """1-based band in the file."""
    scale: float
    """Reflectance per digital number."""
    offset: float
    """Reflectance at digital number 0."""
    nodata: float | None
    """Value of pixels without data; None if the source has none."""
    version: str = ""
    """Version of the file, to detect a new file at the same place: checksum, ETag, size and date;
    "" if unknown."""
    coarse: bool = False
    """Whether the source says that the band has larger pixels than the scene's grid. Only sources
    without files must say it."""


@dataclass(frozen=True)
class Item:
    """A scene in a source."""

    id: str
    """The source's name of the scene."""
    uri: str
    """Address of the product, catalogue entry, asset or file."""
    bands: tuple[Band, ...] = ()
    """Requested bands, in order."""
    time: datetime | None = None
    """Time of the image, UTC."""
    cloud_cover: float | None = None
    """Cloud cover in percent."""
    footprint: object = None
    """Unchanged GeoJSON geometry of the source, longitude and latitude; None if unknown."""
    product: str | None = None
    """Id of the agency's product."""
    baseline: str | None = None
    """Processing baseline of the product, such as '05.10'."""
    sun_azimuth: float | None = None
    """Direction of the sun in degrees clockwise from north."""
    sun_elevation: float | None = None
    """Height of the sun in degrees above the horizon."""
    grid: Grid | None = None
    """Grid, if it is known without opening a file."""
    properties: tuple[tuple[str, str], ...] = ()
    """Further metadata of the source, for the scene file."""
    version: str = ""
    """Time of the last change, according to the source; "" if unknown."""
    problem: str = ""
    """Why the scene can't be used, one sentence; "" if it can."""

    def tags(self) -> dict[str, str]:
        """Metadata for the scene file; `polynya.scenes.beside.layers` reads the tags of the sun."""
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
        """The time in ISO 8601 with milliseconds; "" if unknown."""
        if self.time is None:
            return ""
        return self.time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of everything that a scene file depends on."""
        bands = [asdict(band) for band in self.bands]
        for band in bands:
            del band["coarse"]
        content = [self.tags(), bands, asdict(self.grid) if self.grid else None, self.version]
        if any(not _is_color_or_alpha(band.name) for band in self.bands):
            # Earlier versions brought larger pixels to the grid in another way.
            content.append("bilinear")
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def failed(self, reason: str) -> Item:
        """The same item with the reason why it can't be used."""
        return replace(self, problem=reason)


def _is_color_or_alpha(name: str) -> bool:
    known = find_band(name)
    return name == ALPHA or (known is not None and known.color != "")


def optional(describe: Callable[[], Band]) -> list[Band]:
    """A band that no recipe names, as a list; [] if the scene lacks it or doesn't say its scale.

    Args:
        describe: Function that makes the band; its SceneError means that the band can't be used.
    """
    try:
        return [describe()]
    except SceneError:
        return []


def described(describe: Callable[[], Item], so_far: Item) -> Item:
    """Make the description of one item; an error becomes the problem of the item.

    Args:
        describe: Function that makes the item.
        so_far: The item with the information known so far.
    """
    if so_far.problem:
        return so_far
    found = attempt(lambda: _checked(describe()), printable(so_far.uri), "understood")
    return so_far.failed(found.reason) if isinstance(found, Failure) else found


def number_of(value: object) -> float | None:
    """Finite number from a number or text of a source; otherwise None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def time_of(value: object) -> datetime | None:
    """Time in UTC from a datetime or an ISO 8601 text of a source; otherwise None.

    A time without zone counts as UTC.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_of(value: object) -> str | None:
    """Short text of a source, otherwise None; incomplete characters in JSON become escapes."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        return None
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def check_pixels(grid: Grid, uri: str) -> None:
    """Raise SceneError if a scene claims too many pixels."""
    if grid.width * grid.height > MOST_PIXELS:
        raise SceneError(
            f"{uri} says that it has {grid.width} x {grid.height} pixels, more than the"
            f" {MOST_PIXELS} of the largest scene that is fetched; leave it out."
        )


def _checked(item: Item) -> Item:
    """Return the item if its names and numbers can be used; otherwise raise SceneError."""
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
