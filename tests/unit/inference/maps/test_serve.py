"""`polynya serve`: who gets what, and whether tiles, values and documents are right."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from signal import SIGINT
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from helpers.maps.inference_commands import run
from helpers.maps.made_maps import MASKS, random_codes
from helpers.maps.served_maps import ask, put_map, served
from helpers.programs.spark_cluster import BIN
from polynya.recipe.classes import SEA_ICE

WMTS = "{http://www.opengis.net/wmts/1.0}"
OWS = "{http://www.opengis.net/ows/1.1}"
PRODUCTS = ("probability", "entropy", "concentration")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    put_map(folder / "maps", "a_20200101", random_codes(300, 400, seed=1), PRODUCTS)
    put_map(folder / "maps", "b_20200102", random_codes(300, 400, seed=2), left=300)
    (folder / "secret.tif").write_bytes(b"secret")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with served(folder / "maps", origins=["http://friend.example"]) as server:
        yield server


def of_token(server, path):
    joint = "&" if "?" in path else "?"
    return f"{path}{joint}token={server.maps.admission.token}"


PATHS = (
    "/", "/session", "/viewer.js", "/gestures.js", "/wmts.xml", "/values/south-polar?x=0&y=0",
    "/maps/0/labels/tiles/south-polar/6/29/41.png", "/maps/0/labels/south-polar/tilejson.json",
    "/etc/passwd", "/docs", "/openapi.json", "/?token=", "/?token=%FF", "/session?token=x",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_anything_without_the_token(server, path):
    for headers in ({}, {"Cookie": "polynya-serve-1=x"}, {"Cookie": "=;;\x01"}):
        status, given, body = ask(server, path, **headers)
        assert (status, body) == (403, b"")
        assert "set-cookie" not in given


def test_other_hosts_and_origins_get_nothing(server):
    page = of_token(server, "/session")
    own = server.maps.address.rstrip("/")
    assert ask(server, page)[0] == 200
    assert ask(server, page, Origin=own)[0] == 200
    for headers in (
        {"host": "evil.example"}, {"host": "127.0.0.1.evil.example"}, {"host": "["},
        {"Origin": "http://evil.example"}, {"Origin": "null"},
        {"Origin": own.replace("127.0.0.1", "localhost")},
    ):  # fmt: skip
        status, given, body = ask(server, page, **headers)
        assert (status, body) == (403, b"")
        assert "access-control-allow-origin" not in given
    # The cookie alone is no good for a page of another site.
    _, given, _ = ask(server, of_token(server, "/"))
    assert "SameSite=Strict" in given["set-cookie"]
    cookie = given["set-cookie"].split(";")[0]
    assert ask(server, "/session", Cookie=cookie)[0] == 200
    for site in ("cross-site", "same-site"):
        assert ask(server, "/session", Cookie=cookie, Sec_Fetch_Site=site)[0] == 403
    # An allowed origin needs the token too.
    friend = {"Origin": "http://friend.example"}
    status, given, _ = ask(server, page, **friend)
    assert status == 200
    assert given["access-control-allow-origin"] == "http://friend.example"
    assert ask(server, "/session", **friend)[0] == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, page, method=method)[0] == 405


def test_only_the_given_maps_can_be_read(server, folder):
    for path in (
        "/maps/0/../../secret.tif", "/maps/..%2f..%2fsecret/labels/south-polar/tilejson.json",
        "/maps/9/labels/south-polar/tilejson.json", "/maps/0/nothing/south-polar/tilejson.json",
        f"/maps/{str(folder).replace('/', '%2F')}%2Fsecret.tif/labels/south-polar/tilejson.json",
        "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/viewer.js/../app.py", "/app.py",
        "/info?url=/etc/passwd", "/maps/0/labels/info", "/maps/0/labels/statistics",
        "/maps/0/labels/point/0,0", "/cog/tiles/0/0/0?url=http://127.0.0.1:1/x.tif", "/docs",
        "/openapi.json", "/maps/1/entropy-1/south-polar/tilejson.json", "/values/nowhere?x=0&y=0",
    ):  # fmt: skip
        status, _, body = ask(server, of_token(server, path))
        assert status == 404, path
        assert b"secret" not in body
    tile = "/maps/0/labels/tiles/south-polar/6/29/41.png"
    plain = ask(server, of_token(server, tile))[2]
    # What TiTiler's own routes would take is ignored here.
    more = f"{tile}?url=/etc/passwd&expression=b1*2&colormap_name=viridis&bidx=1&rescale=0,1"
    assert ask(server, of_token(server, more))[2] == plain
    assert ask(server, of_token(server, f"{tile}?tilesize=100000"))[0] == 422
    assert ask(server, of_token(server, "/values/south-polar?x=nan&y=0"))[0] == 422


def levels(server):
    session = json.loads(ask(server, of_token(server, "/session"))[2])
    first = session["sets"][0]
    return session, {level["id"]: level for level in first["levels"]}, first["tile"]


def test_a_tile_has_the_colours_of_its_classes(server):
    session, by_id, edge = levels(server)
    assert session["projection"] == "south-polar"
    # The level that is next finer than the pixels of 10 m: 8 m.
    level = by_id[12]
    assert level["pixel"] == 8
    left, bottom, right, top = session["maps"][0]["extents"]["south-polar"]
    assert (left, bottom, right, top) == (-300000, -1203000, -296000, -1200000)
    column = int((left + 700 - level["left"]) / (edge * level["pixel"]))
    row = int((level["top"] - (top - 700)) / (edge * level["pixel"]))
    path = f"/maps/0/labels/tiles/south-polar/12/{column}/{row}.png"
    status, headers, body = ask(server, of_token(server, path))
    assert (status, headers["content-type"]) == (200, "image/png")
    image = np.array(Image.open(io.BytesIO(body)).convert("RGBA"))
    assert image.shape == (edge, edge, 4)
    rows, columns = np.mgrid[:edge, :edge] + 0.5
    x = level["left"] + (column * edge + columns) * level["pixel"]
    y = level["top"] - (row * edge + rows) * level["pixel"]
    at = np.floor((top - y) / 10).astype(int), np.floor((x - left) / 10).astype(int)
    inside = (at[0] >= 0) & (at[0] < 300) & (at[1] >= 0) & (at[1] < 400)
    codes = np.full((edge, edge), 255, np.uint8)
    codes[inside] = random_codes(300, 400, seed=1)[at[0][inside], at[1][inside]]
    shown = np.array([[*c.color, 255] for c in SEA_ICE.classes])
    known = codes != 255
    assert known.any()
    assert (image[known] == shown[codes[known]]).all(axis=1).mean() > 0.999
    assert (image[~known][:, 3] == 0).mean() > 0.999


def test_measures_have_tiles_and_a_click_gives_values(server):
    session, _, _ = levels(server)
    titles = [layer["title"] for layer in session["layers"]]
    assert titles[:5] == [
        "Classes", "Probability: open_water", "Probability: thin_ice", "Probability: thick_ice",
        "Entropy",
    ]  # fmt: skip
    assert "Concentration: total" in titles
    assert session["layers"][0]["legend"] == [["#00ff00", "Open water"],
        ["#0000ff", "Thin/young ice"], ["#ff0000", "Thick/snow-covered ice"]]  # fmt: skip
    pictures = set()
    for layer in ("labels", "probability-1", "probability-2", "entropy-1", "concentration-1"):
        path = f"/maps/0/{layer}/tiles/south-polar/11/950/1317.png"
        status, _, body = ask(server, of_token(server, path))
        assert status == 200, layer
        pictures.add(body)
    assert len(pictures) == 5
    codes = random_codes(300, 400, seed=1)
    row, column = np.argwhere(codes == 2)[0]
    place = f"x={-300000 + 10 * column + 5}&y={-1200000 - 10 * row - 5}"
    found = json.loads(ask(server, of_token(server, f"/values/south-polar?{place}"))[2])
    assert found["place"][1] == pytest.approx(-78.6, abs=0.3)
    values = found["maps"][0]["values"]
    assert values["labels"] == ["Thick/snow-covered ice"]
    assert values["Probability of thick_ice"] > values["Probability of thin_ice"]
    assert {"Normalised entropy", "Total", "Valid share"} <= values.keys()
    nowhere = json.loads(ask(server, of_token(server, "/values/south-polar?x=0&y=0"))[2])
    assert nowhere["maps"] == []


def test_documents_for_gis_name_tiles_that_are_there(server):
    root = ET.fromstring(ask(server, of_token(server, "/wmts.xml"))[2])
    names = [one.text for one in root.iterfind(f".//{WMTS}Layer/{OWS}Identifier")]
    assert {"0-labels", "1-labels", "0-probability-3"} <= set(names)
    assert "1-entropy-1" not in names
    sets = {
        one.findtext(f"{OWS}Identifier"): one.findtext(f"{OWS}SupportedCRS")
        for one in root.iterfind(f"{WMTS}Contents/{WMTS}TileMatrixSet")
    }
    assert sets["south-polar"] == "urn:ogc:def:crs:EPSG::3031"
    template = root.find(f".//{WMTS}ResourceURL").get("template")
    values = {"TileMatrixSet": "south-polar", "TileMatrix": 11, "TileCol": 950, "TileRow": 1317}
    path = template.format(**values).removeprefix(server.maps.address)
    assert ask(server, f"/{path}")[0] == 200
    urls = list(server.maps.urls().values())
    tilejson = json.loads(ask(server, "/" + urls[2].removeprefix(server.maps.address))[2])
    assert "token=" in tilejson["tiles"][0]
    assert tilejson["bounds"][1] < -78
    xyz = urls[1].format(z=0, x=0, y=0).removeprefix(server.maps.address)
    assert ask(server, f"/{xyz}")[0] == 200


def test_masks_are_layers_of_their_own_and_the_north_has_its_projection(tmp_path):
    codes = random_codes(60, 80, classes=MASKS)
    put_map(tmp_path, "m_20200101", codes, classes=MASKS, crs="EPSG:3413")
    with served(tmp_path) as server:
        session, _, _ = levels(server)
    assert session["projection"] == "north-polar"
    assert [layer["title"] for layer in session["layers"]] == ["Any ice", "Melt water", "Thick ice"]


def test_the_command_serves_until_it_is_interrupted(folder, tmp_path):
    words = [sys.executable, str(BIN / "polynya"), "serve", str(folder / "maps"),
             str(folder / "gone.tif"), "--no-browser"]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        said = []
        while not said or "Ctrl-C" not in said[-1]:
            said.append(one.stdout.readline())
            assert said[-1], one.stderr.read()
        assert said[0].startswith("2 maps, 1 left out")
        assert "token=" in said[1]
        assert any(line.startswith("WMTS") for line in said)
        one.send_signal(SIGINT)
        rest, errors = one.communicate(timeout=60)
    assert rest == "The server has ended.\n"
    assert one.returncode == 0
    assert "There is no map" in errors
    assert "Traceback" not in errors
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no maps" in run("serve", empty, expect=1).output
    said = run("serve", folder / "maps", "--tms", "round", expect=1).output
    assert "south-polar" in said
    assert "origin" in run("serve", folder / "maps", "--allow-origin", "*", expect=1).output
