"""Google Earth Engine: the session and the listing of a collection's images.

Through the client `ee`, whose requests are sent again for status 429 and 5xx and for cut
connections, after waits that double and are random. `polynya.sources.earth_engine_pixels` fetches.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, SceneError, SourceError, reason_of
from polynya.sources import sentinel2
from polynya.sources.item import Band, Grid, Item
from polynya.sources.options import EarthEngineOptions
from polynya.sources.region import dense_geojson
from polynya.sources.selection import Selection

_TIMEOUT_MS = 300_000
"""A request that says nothing for so long counts as cut."""
URI = "earthengine://"
"""Beginning of the addresses of images."""
_HARMONIZED = "_HARMONIZED"
_SENTINEL2 = "COPERNICUS/S2"
AFFINE = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
"""Names of affine coefficients a to f in the REST API."""


def list_items(options: EarthEngineOptions) -> list[Item]:
    """The images of a collection that fit; one that can't be used is an item with a problem.

    Raises:
        MissingDependencyError: The package earthengine-api is not installed.
        SourceError: No credentials, no such collection, or the service can't be reached.
    """
    selection = Selection(options)
    connect(options)
    images: dict[str, dict[str, Any]] = {}
    for part in selection.parts or ():
        for image in _list_images(options, selection, dense_geojson(part)):
            images[image["name"]] = image
    items = (_describe(image, options) for image in images.values())
    return [item for item in items if selection.holds(item)]


def connect(options: EarthEngineOptions) -> None:
    """Make the client ready, once a process; errors as for `list_items`."""
    ee = client()
    credentials = _credentials(options)
    try:
        ee.data.setMaxRetries(options.retries)
        ee.Initialize(credentials, url=options.url, project=options.project)
        ee.data.setDeadline(_TIMEOUT_MS)
    except client_errors(ee) as error:
        raise SourceError(
            f"Earth Engine can't be used ({reason_of(error)}); check acquire.credentials,"
            " acquire.project and the network, or run 'earthengine authenticate'."
        ) from None


def _list_images(
    options: EarthEngineOptions, selection: Selection, region: dict[str, Any]
) -> list[dict[str, Any]]:
    ee = client()
    query: dict[str, Any] = {"parent": options.collection, "region": region}
    if selection.start is not None and selection.end is not None:
        query["startTime"] = selection.start.strftime("%Y-%m-%dT%H:%M:%SZ")
        query["endTime"] = selection.end.strftime("%Y-%m-%dT%H:%M:%SZ")
    if selection.max_cloud is not None:
        query["properties"] = [f"CLOUDY_PIXEL_PERCENTAGE<={selection.max_cloud:g}"]
    try:
        return list(ee.data.listImages(query)["images"] or ())
    except client_errors(ee) as error:
        raise SourceError(
            f"Earth Engine can't list {options.collection} ({reason_of(error)}); check"
            " acquire.collection in the recipe and the access of your account."
        ) from None


def _describe(image: dict[str, Any], options: EarthEngineOptions) -> Item:
    name = str(image.get("id") or image["name"].partition("/assets/")[2])
    properties: dict[str, Any] = image.get("properties", {})
    azimuth = properties.get("MEAN_SOLAR_AZIMUTH_ANGLE")
    zenith = properties.get("MEAN_SOLAR_ZENITH_ANGLE")
    start = image.get("startTime")
    item = Item(
        id=name.rpartition("/")[2],
        uri=URI + name,
        time=datetime.fromisoformat(start).astimezone(UTC) if start else None,
        cloud_cover=properties.get("CLOUDY_PIXEL_PERCENTAGE"),
        product=properties.get("PRODUCT_ID"),
        baseline=properties.get("PROCESSING_BASELINE"),
        sun_azimuth=azimuth,
        sun_elevation=None if zenith is None else round(90.0 - zenith, 9),
        properties=tuple(
            (key, str(value))
            for key, value in sorted(properties.items())
            if isinstance(value, (str, int, float)) and not key.startswith("system:")
        ),
    )
    try:
        scale, offset = _calibration(item, options)
        known = {band["id"]: band for band in image.get("bands", ())}
        found = [_find_band(band, known, item.uri) for band in options.bands]
    except SceneError as error:
        return item.failed(str(error))
    grids = [_band_grid(known[band_id]["grid"]) for band_id, _ in found]
    bands = [
        Band(
            name,
            band_id,
            1,
            *((1.0, 0.0) if name == sentinel2.CLASSIFICATION else (scale, offset)),
            sentinel2.NODATA,
        )
        for band_id, name in found
    ]
    # Earth Engine brings coarser bands to the grid that is asked for, by their nearest pixels.
    finest = min(grids, key=lambda grid: abs(grid.transform[0]))
    return replace(item, bands=tuple(bands), grid=finest)


def _find_band(wanted: str, known: dict[str, Any], uri: str) -> tuple[str, str]:
    """Earth Engine's id of a band and the name for the scene file."""
    band = sentinel2.find_band(wanted)
    for band_id in (wanted, band.short if band else wanted):
        if band_id in known:
            return band_id, band.name if band else wanted
    raise SceneError(
        f"{uri} has no band '{wanted}' (it has {', '.join(known)}); mend acquire.bands in the"
        " recipe."
    )


def _band_grid(grid: dict[str, Any]) -> Grid:
    # Coefficients that are 0 are left out of JSON.
    affine = grid["affineTransform"]
    a, b, c, d, e, f = (float(affine.get(name, 0.0)) for name in AFFINE)
    size = grid["dimensions"]
    return Grid(grid["crsCode"], (a, b, c, d, e, f), int(size["width"]), int(size["height"]))


def _calibration(item: Item, options: EarthEngineOptions) -> tuple[float, float]:
    """Scale and offset: the recipe's, else what the collection or the processing baseline says."""
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
    """What the client raises if the service, the account or the network is at fault."""
    from google.auth.exceptions import GoogleAuthError
    from googleapiclient.errors import Error
    from httplib2 import HttpLib2Error

    return (ee.EEException, GoogleAuthError, Error, HttpLib2Error, OSError)
