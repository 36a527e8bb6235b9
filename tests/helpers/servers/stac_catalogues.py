"""STAC catalogues and APIs with items of Sentinel-2, as two providers lay them out."""

from __future__ import annotations

import json

import numpy as np
import rasterio
from rasterio.shutil import copy
from rasterio.transform import from_origin

from helpers.servers.web_server import Answer

EDGE = 1024


EARTH_SEARCH = {"B04": "red", "B03": "green", "B02": "blue"}


PLANETARY_COMPUTER = {"B04": "B04", "B03": "B03", "B02": "B02"}


def numbers(seed, shift=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 9000, (EDGE, EDGE)) + shift
    pixels[:200, :100] = 0
    return pixels.astype(np.uint16)


def write_cog(path, pixels, size=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(
        plain, "w", driver="GTiff", height=len(pixels), width=len(pixels), count=1, dtype="uint16",
        nodata=0, crs="EPSG:32702", transform=from_origin(500_000, 2_000_000, size, size),
    ) as target:  # fmt: skip
        target.write(pixels, 1)
    copy(str(plain), str(path), driver="COG", BLOCKSIZE=256, COMPRESS="DEFLATE", OVERVIEWS="NONE")
    plain.unlink()


def make_item(folder, name, keys=EARTH_SEARCH, seed=0, shift=0, raster=None, href="{}", **more):
    """Write the bands of an item and give its JSON; `href` makes addresses of paths."""
    assets = {}
    for index, (band, key) in enumerate(keys.items()):
        path = f"{name}/{band}.tif"
        if not (folder / path).exists():
            pixels = numbers(seed + index, shift)
            half = band in ("B11", "B8A")  # 20 m, the others 10 m.
            write_cog(folder / path, pixels[::2, ::2] if half else pixels, 20 if half else 10)
        assets[key] = {"href": href.format(path), "roles": ["data"]}
        if raster is not None:
            assets[key]["raster:bands"] = [raster]
    west = more.pop("west", -171.0)
    ring = [[west, -72], [west + 3, -72], [west + 3, -73], [west, -73], [west, -72]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, -73, west + 3, -72],
        "properties": {
            "datetime": "2022-11-03T19:09:31Z",
            "eo:cloud_cover": 10.0,
            "view:sun_azimuth": 48.5,
            "view:sun_elevation": 30.25,
            "s2:product_uri": f"{name}.SAFE",
            **more,
        },
        "links": [],
        "assets": assets,
    }


def earth_search_item(folder, name, applied, keys=EARTH_SEARCH, **more):
    """As Earth Search has them: raster:bands tells of the offset also where it is applied."""
    raster = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
    properties = {"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": applied}
    shift = 0 if applied else 1000
    return make_item(folder, name, keys, raster=raster, shift=shift, **properties, **more)


def planetary_computer_item(folder, name, baseline, **more):
    """As Planetary Computer has them: no scale and no offset in the item."""
    shift = 1000 if baseline >= "04.00" else 0
    return make_item(
        folder,
        name,
        PLANETARY_COMPUTER,
        shift=shift,
        **{"s2:processing_baseline": baseline},
        **more,
    )


def write_static(folder, items):
    """A catalogue with a collection below, items in folders of their own, relative links."""
    links = []
    for item in items:
        path = folder / "collection" / item["id"] / "item.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{item['id']}/item.json"})
    collection = {
        "type": "Collection", "stac_version": "1.0.0", "id": "sentinel-2-l2a", "license": "other",
        "description": "x", "links": links,
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]},
                   "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]}},
    }  # fmt: skip
    (folder / "collection/collection.json").write_text(json.dumps(collection))
    catalog = {
        "type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "x",
        "links": [{"rel": "child", "href": "./collection/collection.json"}],
    }  # fmt: skip
    (folder / "catalog.json").write_text(json.dumps(catalog))


def add_api(server, items, page=2, fail=0):
    """Routes of a STAC API with paging by POST; the first `fail` searches are refused."""
    left = [fail]
    conformance = ["core", "item-search", "ogcapi-features", "item-search#query"]
    landing = {
        "type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "x",
        "conformsTo": [f"https://api.stacspec.org/v1.0.0/{name}" for name in conformance],
        "links": [
            {"rel": "root", "href": server.url},
            {"rel": "search", "href": f"{server.url}/search", "method": "POST",
             "type": "application/geo+json"},
            {"rel": "search", "href": f"{server.url}/search", "method": "GET",
             "type": "application/geo+json"},
        ],
    }  # fmt: skip

    def search(request):
        if left[0]:
            left[0] -= 1
            return Answer({"description": "busy"}, 503)
        body = request.json()
        found = [item for item in items if fits(item, body)]
        start = body.get("token", 0)
        links = []
        if start + page < len(found):
            following = {**body, "token": start + page}
            links = [{"rel": "next", "href": f"{server.url}/search", "method": "POST",
                      "body": following, "merge": False}]  # fmt: skip
        features = found[start : start + page]
        return Answer({"type": "FeatureCollection", "features": features, "links": links})

    server.routes += [("/?", lambda request: Answer(landing)), ("/search", search)]


def fits(item, body):
    properties = item["properties"]
    if item["collection"] not in body.get("collections", [item["collection"]]):
        return False
    if "datetime" in body:
        first, last = body["datetime"].split("/")
        if not first <= properties["datetime"] <= last:
            return False
    most = body.get("query", {}).get("eo:cloud_cover", {}).get("lte", 100)
    if properties["eo:cloud_cover"] > most:
        return False
    box = body.get("bbox")
    if box is None:
        return True
    west, south, east, north = item["bbox"]
    return west <= box[2] and east >= box[0] and south <= box[3] and north >= box[1]
