"""The server of `polynya serve`: who may ask, and for what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pyproj import Transformer
from rio_tiler.errors import TileOutsideBounds
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers

from inference.maps.grids import to_crs
from inference.maps.made_map import MadeMap
from inference.serve.layers import Layer, ServedMap, layers_of
from inference.serve.page import POLICY, make_page
from inference.serve.tiles import (
    MERCATOR,
    choose_projection,
    code_of,
    described_set,
    empty_tile,
    extent_in,
    tile_routes,
    tile_sets,
)
from inference.serve.wmts import capabilities
from polynya.errors import PolynyaError
from polynya.pages.admission import Admission
from polynya.pages.files import SHARED, shared_file

_STATIC = {"/viewer.js": "text/javascript", "/viewer.css": "text/css"}
_HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_ASKED = ("host", "origin", "cookie", "sec-fetch-site")

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class MapServer:
    """Maps, their layers and sets of tiles, and the application that serves them."""

    def __init__(
        self, maps: Sequence[MadeMap], admission: Admission, address: str, projection: str | None
    ) -> None:
        """Take maps of one scheme.

        Args:
            maps: The maps, at least one.
            admission: Who may ask.
            address: URL of the server, with / at the end.
            projection: Name of the set of tiles of the page; default: by the place of the maps.
        """
        self.maps = {f"{number}": ServedMap(f"{number}", made) for number, made in enumerate(maps)}
        self.layers = {layer.id: layer for layer in layers_of(maps)}
        self.address, self.admission = address, admission
        self.projection = projection or choose_projection(maps)
        self._sets = tile_sets()

    @property
    def first_layer(self) -> Layer:
        return next(iter(self.layers.values()))

    def urls(self) -> dict[str, str]:
        """Addresses to give to a GIS, with the token, by what they are."""
        token = f"token={self.admission.token}"
        of_map = f"{self.address}maps/0/{self.first_layer.id}"
        return {
            "WMTS (QGIS, any projection)": f"{self.address}wmts.xml?{token}",
            "XYZ of the first map (Web Mercator)": (
                f"{of_map}/tiles/{MERCATOR}/{{z}}/{{x}}/{{y}}.png?{token}"
            ),
            "TileJSON of the first map": (
                f"{of_map}/{MERCATOR}/tilejson.json?tilesize=256&tile_format=png&{token}"
            ),
        }

    def described(self) -> dict[str, Any]:
        """Describe everything for the page."""
        names = dict.fromkeys([self.projection, *self._sets.list()])
        return {
            "projection": self.projection,
            "sets": [described_set(self._sets, name) for name in names],
            "layers": [
                {"id": layer.id, "title": layer.title, "legend": layer.legend}
                for layer in self.layers.values()
            ],
            "maps": [
                {
                    "id": served.name,
                    "title": served.made.id,
                    "layers": [layer.id for layer in self.layers.values() if served.file(layer)],
                    "extents": {name: extent_in(served.made, self._sets, name) for name in names},
                }
                for served in self.maps.values()
            ],
        }

    def values(self, name: str, x: float, y: float) -> dict[str, Any]:
        """Read what all maps say of a place.

        Args:
            name: Set of tiles.
            x: In its coordinate system.
            y: In its coordinate system.
        """
        to_degrees: Transformer = to_crs(code_of(self._sets.get(name)), "EPSG:4326")
        lon, lat = to_degrees.transform(x, y)
        if not (-360 <= lon <= 360 and -90 <= lat <= 90):
            return {"place": None, "maps": []}
        found = [
            {"id": served.name, "title": served.made.id, "values": values}
            for served in self.maps.values()
            if (values := served.values((lon, lat)))
        ]
        return {"place": [round((lon + 180) % 360 - 180, 6), round(lat, 6)], "maps": found}

    def application(self) -> Guard:
        """Make the application: its routes behind the guard."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        routes = tile_routes(self.maps, self.layers, self._sets)
        app.include_router(routes, prefix="/maps/{map_id}/{layer}")
        add_exception_handlers(app, DEFAULT_STATUS_CODES)
        # Programs ask for whole rectangles of tiles; one beside the map is no error.
        empty = empty_tile()
        app.add_exception_handler(
            TileOutsideBounds, lambda request, error: Response(empty, media_type="image/png")
        )

        @app.get("/")
        def page() -> HTMLResponse:
            return HTMLResponse(make_page([served.made.id for served in self.maps.values()]))

        @app.get("/session")
        def session() -> JSONResponse:
            return JSONResponse(self.described())

        @app.get("/values/{name}")
        def values(
            name: str,
            x: Annotated[float, Query(allow_inf_nan=False)],
            y: Annotated[float, Query(allow_inf_nan=False)],
        ) -> JSONResponse:
            if name not in self._sets.list():
                raise HTTPException(404)
            try:
                return JSONResponse(self.values(name, x, y))
            except PolynyaError as error:
                return JSONResponse({"problem": str(error)}, 500)

        @app.get("/wmts.xml")
        def wmts() -> Response:
            names = list(dict.fromkeys([self.projection, *self._sets.list()]))
            content = capabilities(
                list(self.maps.values()),
                list(self.layers.values()),
                self._sets,
                names,
                self.address,
                self.admission.token,
            )
            return Response(content, media_type="application/xml")

        for path, kind in {**SHARED, **_STATIC}.items():
            app.add_api_route(path, _file_route(path, kind))
        return Guard(app, self.admission)


def _file_route(path: str, kind: str) -> Callable[[], Response]:
    def answer() -> Response:
        if path in SHARED:
            return Response(shared_file(path), media_type=kind)
        name = path.removeprefix("/")
        content = files("inference.serve").joinpath("static", name).read_bytes()
        return Response(content, media_type=kind)

    return answer


class Guard:
    """ASGI application around another: refuses with an empty answer who may not ask."""

    def __init__(self, app: Any, admission: Admission) -> None:
        """Take the application and who may ask it."""
        self._app, self._admission = app, admission

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return  # There is neither a start to wait for nor a socket to talk over.
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            if (key := name.decode("latin-1")) in _ASKED:
                headers.setdefault(key.title(), value.decode("latin-1"))
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405)
            return
        if not self._admission.allows(headers, tokens[0] if tokens else None, changes=False):
            await _refuse(send, 403)
            return
        origin = headers.get("Origin")
        is_guest = self._admission.is_guest(origin)
        more = dict(_HEADERS)
        if is_guest and origin is not None:
            more |= {"access-control-allow-origin": origin, "vary": "origin"}
        else:
            more |= {"cross-origin-resource-policy": "same-origin"}
        if scope["path"] == "/":
            more["set-cookie"] = self._admission.cookie

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                pairs = [(key.encode(), text.encode()) for key, text in more.items()]
                message = {**message, "headers": [*message.get("headers", []), *pairs]}
            await send(message)

        await self._app(scope, receive, send_more)


async def _refuse(send: Send, status: int) -> None:
    length = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body", "body": b""})
