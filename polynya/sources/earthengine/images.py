"""Google Earth Engine: the session and the listing of a collection's images.

The client `ee` sends its requests through `polynya.sources.access.web`, which has limits and sends
a request again after status 429 or 5xx and after a broken connection.
`polynya.sources.earthengine.pixels` fetches pixels.
"""

from __future__ import annotations

import math
import os
import re
import time
from dataclasses import replace
from typing import Any

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, SceneError, SourceError, reason_of
from polynya.recipe.acquire import EarthEngineOptions
from polynya.sources.access.web import Web
from polynya.sources.items import sentinel2
from polynya.sources.items.item import Band, Grid, Item, described, number_of, text_of, time_of
from polynya.sources.items.region import dense_geojson
from polynya.sources.items.selection import Selection

_MOST_PAGES = 2000
_LARGEST_LISTING = 256 * 2**20
"""Greatest size of all pages of a listing in bytes; an image takes about 6 kB."""
_SLOWEST_LISTING = 10_000
"""Least bytes per second of a listing after its first answer."""
_LARGEST_ANSWER = 64 * 2**20
"""Greatest size of an answer in bytes; pixels of one request have at most 48 MiB."""
URI = "earthengine://"
"""Beginning of the addresses of images."""
_HARMONIZED = "_HARMONIZED"
_SENTINEL2 = "COPERNICUS/S2"
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""Exceptions for an answer of the service with unexpected fields or types."""
AFFINE = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
"""Names of affine coefficients a to f in the REST API."""


def list_items(options: EarthEngineOptions) -> list[Item]:
    """List the matching images of a collection; an unusable image is an item with a problem.

    Raises:
        MissingDependencyError: The package earthengine-api is not installed.
        SourceError: Credentials or the collection are missing, or the service can't be reached.
    """
    selection = Selection(options)
    transport = connect(options)
    items: dict[str, Item] = {}
    for part in selection.parts or ():
        images = _list_images(options, selection, dense_geojson(part), transport)
        for number, image in enumerate(images, start=1):
            item = _describe(image, options, number)
            items[item.uri] = item
    return list(selection.chosen(items.values()))


def connect(options: EarthEngineOptions) -> _Transport:
    """Prepare the client, once per process; raises the same errors as `list_items`."""
    ee = client()
    credentials = _credentials(options)
    try:
        # Only the transport sends requests again, because it controls the time.
        ee.data.setMaxRetries(0)
        transport = _Transport(Web(options.timeout, options.retries))
        ee.Initialize(
            credentials, url=options.url, project=options.project, http_transport=transport
        )
        return transport
    except client_errors(ee) as error:
        raise SourceError(
            f"Earth Engine can't be used ({reason_of(error)}); check acquire.credentials,"
            " acquire.project and the network, or run 'earthengine authenticate'."
        ) from None


def _list_images(
    options: EarthEngineOptions,
    selection: Selection,
    region: dict[str, Any],
    transport: _Transport,
) -> list[Any]:
    ee = client()
    query: dict[str, Any] = {"parent": options.collection, "region": region}
    if selection.start is not None and selection.end is not None:
        query["startTime"] = selection.start.isoformat().replace("+00:00", "Z")
        query["endTime"] = selection.end.isoformat().replace("+00:00", "Z")
    if selection.max_cloud is not None:
        query["properties"] = [f"CLOUDY_PIXEL_PERCENTAGE<={selection.max_cloud:g}"]
    transport.begin_listing()
    try:
        images = ee.data.listImages(query)["images"] or []
    except client_errors(ee) as error:
        raise SourceError(
            f"Earth Engine can't list {options.collection} ({reason_of(error)}); check"
            " acquire.collection in the recipe and the access of your account."
        ) from None
    if len(images) > options.most_items:
        raise SourceError(
            f"Earth Engine lists {len(images)} images of {options.collection}; ask for less"
            " (acquire.region, dates) or set acquire.most_items higher."
        )
    return images


def _describe(image: Any, options: EarthEngineOptions, number: int) -> Item:
    """Make the item of an image in a listing; `number` identifies an image without name."""
    name = ""
    if isinstance(image, dict):
        names = (image.get("id"), str(image.get("name", "")).partition("/assets/")[2])
        name = next((text for one in names if (text := text_of(one))), "")
    if not name:
        uri = f"{URI}{options.collection}#{number}"
        return Item(id=f"image-{number}", uri=uri).failed(f"{uri} has no name; leave it out.")
    found = Item(id=name.rpartition("/")[2], uri=URI + name)
    found = described(lambda: _with_properties(found, image), found)
    return described(lambda: _with_bands(found, image, options), found)


def _with_properties(found: Item, image: dict[str, Any]) -> Item:
    properties = image.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    zenith = number_of(properties.get("MEAN_SOLAR_ZENITH_ANGLE"))
    return replace(
        found,
        time=time_of(image.get("startTime")),
        cloud_cover=number_of(properties.get("CLOUDY_PIXEL_PERCENTAGE")),
        product=text_of(properties.get("PRODUCT_ID")),
        baseline=text_of(properties.get("PROCESSING_BASELINE")),
        sun_azimuth=number_of(properties.get("MEAN_SOLAR_AZIMUTH_ANGLE")),
        sun_elevation=None if zenith is None else round(90.0 - zenith, 9),
        properties=tuple(
            (key, str(value))
            for key, value in sorted(properties.items())
            if isinstance(value, (str, int, float)) and not key.startswith("system:")
        ),
        version=text_of(image.get("updateTime")) or "",
    )


def _with_bands(item: Item, image: dict[str, Any], options: EarthEngineOptions) -> Item:
    try:
        scale, offset = _calibration(item, options)
        known = {band["id"]: band for band in image.get("bands", ())}
        is_sentinel2 = options.collection.startswith(_SENTINEL2)
        found = [_find_band(band, known, item.uri, is_sentinel2) for band in options.required_bands]
        for band in options.optional_bands:
            found += _optional_band(band, known, is_sentinel2)
        grids = [_band_grid(known[band_id]["grid"]) for band_id, _ in found]
    except MALFORMED as error:
        raise SceneError(
            f"Earth Engine describes {item.uri} in a way that can't be understood"
            f" ({reason_of(error)}); leave it out."
        ) from None
    finest = min(grids, key=_pixel_size)
    bands = [
        Band(
            name,
            band_id,
            1,
            *((1.0, 0.0) if name == sentinel2.CLASSIFICATION else (scale, offset)),
            sentinel2.NODATA,
            coarse=_pixel_size(grid) > _pixel_size(finest),
        )
        for (band_id, name), grid in zip(found, grids, strict=True)
    ]
    return replace(item, bands=tuple(bands), grid=finest)


def _find_band(wanted: str, known: dict[str, Any], uri: str, is_sentinel2: bool) -> tuple[str, str]:
    """Earth Engine's id of a band and the name for the scene file."""
    band = sentinel2.find_band(wanted)
    for band_id in (wanted, band.short if band else wanted):
        if band_id in known:
            # B4 is the near infrared of Landsat 5, so only Sentinel-2 has these names.
            return band_id, band.name if band and is_sentinel2 else wanted
    raise SceneError(
        f"{uri} has no band '{wanted}' (it has {', '.join(known)}); fix acquire.bands in the"
        " recipe."
    )


def _optional_band(wanted: str, known: dict[str, Any], is_sentinel2: bool) -> list[tuple[str, str]]:
    """A band that the recipe doesn't name; [] if the image lacks it.

    Numbers of bands have another meaning on other satellites, so only Sentinel-2's are used.
    """
    if is_sentinel2:
        band = sentinel2.require_band(wanted)
        return [(band.short, band.name)] if band.short in known else []
    return [(wanted, wanted)] if wanted in known else []


def _pixel_size(grid: Grid) -> float:
    return abs(grid.transform[0])


def _band_grid(grid: dict[str, Any]) -> Grid:
    # Coefficients that are 0 are left out of JSON.
    affine = grid["affineTransform"]
    a, b, c, d, e, f = (float(affine.get(name, 0.0)) for name in AFFINE)
    size = grid["dimensions"]
    width, height = int(size["width"]), int(size["height"])
    code = grid["crsCode"]
    # GDAL would take other texts as file names or addresses.
    if not re.fullmatch(r"[A-Z][A-Za-z0-9-]*:[0-9]+", code):
        raise ValueError(f"its coordinate system is {code!r:.50}")
    if min(width, height) < 1 or not math.isfinite(a * e - b * d) or a * e == b * d:
        raise ValueError(f"it has {width} x {height} pixels of size {a:g} x {e:g}")
    return Grid(code, (a, b, c, d, e, f), width, height)


def _calibration(item: Item, options: EarthEngineOptions) -> tuple[float, float]:
    """Scale and offset: from the recipe, otherwise from the collection or processing baseline."""
    is_sentinel2 = options.collection.startswith(_SENTINEL2)
    scale, offset = options.scale, options.offset
    if scale is None and is_sentinel2:
        scale = sentinel2.SCALE
    if offset is None and is_sentinel2:
        if options.collection.endswith(_HARMONIZED):
            offset = 0.0
        elif item.baseline is not None:
            shifted = sentinel2.has_offset(item.baseline)
            offset = sentinel2.ADD_OFFSET * sentinel2.SCALE if shifted else 0.0
    if scale is None or offset is None:
        raise SceneError(
            f"{item.uri} doesn't say what reflectance its numbers mean; set acquire.scale and"
            " acquire.offset in the recipe."
        )
    return scale, offset


def client() -> Any:
    """The module `ee`; MissingDependencyError if it is not installed."""
    try:
        import ee
    except ImportError:
        raise MissingDependencyError(
            "Scenes from Earth Engine need the package earthengine-api; install it with:"
            f" {install_command('earthengine')}"
        ) from None
    return ee


def _credentials(options: EarthEngineOptions) -> Any:
    if options.credentials is None:
        return "persistent"
    from google.oauth2 import service_account

    path = os.path.expanduser(options.credentials)
    try:
        return service_account.Credentials.from_service_account_file(
            path, scopes=client().oauth.SCOPES
        )
    except (OSError, ValueError) as error:
        raise SourceError(
            f"acquire.credentials, {path}, is no key file of a service account"
            f" ({reason_of(error)}); create one in the Google Cloud console."
        ) from None


def client_errors(ee: Any) -> tuple[type[Exception], ...]:
    """Exceptions of the client for errors of the service, the account or the network.

    An unexpected answer fails inside the client with the first parsing error.
    """
    from google.auth.exceptions import GoogleAuthError
    from googleapiclient.errors import Error
    from httplib2 import HttpLib2Error

    return (ee.EEException, GoogleAuthError, Error, HttpLib2Error, OSError, *MALFORMED)


class _Transport:
    """Replacement for httplib2.Http in `ee` that sends all requests through `Web`."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.begin_listing()

    def begin_listing(self) -> None:
        """Start to count pages, because the client requests pages as long as there are more."""
        self._pages: set[tuple[str, object]] = set()
        self._listed = 0
        self._began = time.monotonic()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
        **unused: Any,
    ) -> tuple[Any, bytes]:
        import httplib2

        is_listing = ":listAssets" in uri
        if is_listing:
            self._check_listing((uri, body))
        answer = self._web.request(method, uri, _LARGEST_ANSWER, data=body, headers=headers)
        self._listed += is_listing * len(answer.content)
        return httplib2.Response({**answer.headers, "status": answer.status}), answer.content

    def _check_listing(self, page: tuple[str, object]) -> None:
        late = time.monotonic() - self._began - 2 * self._web.timeout
        if page in self._pages:
            raise OSError("it repeats its pages")
        if (
            len(self._pages) >= _MOST_PAGES
            or self._listed > _LARGEST_LISTING
            or late > self._listed / _SLOWEST_LISTING
        ):
            raise OSError("its list of images doesn't end; ask for fewer days or a smaller region")
        self._pages.add(page)
