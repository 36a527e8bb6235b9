"""`polynya scenes` and servers that are silent, endless or lying: each ends in one sentence."""

import json
import os
import resource
import signal
import subprocess
import time
from uuid import uuid4

import numpy as np
import pytest

from helpers.scenes.acquire import run_scenes, write_recipe
from helpers.servers.bad_servers import BAD, bad_server, endless_body, silent, trickle
from helpers.servers.earth_engine_server import EarthEngine, Image, write_key
from helpers.servers.stac_catalogues import add_api, earth_search_item, write_cog
from helpers.servers.web_server import Answer, serving
from polynya.sources.access.web import Web
from polynya.sources.manifest import read_manifest

IMPATIENT = {"timeout": 0.5, "retries": 1}


def sentence_of(result):
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert result.output.count("Error:") == 1
    return result.output


@pytest.mark.parametrize("behave", BAD, ids=lambda one: one.__name__)
def test_a_catalogue_of_a_bad_server_is_one_sentence(tmp_path, behave):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with bad_server(behave) as url:
        recipe = write_recipe(tmp_path, source="stac", catalog=url, **IMPATIENT)
        said = sentence_of(run_scenes(recipe, tmp_path / "out"))
    assert f"The STAC catalogue {url} can't be read" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


@pytest.mark.parametrize("behave", BAD, ids=lambda one: one.__name__)
def test_an_earth_engine_of_a_bad_server_is_one_sentence(tmp_path, behave):
    with bad_server(behave) as url, serving() as tokens:
        tokens.routes.append((r"/token", lambda request: Answer({"access_token": "t"})))
        key = write_key(tmp_path, f"{tokens.url}/token")
        recipe = write_recipe(
            tmp_path, source="earthengine", region=[0, 0, 1, 1], url=url, credentials=str(key),
            dates=["2020-01-01", "2020-01-02"], project="p", **IMPATIENT,
        )  # fmt: skip
        assert "Earth Engine can't" in sentence_of(run_scenes(recipe, tmp_path / "out"))


@pytest.mark.parametrize("behave", [silent, trickle, endless_body], ids=lambda one: one.__name__)
def test_pixels_of_a_bad_server_fail_alone(tmp_path, behave):
    folder = tmp_path / "served"
    good = earth_search_item(folder, "good", True, href=str(folder / "{}"))
    with bad_server(behave) as url:
        assets = {
            key: {**good["assets"][key], "href": f"{url}/{key}.tif"} for key in good["assets"]
        }
        items = [good, *({**good, "id": f"bad{n}", "assets": assets} for n in range(6))]
        catalog = tmp_path / "items.json"
        catalog.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        recipe = write_recipe(tmp_path, source="stac", catalog=str(catalog), **IMPATIENT)
        sentence_of(run_scenes(recipe, tmp_path / "out"))
    rows = {row["item"]: row for row in read_manifest(tmp_path / "out")}
    assert rows.pop("good")["status"] == "done"
    assert len(rows) == 6
    assert all(row["status"] == "failed" and row["reason"] for row in rows.values())


def endless_pages(number_of_items, token):
    """A search whose pages always have a next one."""
    count = [0]

    def search(request):
        features = []
        for _ in range(number_of_items):
            count[0] += 1
            features.append({"type": "Feature", "id": f"i{count[0]}", "collection": "c"})
        here = f"http://{request.headers['Host']}/search"
        link = {"rel": "next", "href": here, "method": "POST", "body": {"token": token()}}
        return Answer({"type": "FeatureCollection", "features": features, "links": [link]})

    return search


@pytest.mark.parametrize(
    ("number_of_items", "token", "problem"),
    [
        (2, lambda: "same", "repeats its pages"),
        (0, lambda: str(uuid4()), "repeats its pages"),
        (250, lambda: str(uuid4()), "lists more than 1000 items"),
    ],
    ids=["the same page", "empty pages", "new items"],
)
def test_an_api_whose_pages_never_end_is_one_sentence(tmp_path, number_of_items, token, problem):
    with serving() as server:
        add_api(server, [])
        server.routes.insert(0, ("/search", endless_pages(number_of_items, token)))
        recipe = write_recipe(
            tmp_path, source="stac", catalog=server.url, most_items=1000, **IMPATIENT
        )
        assert problem in sentence_of(run_scenes(recipe, tmp_path / "out"))
        assert server.count("search") < 20


def test_a_catalogue_that_holds_itself_ends(tmp_path):
    folder = tmp_path / "served"
    item = earth_search_item(folder, "i", True, href=str(folder / "{}"))
    (folder / "i.json").write_text(json.dumps(item))
    links = [{"rel": "child", "href": name} for name in ("a.json", "b.json", "none.json")]
    for name in ("a.json", "b.json"):
        content = {"type": "Catalog", "links": [*links, {"rel": "item", "href": "./i.json"}]}
        (folder / name).write_text(json.dumps(content))
    recipe = write_recipe(tmp_path, source="stac", catalog=str(folder / "a.json"))
    said = sentence_of(run_scenes(recipe, tmp_path / "out"))
    assert "2 items = 1 scenes done (0 were there) + 1 failed" in said
    assert "none.json" in said


@pytest.mark.parametrize("repeats", [True, False], ids=["the same page", "new pages"])
def test_a_list_of_images_that_never_ends_is_one_sentence(tmp_path, repeats):
    with serving() as server:
        earth_engine = EarthEngine(server, [])
        earth_engine.add_routes()
        count = [0]

        def listing(request):
            count[0] += 1
            token = "same" if repeats else str(count[0])
            return Answer({"assets": [{"name": f"x/assets/{count[0]}"}], "nextPageToken": token})

        server.routes.insert(0, (r".*:listAssets", listing))
        key = write_key(tmp_path, f"{server.url}/token")
        recipe = write_recipe(
            tmp_path, source="earthengine", region=[0, 0, 1, 1], url=server.url, project="p",
            credentials=str(key), dates=["2020-01-01", "2020-01-02"], **IMPATIENT,
        )  # fmt: skip
        said = sentence_of(run_scenes(recipe, tmp_path / "out"))
    assert "can't list COPERNICUS/S2_HARMONIZED (it" in said


def test_images_that_are_described_wrongly_fail_alone(tmp_path):
    pixels = {band: np.ones((20, 30), np.uint16) for band in ("B2", "B3", "B4")}
    good = Image("good", pixels)

    class Odd:
        def __init__(self, name, **changes):
            self.name, self.pixels, self.start, self.cloud = name, pixels, good.start, 1.0
            self.changes, self.resolutions = changes, {}

        def asset(self, parent):
            return {**Image(self.name, pixels).asset(parent), **self.changes}

    def grid(**changes):
        bands = good.asset("p/assets/c")["bands"]
        return [{**band, "grid": {**band["grid"], **changes}} for band in bands]

    class Nothing(Odd):
        def asset(self, parent):
            return self.changes["content"]

    odd = [
        Odd("no-bands", bands=None),
        Odd("bands-are-text", bands="B4"),
        Odd("no-grid", bands=[{"id": band} for band in pixels]),
        Odd("time-is-a-list", startTime=[1], properties="x"),
        Odd("crs-is-a-file", bands=grid(crsCode="/etc/passwd")),
        Odd("crs-is-a-page", bands=grid(crsCode="http://127.0.0.1/x")),
        Odd("no-pixels", bands=grid(dimensions={"width": 0, "height": 5})),
        Odd("many-pixels", bands=grid(dimensions={"width": 2**31, "height": 2**31})),
        Odd("flat", bands=grid(affineTransform={"scaleX": 10})),
        Nothing("text", content="an image"),
        Nothing("empty", content={}),
    ]
    with serving() as server:
        EarthEngine(server, [good, *odd], page=50).add_routes()
        key = write_key(tmp_path, f"{server.url}/token")
        recipe = write_recipe(
            tmp_path, source="earthengine", region=[0, 0, 1, 1], url=server.url, project="p",
            credentials=str(key), dates=["2019-11-01", "2019-11-30"], **IMPATIENT,
        )  # fmt: skip
        said = sentence_of(run_scenes(recipe, tmp_path / "out"))
    rows = read_manifest(tmp_path / "out")
    assert "12 items = 2 scenes done (0 were there) + 10 failed" in said
    assert {row["item"] for row in rows if row["status"] == "done"} == {"good", "time-is-a-list"}
    assert not any("fault of Polynya" in row["reason"] for row in rows)


def test_a_server_that_never_answers_is_not_asked_for_each_item():
    with bad_server(silent) as url:
        web = Web(0.2, retries=0)
        for _ in range(3):
            with pytest.raises(TimeoutError, match="doesn't answer"):
                web.request("GET", url)
        with pytest.raises(TimeoutError, match="isn't asked more"):
            web.request("GET", url)


def test_what_a_server_says_of_its_file_decides_whether_it_is_fetched_again(tmp_path):
    folder = tmp_path / "served"
    with serving(folder) as server:
        item = earth_search_item(folder, "i", True, href=f"{server.url}/{{}}")
        (folder / "i.json").write_text(json.dumps(item))
        recipe = write_recipe(tmp_path, source="stac", catalog=str(folder / "i.json"))
        for there in (0, 1):
            result = run_scenes(recipe, tmp_path / "out")
            assert f"1 scenes done ({there} were there)" in result.output
        path = folder / "i/B03.tif"
        size = path.stat().st_size
        write_cog(path, np.full((1024, 1024), 5, np.uint16))
        assert path.stat().st_size != size
        result = run_scenes(recipe, tmp_path / "out")
        assert "1 scenes done (0 were there)" in result.output
        for change in ({"updated": "2023-01-01T00:00:00Z"}, {"updated": "2024-01-01T00:00:00Z"}):
            item["properties"] |= change
            (folder / "i.json").write_text(json.dumps(item))
            result = run_scenes(recipe, tmp_path / "out")
            assert "1 scenes done (0 were there)" in result.output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_ends_at_once_and_the_next_one_goes_on(tmp_path, number, code):
    folder = tmp_path / "served"
    good = earth_search_item(folder, "good", True, href=str(folder / "{}"))
    catalog = tmp_path / "items.json"
    out = tmp_path / "out"
    with bad_server(silent) as url:
        waits = {key: {**asset, "href": f"{url}/x.tif"} for key, asset in good["assets"].items()}
        items = [good, {**good, "id": "waits", "assets": waits}]
        catalog.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        recipe = write_recipe(tmp_path, source="stac", catalog=str(catalog))
        command = ["polynya", "scenes", "--recipe", str(recipe), "--out", str(out)]
        with subprocess.Popen(command) as process:
            until = time.monotonic() + 60
            while not (out / "good.tif").exists():
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(number)
            assert process.wait(60) == code
    catalog.write_text(json.dumps({"type": "FeatureCollection", "features": [good]}))
    result = run_scenes(recipe, out)
    assert "1 items = 1 scenes done (1 were there) + 0 failed" in result.output
    assert sorted(os.listdir(out)) == ["_polynya.csv", "_scenes.csv", "good.tif"]
