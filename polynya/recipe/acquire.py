"""Section `acquire` of the recipe: where scenes come from and which of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from polynya.rasters.scaling import Offset, Scale
from polynya.recipe.base import Options, Positive, Tagged

Box = tuple[float, float, float, float]

Paths = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
"""One path or several."""


class _SourceOptions(Options):
    """What every source knows."""

    bands: Annotated[tuple[str, ...], Field(min_length=1)] = ("red", "green", "blue")
    """Bands of a scene file, by Sentinel-2 name (B04), common name (red) or, in a STAC catalogue,
    the key of an asset."""
    limit: Positive | None = None
    """At most so many scenes, the earliest first; default: all."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Scenes in work at once; of Earth Engine: requests at once."""
    retries: Annotated[int, Field(ge=0, lt=100)] = 5
    """How often a request that failed for a passing reason is sent again, within twice the
    `timeout`."""
    timeout: Annotated[float, Field(gt=0.0, le=3600.0)] = 30.0
    """Seconds that a server may be silent, or send less than 1 kB a second."""
    most_items: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """A source that lists more is taken for one that never ends."""
    scale: Scale | None = None
    """Reflectance per digital number, where the source doesn't say or is wrong."""
    offset: Offset | None = None
    """Reflectance at digital number 0, likewise."""

    @field_validator("bands")
    @classmethod
    def _each_band_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len({band.lower() for band in value}) < len(value):
            raise ValueError("a band is named twice")
        return value


class _QueryOptions(_SourceOptions):
    """What sources know that can be asked for a place, a time and clouds."""

    region: Box | str | None = None
    """Longitudes and latitudes [west, south, east, north] in degrees, or a GeoJSON file; west
    greater than east crosses the antimeridian. Default: everywhere."""
    dates: tuple[date, date] | None = None
    """First and last day (UTC), both included. Default: always."""
    max_cloud: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """Greatest cloud cover of a scene in percent, as its metadata says. Default: any."""

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
    """Google Cloud project that the requests are counted for; default: the credentials' own."""
    credentials: str | None = None
    """Key file (JSON) of a service account; default: `earthengine authenticate` or the application
    default credentials."""
    url: str | None = None
    """Address of the REST API; default: Earth Engine's own. Its high-volume end point is
    https://earthengine-highvolume.googleapis.com."""
    at_once: Annotated[int, Field(ge=1, le=40)] = 8
    """Requests at once; a project may have 40 (developers.google.com/earth-engine/guides/usage)."""
    dates: tuple[date, date]
    region: Box | str


class StacOptions(_QueryOptions):
    """Items of a STAC API or of a static STAC catalogue."""

    source: Literal["stac"]
    catalog: str
    """Address or path: a STAC API, a catalogue, a collection, an item, or saved search results."""
    collection: str | None = None
    """Id of the collection; default: all there are."""
    sign_url: str | None = None
    """Address that gives read tokens, GET {sign_url}/{collection}, as Planetary Computer's
    https://planetarycomputer.microsoft.com/api/sas/v1/token does. Default: no signing."""

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
"""One of the sources, by the key `source`."""
QueryOptions = EarthEngineOptions | StacOptions | SafeOptions
"""The sources that can be asked for region, dates and clouds."""
