"""A running `polynya serve` in this process, and maps for it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from helpers.maps.made_maps import make_scene, write_all
from inference.maps.made_map import open_maps
from inference.products.paths import ProductPaths
from inference.serve.running import RunningServer, open_server
from polynya.recipe.classes import SEA_ICE


def put_map(
    folder: Path,
    name: str,
    codes: np.ndarray,
    products: Sequence[str] = (),
    classes: Any = SEA_ICE,
    *,
    top: int = 0,
    left: int = 0,
    crs: str = "EPSG:3031",
    size: float = 10.0,
    origin: tuple[float, float] = (-300000, -1200000),
) -> ProductPaths:
    """Write a map of codes on a grid of which all others of the same crs and size have pixels."""
    transform = (size, 0.0, origin[0] + left * size, 0.0, -size, origin[1] - top * size)
    scene = replace(make_scene(*codes.shape, crs, transform), id=name, uri=f"/data/{name}.tif")
    return write_all(folder, scene, codes, products, classes=classes)


@contextmanager
def served(*patterns: Path, **options: Any) -> Iterator[RunningServer]:
    """Serve maps; the server ends with the block."""
    maps, bad = open_maps([str(pattern) for pattern in patterns])
    assert not bad
    with open_server(maps, **options) as server:
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(30)


def ask(
    server: RunningServer,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer, on a connection of its own."""
    port = int(server.maps.address.rstrip("/").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found
