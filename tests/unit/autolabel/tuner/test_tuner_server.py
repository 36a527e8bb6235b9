"""Who gets what from the server of `polynya thresholds`; saving; its command."""

from __future__ import annotations

import http.client
import json
import zlib

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from typer.testing import CliRunner

from autolabel import filter_image
from autolabel.thresholds.profiles import PARTIAL_NIGHT, ROSS_SEA_SUMMER
from autolabel.tuner.pyramid import Pyramid, every
from autolabel.tuner.views import FilteredViews
from data_samples import make_scene, write_scene
from helpers.scenes.tuner import tuner_of
from polynya.cli import build_app
from polynya.errors import OutputError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.scenes.reading import open_scene, read_scene


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory):
    return write_scene(make_scene(3, 0, (300, 500), "both"), tmp_path_factory.mktemp("s"))[1]


@pytest.fixture(scope="module")
def server(scene_file, tmp_path_factory):
    with tuner_of([scene_file], tmp_path_factory.mktemp("out") / "mine.yaml") as server:
        yield server


def ask(server, path, *, method="GET", body=None, host=None, **headers):
    """Status, headers and body of an answer, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    content = None if body is None else json.dumps(body).encode()
    if content is not None:
        connection.putheader("Content-Length", str(len(content)))
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(content)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def cookie_of(server):
    _, headers, _ = ask(server, f"/?token={server.admission.token}")
    assert {"HttpOnly", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))
    return headers["Set-Cookie"].split(";")[0]


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["/", "/session", "/page.js", "/tile/0/original/0/0/0", "/etc/passwd", "/?token=", "/?x=1"],
)
def test_nobody_gets_anything_without_the_token(server, path):
    for cookie in ({}, {"Cookie": "polynya-thresholds-1=x"}, {"Cookie": "=;;\x01"}):
        status, _, body = ask(server, path, **cookie)
        assert (status, body) == (403, b"")
    wrong = server.admission.token[:-1] + "é"
    assert ask(server, f"/?token={wrong.encode('unicode_escape').decode()}")[0] == 403
    assert ask(server, f"/session?token={server.admission.token}")[0] == 403


def test_the_page_of_another_site_gets_nothing(server):
    cookie = cookie_of(server)
    own = f"http://127.0.0.1:{server.server_port}"
    assert ask(server, "/session", Cookie=cookie)[0] == 200
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": own.replace("http", "https")},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"host": "evil.example"},
        {"host": f"evil.example:{server.server_port}"},
        {"host": "127.0.0.1.evil.example"},
    ):
        assert ask(server, "/session", Cookie=cookie, **headers)[::2] == (403, b""), headers
    profile = ROSS_SEA_SUMMER.model_dump(mode="json")
    body = {"profile": profile | {"name": "x"}, "method": "none"}
    # What changes something must say where it comes from.
    for origin in ({}, {"Origin": "http://evil.example"}):
        assert ask(server, "/save", method="POST", body=body, Cookie=cookie, **origin)[0] == 403
    assert ask(server, "/save", method="POST", body=body, Origin=own)[0] == 403
    assert not server.tuning.file.path.exists()
    # Through a tunnel with another port on this side.
    elsewhere = {"host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert ask(server, "/session", Cookie=cookie, **elsewhere)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../setup.cfg", "/page.css/../../page.py", "/%2e%2e/page.py", "/static/page.js", "/page.py",
     "/tile/1/original/0/0/0", "/tile/0/other/0/0/0", "/tile/0/original/9/0/0",
     "/tile/0/original/0/-1/0", "/tile/0/original/0/99999999/0", "/session/"],
)  # fmt: skip
def test_other_paths_are_not_there(server, path):
    status, _, body = ask(server, path, Cookie=cookie_of(server))
    assert (status, body) == (404, b"")


def test_odd_requests_are_refused(server):
    cookie, own = cookie_of(server), f"http://127.0.0.1:{server.server_port}"
    trusted = {"Cookie": cookie, "Origin": own}
    assert ask(server, "/none", method="POST", body={}, **trusted)[0] == 404
    assert ask(server, "/check", method="POST", body=[1], **trusted)[0] == 400
    assert ask(server, "/check", method="POST", **trusted)[0] == 413
    assert ask(server, "/check", method="POST", Content_Length="99999999", **trusted)[0] == 413
    assert ask(server, "/session", method="DELETE", Cookie=cookie)[0] == 501
    for body, said in (
        ({}, "no mapping"),
        ({"profile": {"name": "x", "ranges": []}}, "ranges"),
        ({"profile": ROSS_SEA_SUMMER.model_dump(mode="json") | {"name": "a/b"}}, "name"),
        ({"profile": PARTIAL_NIGHT.model_dump(mode="json") | {"name": "a"}, "method": "x"}, ""),
    ):
        answer = json.loads(ask(server, "/check", method="POST", body=body, **trusted)[2])
        assert said in answer.get("problem", "")
    dark = {"profile": PARTIAL_NIGHT.model_dump(mode="json") | {"name": "a"}}
    for path, method in (("/filter", "illumination"), ("/save", "x"), ("/save", "illumination")):
        answer = ask(server, path, method="POST", body=dark | {"method": method}, **trusted)[2]
        assert json.loads(answer)["problem"]


def test_a_token_for_a_browser_works_once(server):
    once = server.admission.once
    assert ask(server, f"/?token={once}")[0] == 200
    assert ask(server, f"/?token={once}")[0] == 403


def test_tiles_are_the_pixels_of_the_scene(server, scene_file):
    status, headers, body = ask(server, "/tile/0/original/0/1/1", Cookie=cookie_of(server))
    assert status == 200
    size = int(headers["X-Height"]), int(headers["X-Width"])
    assert size == (44, 244)
    pixels = np.frombuffer(zlib.decompress(body, 31), np.uint8).reshape(*size, 4)
    image, valid = read_scene(open_scene(scene_file), Tile(256, 256, 44, 244))
    assert np.array_equal(pixels[..., :3], image)
    assert np.array_equal(pixels[..., 3] > 0, valid)


# === Levels ===


def test_levels_are_every_nth_pixel_however_they_are_made():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (3000, 2100, 4), np.uint8)

    def read(part, step):
        return every(whole[part.slices], step)

    kept = Pyramid(3000, 2100, read, is_fast=False)
    assert kept.coarsest == 2
    assert kept.progress == 0.0
    next(kept.steps())
    assert 0.0 < kept.progress < 0.2
    kept.build()
    direct = Pyramid(3000, 2100, read, is_fast=True)
    assert kept.progress == direct.progress == 1.0
    assert direct.tile(0, 11, 8).shape == (184, 52, 4)
    assert np.array_equal(kept.tile(1, 5, 4), direct.tile(1, 5, 4))
    for tile in (kept.tile(2, 2, 2), direct.tile(2, 2, 2)):
        assert tile.shape == (238, 13, 4)
    for pyramid in (kept, direct):
        image, valid = pyramid.whole()
        assert image.shape == (750, 525, 3)
        assert valid.shape == (750, 525)
        assert pyramid.tile(0, 12, 0) is pyramid.tile(3, 0, 0) is None


def test_scenes_are_read_in_fewer_pixels(scene_file, tmp_path):
    scene = open_scene(scene_file)
    image, valid = read_scene(scene)
    small, seen = read_scene(scene, step=4)
    assert np.array_equal(small, every(image, 4))
    assert np.array_equal(seen, every(valid, 4))
    part, _ = read_scene(scene, Tile(64, 128, 101, 50), step=4)
    assert part.shape == (26, 13, 3)
    copy = tmp_path / "overviews.tif"
    copy.write_bytes(scene_file.read_bytes())
    with rasterio.open(copy, "r+") as source:
        source.build_overviews([4], Resampling.average)
    from_overview, _ = read_scene(open_scene(copy), step=4)
    assert from_overview.shape == small.shape
    assert not np.array_equal(from_overview, small)


@pytest.mark.parametrize("method", ["illumination", "published"])
def test_filtered_views_are_what_labelling_sees(scene_file, method):
    scene = open_scene(scene_file)
    recipe = Recipe.model_validate({"label": {"method": method}})
    views = FilteredViews(scene, recipe)
    image, valid = read_scene(scene)
    expected = filter_image(image, method=method, valid=valid)
    pyramid = views.pyramid("filtered")
    tile = pyramid.tile(0, 0, 1)
    assert np.array_equal(tile[..., :3], expected[:256, 256:])
    assert np.array_equal(pyramid.tile(0, 1, 0)[..., :3], expected[256:, :256])
    fields = {"gain", "haze"} if method == "illumination" else set()
    assert set(views.names) == {"filtered"} | fields


# === Saving and the command ===


def test_files_of_others_are_only_changed_when_told(scene_file, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("# by hand\nseed: 4   # mine\nlabel: {method: none}\n")
    with pytest.raises(OutputError, match="--update"), tuner_of([scene_file], mine):
        pass
    with tuner_of([scene_file], mine, update=True) as server:
        profile = PARTIAL_NIGHT.model_copy(update={"name": "night"})
        server.tuning.save(profile.model_dump(mode="json"), "none")
        # What people change meanwhile stays too.
        mine.write_text(mine.read_text() + "tiles: {size: 64}\n")
        server.tuning.save(profile.model_dump(mode="json"), "none")
    text = mine.read_text()
    assert text.startswith("# by hand\nseed: 4   # mine\n")
    recipe = load_recipe(mine)
    assert (recipe.seed, recipe.tiles.size, recipe.label.profile.name) == (4, 64, "night")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def run(*words, expect=0):
    result = CliRunner().invoke(build_app(["thresholds"]), [str(word) for word in words])
    assert result.exit_code == expect, result.output
    return result.output


def test_limits_are_suggested_without_a_page(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed in (4003, 4004):
        write_scene(make_scene(seed, 0, (256, 256), "clear", season="partial-night"), folder)
    out = tmp_path / "night.yaml"
    base = tmp_path / "base.yaml"
    base.write_text("# base\nlabel: {method: none}\n")
    words = ("thresholds", folder, "--suggest", "--recipe", base, "--out", out, "--name", "night")
    said = run(*words)
    assert said.count("Water up to") == 3
    recipe = load_recipe(out)
    assert recipe.label.profile.name == "night"
    assert 70 < recipe.label.profile.ranges[2].value[0] < 100
    assert out.read_text().startswith("# base")
    # A file of ours is replaced, one that somebody has changed isn't.
    run(*words)
    out.write_text(out.read_text() + "seed: 2\n")
    assert "--update" in " ".join(run(*words, expect=1).split())
