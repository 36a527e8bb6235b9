"""Section `acquire` of the recipe: where scenes come from and which of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from polynya.rasters.scaling import Offset, Scale
from polynya.recipe.base import Options, Positive, Tagged
from polynya.recipe.scene import COLORS

AUTO: Literal["auto"] = "auto"
OPTIONAL_BANDS = ("nir", "swir16", "cirrus")
"""Bands that scene files have by default if the product has them, for `scene.layers`."""

Box = tuple[float, float, float, float]

Paths = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
"""One path or several."""


def _bands(value: object) -> object:
    """Check a list of bands, or `auto`."""
    if value == AUTO:
        return value
    names = value if isinstance(value, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError("give auto or a list of names such as [red, green, blue, B08]")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("a band is named twice")
    return tuple(names)


Bands = Annotated[tuple[str, ...] | Literal["auto"], BeforeValidator(_bands)]
"""Names of bands, or `auto`."""


class _SourceOptions(Options):
    """Keys of every source."""

    bands: Bands = AUTO
    """Bands of a scene file. auto: red, green and blue, and those of nir, swir16 and cirrus that
    the product has. A list: just these bands, and each must be there. Names are Sentinel-2 names
    (B04), common names (red) or, in a STAC catalogue, keys of assets."""
    limit: Positive | None = None
    """Greatest number of scenes, the earliest first; default: all."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Number of scenes that are fetched at the same time; for Earth Engine, of requests."""
    retries: Annotated[int, Field(ge=0, lt=100)] = 5
    """How often a request is sent again after a temporary failure, within twice the `timeout`."""
    timeout: Annotated[float, Field(gt=0.0, le=3600.0)] = 30.0
    """Seconds that a server may be silent, or may send less than 1 kB per second."""
    most_items: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Greatest number of items that a source may list; longer lists are taken as endless."""
    scale: Scale | None = None
    """Reflectance per digital number, if the source doesn't give it or gives a wrong one."""
    offset: Offset | None = None
    """Reflectance at digital number 0, if the source doesn't give it or gives a wrong one."""

    @property
    def required_bands(self) -> tuple[str, ...]:
        """Bands that each scene must have, in order."""
        return COLORS if isinstance(self.bands, str) else self.bands

    @property
    def optional_bands(self) -> tuple[str, ...]:
        """Bands that follow if a scene has them, in order."""
        return OPTIONAL_BANDS if isinstance(self.bands, str) else ()


class _QueryOptions(_SourceOptions):
    """Keys of sources that can search by place, time and cloud cover."""

    region: Box | str | None = None
    """Longitudes and latitudes [west, south, east, north] in degrees, or a GeoJSON file. If west
    is greater than east, the region crosses the antimeridian. Default: everywhere."""
    dates: tuple[date, date] | None = None
    """First and last day (UTC), both included. Default: always."""
    max_cloud: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """Greatest cloud cover of a scene in percent, according to its metadata. Default: any."""

    @field_validator("region", mode="before")
    @classmethod
    def _region_is_a_box_or_a_file(cls, value: object) -> object:
        numbers = list(value) if isinstance(value, (list, tuple)) else []
        is_box = len(numbers) == 4 and all(type(number) in (int, float) for number in numbers)
        if value is None or isinstance(value, str) or is_box:
            return value
        raise ValueError("give [west, south, east, north] in degrees or the path of a GeoJSON file")

    @field_validator("region")
    @classmethod
    def _box_is_on_earth(cls, value: Box | str | None) -> Box | str | None:
        if isinstance(value, tuple):
            west, south, east, north = value
            if not -90 <= south < north <= 90:
                raise ValueError("the order is west, south, east, north, with south below north")
            if west == east or not all(-180 <= longitude <= 180 for longitude in (west, east)):
                raise ValueError("west and east must differ and be in -180..180")
        return value

    @model_validator(mode="after")
    def _dates_rise(self) -> _QueryOptions:
        if self.dates is not None and self.dates[1] < self.dates[0]:
            raise ValueError("the last day of 'dates' must not be before the first")
        return self


class EarthEngineOptions(_QueryOptions):
    """Images of a Google Earth Engine collection, fetched pixel by pixel."""

    source: Literal["earthengine"]
    collection: str = "COPERNICUS/S2_HARMONIZED"
    """Id of the image collection."""
    project: str | None = None
    """Google Cloud project of the requests, for quota and billing; default: the project of the
    credentials."""
    credentials: str | None = None
    """Key file (JSON) of a service account; default: `earthengine authenticate` or the application
    default credentials."""
    url: str | None = None
    """Address of the REST API; default: Earth Engine's standard address. The address for many
    requests is https://earthengine-highvolume.googleapis.com."""
    at_once: Annotated[int, Field(ge=1, le=40)] = 8
    """Number of requests at the same time; a project may have 40
    (developers.google.com/earth-engine/guides/usage)."""
    dates: tuple[date, date]
    region: Box | str


class StacOptions(_QueryOptions):
    """Items of a STAC API or of a static STAC catalogue."""

    source: Literal["stac"]
    catalog: str
    """Address or path: a STAC API, a catalogue, a collection, an item, or saved search results."""
    collection: str | None = None
    """Id of the collection; default: all collections."""
    sign_url: str | None = None
    """Address that gives read tokens with GET {sign_url}/{collection}, such as Planetary Computer's
    https://planetarycomputer.microsoft.com/api/sas/v1/token. Default: no signing."""

    @model_validator(mode="after")
    def _signing_needs_a_collection(self) -> StacOptions:
        if self.sign_url is not None and self.collection is None:
            raise ValueError("'sign_url' needs the key 'collection', whose token it asks for")
        return self


class SafeOptions(_QueryOptions):
    """Sentinel-2 SAFE products, folders or zip files, Level-1C or Level-2A."""

    source: Literal["safe"]
    paths: Paths
    """Products, folders or buckets of products, or globs."""


class FilesOptions(_SourceOptions):
    """Raster files that hold all bands of a scene."""

    source: Literal["files"]
    paths: Paths
    """Files, folders, globs or URIs (https, s3, gs)."""


AcquireOptions = Annotated[
    EarthEngineOptions | StacOptions | SafeOptions | FilesOptions, Tagged("source")
]
"""One of the sources, chosen by the key `source`."""
QueryOptions = EarthEngineOptions | StacOptions | SafeOptions
"""Sources that can search by region, dates and cloud cover."""
