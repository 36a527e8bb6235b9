"""The REST calls of Earth Engine that listing and fetching use, served on 127.0.0.1.

Methods and fields: https://developers.google.com/earth-engine/reference/rest. The client `ee`
learns the addresses from the discovery document, as from the real service.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from helpers.servers.web_server import Answer, Request, WebServer

MAX_REQUEST_BYTES = 50_331_648
TOKEN = "the-token"
ORIGIN = (499_980.0, 2_000_040.0)
COLLECTION = "projects/earthengine-public/assets/COPERNICUS/S2_HARMONIZED"


@dataclass
class Image:
    """An image of the collection."""

    name: str
    pixels: dict[str, np.ndarray]
    """uint16 (H, W) of each band at 10 m; a coarser band as the service interpolates it."""
    resolutions: dict[str, int] = field(default_factory=dict)
    """Pixel size of coarser bands in metres."""
    start: str = "2019-11-03T19:09:31.024Z"
    cloud: float = 10.0
    baseline: str = "02.08"
    extra: dict[str, Any] = field(default_factory=dict)

    def asset(self, parent: str) -> dict[str, Any]:
        """Its entry in a listing."""
        kind = {"precision": "INT", "range": {"max": 65535}}
        return {
            "type": "IMAGE",
            "name": f"{parent}/{self.name}",
            "id": f"{parent.partition('/assets/')[2]}/{self.name}",
            "startTime": self.start,
            "endTime": self.start,
            "bands": [
                {"id": band, "dataType": kind, "grid": self.grid(band)} for band in self.pixels
            ],
            "properties": {
                "PRODUCT_ID": f"S2A_MSIL1C_{self.name}",
                "PROCESSING_BASELINE": self.baseline,
                "MEAN_SOLAR_AZIMUTH_ANGLE": 48.5,
                "MEAN_SOLAR_ZENITH_ANGLE": 60.0,
                "CLOUDY_PIXEL_PERCENTAGE": self.cloud,
                "MGRS_TILE": "02CMU",
                **self.extra,
            },
        }

    def grid(self, band: str) -> dict[str, Any]:
        """Grid of a band in a listing."""
        size = self.resolutions.get(band, 10)
        height, width = self.pixels[band].shape
        # As in JSON of protocol buffers, coefficients that are 0 are left out.
        affine = {"scaleX": size, "translateX": ORIGIN[0], "scaleY": -size, "translateY": ORIGIN[1]}
        return {
            "crsCode": "EPSG:32702",
            "affineTransform": affine,
            "dimensions": {"width": width * 10 // size, "height": height * 10 // size},
        }


@dataclass
class EarthEngine:
    """State of the served Earth Engine."""

    server: WebServer
    images: list[Image]
    parent: str = COLLECTION
    page: int = 2
    trouble: list[Callable[[Answer], Answer]] = field(default_factory=list)
    """What happens to the next answers with pixels."""
    block_after: int | None = None
    """After so many answers with pixels the server is silent, until `released`."""
    released: threading.Event = field(default_factory=threading.Event)
    parts: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    """Image, column, row, width and height of each answer with pixels that was sent whole."""
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    """Of each listing."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_routes(self) -> None:
        """Make the server answer as Earth Engine."""
        self.server.routes += [
            (r"/token", lambda request: Answer({"access_token": TOKEN, "expires_in": 3600})),
            (r"/\$discovery/rest", lambda request: Answer(_discovery(self.server.url))),
            (r"/v1/projects/[^/]+/algorithms", self._guarded(lambda request: Answer(_ALGORITHMS))),
            (r"/v1/projects/.*:listAssets", self._guarded(self._list)),
            (r"/v1/projects/[^/]+/image:computePixels", self._guarded(self._pixels)),
        ]

    def _guarded(self, route: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        def answer(request: Request) -> Answer:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return _error(401, "no token")
            if request.headers.get("x-http-method-override") == "GET":
                # So the client sends queries that are too long for an address.
                request.query = parse_qs(request.body.decode())
            return route(request)

        return answer

    def _list(self, request: Request) -> Answer:
        if request.path != f"/v1/{self.parent}:listAssets":
            return _error(404, "Collection asset not found.")
        with self.lock:
            self.queries.append(request.query)
        wanted = request.query.get("filter", [""])[0]
        found = [image for image in self.images if _fits(image, wanted)]
        first = int(request.query.get("pageToken", ["0"])[0])
        body: dict[str, Any] = {
            "assets": [image.asset(self.parent) for image in found[first : first + self.page]]
        }
        if first + self.page < len(found):
            body["nextPageToken"] = str(first + self.page)
        return Answer(body)

    def _pixels(self, request: Request) -> Answer:
        body = request.json()
        name, bands, smooth, expression = _evaluate(body["expression"])
        with_smooth = ["Image.addBands", "Image.round", "Image.resample", "Image.select"]
        assert expression == [
            "Image.toUint16", "Image.unmask", *with_smooth * bool(smooth), "Image.select",
            "Image.load",
        ]  # fmt: skip
        assert body["fileFormat"] == "GEO_TIFF"
        image = next(image for image in self.images if name.endswith("/" + image.name))
        assert smooth == [band for band in bands if band in image.resolutions]
        size, affine = body["grid"]["dimensions"], body["grid"]["affineTransform"]
        width, height = size["width"], size["height"]
        if width * height * len(bands) * 2 > MAX_REQUEST_BYTES:
            return _error(400, "Total request size must be less than or equal to 50331648 bytes.")
        col = round((affine["translateX"] - ORIGIN[0]) / 10)
        row = round((affine["translateY"] - ORIGIN[1]) / -10)
        assert (affine["scaleX"], affine["scaleY"]) == (10, -10)
        pixels = np.stack(
            [image.pixels[band][row : row + height, col : col + width] for band in bands]
        )
        a, b, c, d, e, f = (affine[key] for key in _AFFINE)
        with self.lock:
            trouble = self.trouble.pop(0) if self.trouble else None
            silent = self.block_after is not None and len(self.parts) >= self.block_after
            if trouble is None and not silent:
                self.parts.append((image.name, col, row, width, height))
        if silent and not self.released.wait(60):
            return _error(503, "silent for too long")
        answer = Answer(_geotiff(pixels, Affine(a, b, c, d, e, f)))
        return trouble(answer) if trouble else answer


def write_key(folder: Path, token_uri: str) -> Path:
    """A key file of a service account whose tokens come from a local server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    content = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "1",
        "private_key": text.decode(),
        "client_email": "robot@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path = folder / "key.json"
    path.write_text(json.dumps(content))
    return path


def _evaluate(expression: dict[str, Any]) -> tuple[str, list[str], list[str], list[str]]:
    """Meaning of an expression.

    Returns:
        Id of the image, its bands, those of them that are interpolated, and the functions from
        outside in.
    """
    values, functions, known = expression["values"], [], {}
    selected: list[list[str]] = []

    def visit(node: dict[str, Any]) -> None:
        if "valueReference" in node:
            visit(values[node["valueReference"]])
        elif "functionInvocationValue" in node:
            call = node["functionInvocationValue"]
            functions.append(call["functionName"])
            for key, argument in call["arguments"].items():
                if "valueReference" in argument:
                    argument = values[argument["valueReference"]]
                if key == "bandSelectors":
                    selected.append(_constant(argument, values))
                elif "constantValue" in argument:
                    known[key] = argument["constantValue"]
                elif key == "dstImg":
                    pass  # The image without the interpolated bands; `srcImg` is made of it.
                elif key in ("input", "image", "value", "srcImg") and (
                    call["functionName"] != "Image.constant"
                ):
                    visit(argument)

    visit(values[expression["result"]])
    assert known["sameFootprint"] is False
    chain = [name for name in functions if name != "Image.constant"]
    if len(selected) > 1:
        assert (known["mode"], known["overwrite"]) == ("bilinear", True)
    smooth = [band for bands in selected[:-1] for band in bands]
    return known["id"], selected[-1], smooth, chain


def _constant(argument: dict[str, Any], values: dict[str, Any]) -> Any:
    """A constant; the client shares equal parts of lists between them."""
    if "valueReference" in argument:
        return _constant(values[argument["valueReference"]], values)
    if "arrayValue" in argument:
        return [_constant(one, values) for one in argument["arrayValue"]["values"]]
    return argument["constantValue"]


def _fits(image: Image, wanted: str) -> bool:
    first = re.search(r'startTime >= "([^"]+)"', wanted)
    last = re.search(r'endTime < "([^"]+)"', wanted)
    cloud = re.search(r"properties\.CLOUDY_PIXEL_PERCENTAGE<=(\S+)", wanted)
    return (
        (first is None or _time(image.start) >= _time(first[1]))
        and (last is None or _time(image.start) < _time(last[1]))
        and (cloud is None or image.cloud <= float(cloud[1]))
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _geotiff(pixels: np.ndarray, transform: Affine) -> bytes:
    count, height, width = pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype,
            crs="EPSG:32702", transform=transform, compress="deflate", zlevel=1,
        ) as target:  # fmt: skip
            target.write(pixels)
        return bytes(memory.read())


def _error(status: int, message: str) -> Answer:
    return Answer({"error": {"code": status, "message": message, "status": "X"}}, status)


_AFFINE = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")


_OPTIONAL = ("version", "newNames", "sameFootprint", "mode", "names", "overwrite")


def _algorithm(name: str, **arguments: str) -> dict[str, Any]:
    return {
        "name": f"algorithms/{name}",
        "description": "",
        "returnType": "Image",
        "arguments": [
            {"argumentName": key, "type": kind, "optional": key in _OPTIONAL}
            for key, kind in arguments.items()
        ],
    }


_ALGORITHMS = {
    "algorithms": [
        _algorithm("Image.load", id="String", version="Long"),
        _algorithm("Image.constant", value="Object"),
        _algorithm("Image.select", input="Image", bandSelectors="List", newNames="List"),
        _algorithm("Image.resample", image="Image", mode="String"),
        _algorithm("Image.round", value="Image"),
        _algorithm(
            "Image.addBands", dstImg="Image", srcImg="Image", names="List", overwrite="Boolean"
        ),
        _algorithm("Image.unmask", input="Image", value="Image", sameFootprint="Boolean"),
        _algorithm("Image.toUint16", value="Image"),
    ]
}


def _discovery(url: str) -> dict[str, Any]:
    def method(name: str, http: str, path: str, of: str, **more: Any) -> dict[str, Any]:
        place = {"type": "string", "required": True, "location": "path", "pattern": "^projects/.*$"}
        query = {key: {"type": "string", "location": "query"} for key in more.pop("query", ())}
        return {
            "id": f"earthengine.projects.{name}",
            "path": path,
            "flatPath": path,
            "httpMethod": http,
            "parameters": {of: place, **query},
            "parameterOrder": [of],
            **more,
        }

    paging = {"nextPageToken": {"type": "string"}}
    schemas = {
        name: {"id": name, "type": "object", "properties": properties}
        for name, properties in (
            (
                "ListAssetsResponse",
                {**paging, "assets": {"type": "array", "items": {"type": "any"}}},
            ),
            ("ListAlgorithmsResponse", {"algorithms": {"type": "array", "items": {"type": "any"}}}),
            ("ComputePixelsRequest", {"expression": {"type": "any"}}),
            ("HttpBody", {"data": {"type": "string"}}),
        )
    }
    listing = method(
        "assets.listAssets", "GET", "v1/{+parent}:listAssets", "parent",
        query=("filter", "pageToken", "view"), response={"$ref": "ListAssetsResponse"},
    )  # fmt: skip
    algorithms = method(
        "algorithms.list", "GET", "v1/{+parent}/algorithms", "parent",
        response={"$ref": "ListAlgorithmsResponse"},
    )  # fmt: skip
    pixels = method(
        "image.computePixels", "POST", "v1/{+project}/image:computePixels", "project",
        request={"$ref": "ComputePixelsRequest"}, response={"$ref": "HttpBody"},
    )  # fmt: skip
    return {
        "kind": "discovery#restDescription",
        "name": "earthengine",
        "version": "v1",
        "id": "earthengine:v1",
        "rootUrl": url + "/",
        "servicePath": "",
        "baseUrl": url + "/",
        "batchPath": "batch",
        "parameters": {"prettyPrint": {"type": "boolean", "location": "query"}},
        "schemas": schemas,
        "resources": {
            "projects": {
                "resources": {
                    "algorithms": {"methods": {"list": algorithms}},
                    "assets": {"methods": {"listAssets": listing}},
                    "image": {"methods": {"computePixels": pixels}},
                }
            }
        },
    }
