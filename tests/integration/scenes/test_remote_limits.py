"""Rasters on servers that lie or say nothing: memory and time have limits, others are read."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from helpers.servers.bad_servers import (
    bad_server,
    busy,
    endless_body,
    gzip_bomb,
    silent,
    to_itself,
    trickle_headers,
)
from polynya.errors import SceneError
from polynya.native import import_apart
from polynya.rasters import opening as rasters
from polynya.rasters import relay
from polynya.rasters.opening import opened_raster
from polynya.scenes.identity import raster_digest
from polynya.storage.stores import server_headers

MEBIBYTES = b"\0" * 2**20
# Linux counts in ru_maxrss what the parent had when it started the process; VmHWM is its own.
READ = """
import json, sys
from pathlib import Path
from polynya.errors import PolynyaError
from polynya.rasters.opening import opened_raster
said = ""
try:
    with opened_raster(sys.argv[1], "anywhere") as source:
        source.read()
except PolynyaError as error:
    said = str(error)
most = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps([said, int(most) // 1024]))
"""
OPTIONS = {
    "GDAL_HTTP_MAX_RETRY": "1", "GDAL_HTTP_RETRY_DELAY": "0.1", "GDAL_HTTP_TIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "2", "no_proxy": "127.0.0.1", "NO_PROXY": "*",
}  # fmt: skip


READ_LAND = READ.replace(
    """    with opened_raster(sys.argv[1], "anywhere") as source:
        source.read()
""",
    """    options = SceneOptions(land=sys.argv[2])
    read_scene(open_scene(sys.argv[1], options))
""",
).replace(
    "from polynya.rasters.opening import opened_raster",
    "from polynya.recipe.scene import SceneOptions\n"
    "from polynya.scenes.reading import open_scene, read_scene",
)


def read_in_a_process(*uris, program=READ, **environment):
    """The sentence of a failed reading, and the MiB that it took at most."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, uris)],
        env={**os.environ, **OPTIONS, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said, most = json.loads(done.stdout)
    return said, most


def chunks(connection):
    """Lie about the length, and send chunks without an end."""
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nAccept-Ranges: bytes\r\n"
        b"Content-Length: 40000\r\nConnection: close\r\n\r\n"
    )
    while True:
        connection.sendall(b"100000\r\n" + MEBIBYTES + b"\r\n")


def part(connection):
    """Say that this is the wanted part, and send without an end."""
    connection.sendall(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-16383/1000000\r\n"
        b"Connection: close\r\n\r\n"
    )
    while True:
        connection.sendall(MEBIBYTES)


def headers(connection):
    """Send headers without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Long: " + b"x" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    "behave",
    [chunks, part, headers, endless_body, gzip_bomb, busy, to_itself],
    ids=lambda one: one.__name__,
)
def test_a_lying_server_costs_little_memory_and_is_one_sentence(behave):
    with bad_server(behave) as url:
        said, most = read_in_a_process(f"{url}/a.tif")
    assert f"{url}/a.tif can't be read (" in said
    assert most < 1000


def test_what_virtual_rasters_refer_to_has_the_same_limits(tmp_path):
    with bad_server(chunks) as url:
        (tmp_path / "a.vrt").write_text(
            '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
            f"<SimpleSource><SourceFilename>/vsicurl/{url}/a.tif</SourceFilename></SimpleSource>"
            "</VRTRasterBand></VRTDataset>"
        )
        said, most = read_in_a_process(str(tmp_path / "a.vrt"))
    assert "a.vrt can't be read" in said
    assert most < 1000


def test_an_object_store_has_the_same_limits():
    with bad_server(chunks) as url:
        said, most = read_in_a_process(
            "s3://bucket/a.tif", AWS_ENDPOINT_URL=url, AWS_NO_SIGN_REQUEST="YES"
        )
    assert "s3://bucket/a.tif can't be read" in said
    assert most < 1000


@pytest.mark.parametrize("behave", [chunks, part, silent], ids=lambda one: one.__name__)
def test_polygons_of_land_have_the_same_limits(behave, write_scene):
    scene = write_scene("a.tif", np.full((20, 20, 3), 9, np.uint8))
    with bad_server(behave) as url:
        said, most = read_in_a_process(scene, f"{url}/coast.gpkg", program=READ_LAND)
    assert f"The map of land {url}/coast.gpkg can't be used (" in said
    assert most < 1000


class FileServer:
    """A server of one TIFF file that gives parts; names with 'bad' get no answer."""

    def __init__(self, content, honest=10**9):
        """Serve content; after `honest` answers with parts each part has no end."""
        self.content, self.honest, self.asked = content, honest, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as file:
                while line := file.readline():
                    method, target, _ = line.split()
                    fields = dict(
                        field.strip().lower().split(b": ", 1)
                        for field in iter(file.readline, b"\r\n")
                    )
                    self.answer(connection, method, target, fields.get(b"range"))
        except OSError:
            pass

    def answer(self, connection, method, target, wanted):
        self.asked.append(target.decode())
        size = len(self.content)
        if b"bad" in target:
            threading.Event().wait(30)
        if not target.endswith((b".tif", b".gpkg")):
            # What GDAL looks for beside them.
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        if method == b"HEAD" or wanted is None:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n" % size
            )
            if method != b"HEAD":
                connection.sendall(self.content)
            return
        first, _, last = wanted.removeprefix(b"bytes=").partition(b"-")
        first, last = int(first), min(int(last or size), size - 1)
        place = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, size)
        self.honest -= 1
        if self.honest < 0:
            connection.sendall(b"HTTP/1.1 206 Part\r\n" + place + b"\r\n")
            while True:
                connection.sendall(MEBIBYTES)
        body = self.content[first : last + 1]
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 206 Part\r\n" + place + length + body)


@pytest.fixture
def serve(tmp_path):
    """Factory of servers of a large tiled file with noise."""
    path = tmp_path / "noise.tif"
    noise = np.random.default_rng(0).integers(1, 255, (3, 512, 512), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", height=512, width=512, count=3, dtype="uint8", tiled=True,
        blockxsize=128, blockysize=128, crs="EPSG:32760", transform=from_origin(5e5, 2e6, 10, 10),
    ) as file:  # fmt: skip
        file.write(noise)
    servers = []

    def start(**details):
        servers.append(FileServer(path.read_bytes(), **details))
        return servers[-1]

    start.noise = noise
    yield start
    for server in servers:
        server.listener.close()
    rasters._silent.clear()


def test_an_honest_server_is_read_as_it_is(serve):
    server = serve()
    with opened_raster(f"{server.url}/a.tif") as source:
        assert (source.read() == serve.noise).all()


def test_polygons_of_land_come_from_an_honest_server(tmp_path, write_scene):
    # The left half of a scene of 20 pixels of 10 m.
    ring = shapely.box(-300_000, -1_201_000, -299_900, -1_199_000)
    import_apart("pyogrio").raw.write(
        str(tmp_path / "coast.gpkg"), geometry=shapely.to_wkb(np.array([ring])), field_data=[],
        fields=[], geometry_type="Polygon", crs="EPSG:3031",
    )  # fmt: skip
    server = FileServer((tmp_path / "coast.gpkg").read_bytes())
    scene = write_scene("a.tif", np.full((20, 20, 3), 9, np.uint8))
    # In a process of its own, as pyogrio lets no other thread run while it waits.
    code = (
        "import sys; from polynya.recipe.scene import SceneOptions;"
        "from polynya.scenes.reading import open_scene, read_scene;"
        "scene = open_scene(sys.argv[1], SceneOptions(land=sys.argv[2]));"
        "print(*read_scene(scene)[1].sum(axis=0))"
    )
    words = [sys.executable, "-c", code, scene, f"{server.url}/coast.gpkg"]
    done = subprocess.run(
        words, env={**os.environ, **OPTIONS}, capture_output=True, text=True, check=True
    )
    server.listener.close()
    assert done.stdout.split() == 10 * ["0"] + 10 * ["20"]


def test_a_server_that_begins_to_lie_later_costs_little_memory(serve):
    server = serve(honest=1)
    _, most = read_in_a_process(f"{server.url}/a.tif")
    assert server.honest < 0
    assert most < 1000


def test_a_proxy_of_the_user_stays_in_use(serve):
    # A proxy is asked for whole addresses.
    proxy = serve()
    said, _ = read_in_a_process("http://scenes.invalid/a.tif", http_proxy=proxy.url, no_proxy="")
    said, _ = read_in_a_process(
        "http://scenes.invalid/a.tif", GDAL_HTTP_PROXY=proxy.url, NO_PROXY=""
    )
    assert said == ""
    assert set(proxy.asked) == {"http://scenes.invalid/a.tif"}


def test_one_silent_file_leaves_the_others_of_its_server_readable(serve, monkeypatch):
    server = serve()
    monkeypatch.setattr(rasters, "_QUESTION", 0.5)
    rasters._silent[f"/vsicurl/{server.url}/bad0.tif"] = time.monotonic()
    with pytest.raises(SceneError, match="bad0.tif can't be read, as its server doesn't answer"):
        opened_raster(f"{server.url}/bad0.tif").__enter__()
    assert server.asked == []
    with pytest.raises(SceneError, match="bad1.tif can't be read, as its server doesn't answer"):
        opened_raster(f"{server.url}/bad1.tif").__enter__()
    assert server.asked == ["/bad1.tif"]
    with opened_raster(f"{server.url}/good.tif") as source:
        assert (source.read() == serve.noise).all()


def test_a_server_that_takes_no_connection_any_more_is_not_asked_for_its_other_files():
    url = "http://127.0.0.1:1"  # Nothing listens there.
    rasters._silent[f"/vsicurl/{url}/a.tif"] = time.monotonic()
    for name in ("b.tif", "c.tif"):
        with pytest.raises(SceneError, match="its server doesn't answer"):
            opened_raster(f"{url}/{name}").__enter__()
    assert url in rasters._silent
    assert f"/vsicurl/{url}/c.tif" not in rasters._silent
    rasters._silent.clear()


def test_headers_that_come_byte_by_byte_end(monkeypatch):
    with bad_server(trickle_headers) as url:
        with pytest.raises(TimeoutError):
            server_headers(f"/vsicurl/{url}/a.tif", 0.3)
        monkeypatch.setattr(
            "polynya.scenes.identity.server_headers", lambda path: server_headers(path, 0.3)
        )
        assert len(raster_digest(f"{url}/a.tif")) == 64


def test_only_who_knows_the_password_uses_the_relay(serve):
    server = serve()
    address = relay.proxy_settings({})["GDAL_HTTP_PROXY"]
    port = int(address.rpartition(":")[2])
    assert address.startswith("socks5h://polynya:")
    for greeting in (b"\5\1\0", b"\5\1\2\1\7polynya\5wrong"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            target = int(server.url.rpartition(":")[2]).to_bytes(2, "big")
            connection.sendall(
                greeting + b"\5\1\0\1\x7f\0\0\1" + target + b"GET / HTTP/1.0\r\n\r\n"
            )
            assert b"HTTP" not in connection.makefile("rb").read()
    assert server.asked == []


def test_the_relay_ends_with_its_process():
    code = (
        "import os, signal; from polynya.rasters.relay import proxy_settings;"
        "print(proxy_settings({})['GDAL_HTTP_PROXY'], flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    port = int(done.stdout.rpartition(":")[2])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    raise AssertionError("the relay still runs")


def test_a_relay_that_was_killed_is_started_again(serve):
    server = serve()
    relay._running(None, None)
    killed = relay._started(os.getpid(), None, None)[0]
    killed.kill()
    killed.wait()
    with opened_raster(f"{server.url}/again.tif") as source:
        assert (source.read() == serve.noise).all()
