"""Scenes and shards in S3 and Google Cloud Storage, against local servers that implement them."""

import json
import os
import socket
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from unittest import mock
from urllib.request import Request, urlopen

import boto3
import numpy as np
import pytest
from conftest import ice_image, label_here
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from autolabel.run import run_labelling
from helpers.maps.inference_commands import run
from helpers.scenes.acquire import get_scenes, image_of, reflectance_of, run_scenes, write_recipe
from helpers.scenes.safe_products import ground, write_safe
from polynya.errors import OutputError, SceneError, ScenesFailedError, ShardError
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import find_scenes
from polynya.scenes.reading import open_scene, read_scene
from polynya.shards.dataset import open_shards
from polynya.shards.lifecycle import announce, open_dataset, start_dataset
from polynya.storage.folder import Folder
from polynya.storage.stores import gdal_options, gdal_path, list_objects, open_object, read_object
from training.ranks.port import SingleProcess
from training.run.build import open_sources

BUCKET = "ice-scenes"


@pytest.fixture(scope="module")
def s3_url():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def gcs_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # One connection at a time, as the emulator has it, is too few for a client that keeps one open.
    with mock.patch("http.server.HTTPServer", ThreadingHTTPServer):
        server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
        server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["s3", "gs"])
def upload(request, monkeypatch):
    """Puts a file into the store; gives its URI."""
    if request.param == "s3":
        url = request.getfixturevalue("s3_url")
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", url), ("AWS_DEFAULT_REGION", "us-east-1"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)

        def put(path: Path, key: str) -> str:
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
            return f"s3://{BUCKET}/{key}"

        return put
    url = request.getfixturevalue("gcs_url")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)

    def put_gs(path: Path, key: str) -> str:
        address = f"{url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={key}"
        kind = {"Content-Type": "application/octet-stream"}
        urlopen(Request(address, data=path.read_bytes(), headers=kind)).close()
        return f"gs://{BUCKET}/{key}"

    return put_gs


def folder_of(uri):
    return uri.rpartition("/")[0] + "/"


def test_a_scene_is_read_where_it_lies(upload, write_scene):
    image = ice_image(300, 400)
    uri = upload(write_scene("a.tif", image, tiled=True), "read/a.tif")
    pixels, valid = read_scene(open_scene(uri))
    assert (pixels == image).all()
    assert valid.all()


def test_prefixes_and_globs_list_what_is_in_the_bucket(upload, write_scene):
    scene = write_scene("a.tif", ice_image(4, 4))
    uris = [upload(scene, f"list/{name}") for name in ("b.tif", "a.TIF", "notes.txt", "x/c.tif")]
    base = folder_of(uris[0])
    assert [ref.uri for ref in find_scenes([base])] == [f"{base}a.TIF", f"{base}b.tif"]
    assert [ref.id for ref in find_scenes([f"{base}*.tif", uris[0]])] == ["b"]
    assert [ref.id for ref in find_scenes([f"{base}*/*.tif"])] == ["c"]
    assert list_objects(base, folders=True)[-1] == f"{base}x"
    # What leads nowhere fails by its name, as on a disk.
    assert [ref.uri for ref in find_scenes([f"{base}*.png"])] == [f"{base}*.png"]


def test_scenes_come_from_files_of_a_bucket_in_place_and_downloaded(upload, write_scene, tmp_path):
    numbers = np.arange(1, 3 * 64 * 64 + 1, dtype=np.uint16).reshape(64, 64, 3)
    names = ("B04", "B03", "B02")
    scene = write_scene("s.tif", numbers, scales=0.0001, offsets=-0.1, descriptions=names, nodata=0)
    base = folder_of(upload(scene, "files/s.tif"))
    (tif,) = get_scenes(tmp_path, tmp_path / "tif", source="files", paths=base)
    (vrt,) = get_scenes(tmp_path, tmp_path / "vrt", "--in-place", source="files", paths=base)
    assert gdal_path(base) in vrt.read_text()
    for path in (tif, vrt):
        np.testing.assert_allclose(
            np.moveaxis(reflectance_of(path), 0, -1), numbers * 0.0001 - 0.1, atol=1e-9
        )
    assert (image_of(tif)[0] == image_of(scene)[0]).all()


def test_safe_products_are_read_in_the_bucket_folders_and_zips(upload, tmp_path):
    products = tmp_path / "products"
    archive = write_safe(products, "L1C", "05.10", zipped=True)
    packed = upload(archive, f"safe/{archive.name}")
    base = folder_of(packed)
    folders = [write_safe(products, "L1C", "02.14"), write_safe(products, "L2A", "05.10")]
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file():
            upload(path, f"safe/{path.relative_to(products)}")
    # The emulator and pyarrow's client don't agree on reading at a position, which zips need.
    paths = base if base.startswith("s3://") else f"{base}*.SAFE"
    truth = np.stack([ground()[band] for band in ("B04", "B03", "B02")]).astype(float)
    truth[truth == 0] = np.nan
    for how in ((), ("--in-place",)):
        files = get_scenes(tmp_path, tmp_path / "out", *how, source="safe", paths=paths)
        assert len(files) == (3 if paths == base else 2)
        for path in files:
            reflectance = reflectance_of(path)
            np.testing.assert_allclose(reflectance[:3], truth / 10_000, atol=1e-9)
            assert len(reflectance) == (6 if "L1C" in path.name else 5)
    one = f"{base}{folders[0].name}"
    assert len(get_scenes(tmp_path, tmp_path / "one", source="safe", paths=one)) == 1


def test_static_stac_catalogues_lie_in_buckets_too(upload, write_scene, tmp_path):
    numbers = np.full((8, 8), 1500, np.uint16)
    href = upload(write_scene("b.tif", numbers), "stac/b.tif")
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": "i", "links": [],
        "geometry": None, "properties": {"datetime": "2022-11-03T19:09:31Z"},
        "assets": {
            name: {"href": "./b.tif",
                   "bands": [{"name": name, "raster:scale": 0.0001, "raster:offset": -0.1}]}
            for name in ("red", "green", "blue")
        },
    }  # fmt: skip
    catalog = {
        "type": "Catalog", "stac_version": "1.1.0", "id": "c", "description": "x",
        "links": [{"rel": "item", "href": "./i.json"}],
    }  # fmt: skip
    for name, content in (("i.json", item), ("catalog.json", catalog)):
        (tmp_path / name).write_text(json.dumps(content))
        uri = upload(tmp_path / name, f"stac/{name}")
    (path,) = get_scenes(tmp_path, tmp_path / "out", source="stac", catalog=uri)
    np.testing.assert_allclose(reflectance_of(path), 0.05)
    assert gdal_path(href).startswith(("/vsis3/", "/vsigs/"))


def test_what_is_not_in_the_bucket_is_one_sentence(upload, write_scene, tmp_path):
    uri = upload(write_scene("a.tif", ice_image(4, 4)), "missing/a.tif")
    base = folder_of(uri)
    with pytest.raises(SceneError, match="none.tif can't be read"):
        open_scene(f"{base}none.tif")
    with pytest.raises(SceneError, match="can't be read"):
        read_object(f"{base}none.xml")
    with pytest.raises(SceneError, match="can't be read"):
        open_object(f"{base}none.zip")
    nowhere = uri.replace(BUCKET, "no-such-bucket-of-ours").replace("a.tif", "")
    with pytest.raises(SceneError, match="can't be listed"):
        find_scenes([nowhere])
    result = run_scenes(write_recipe(tmp_path, source="safe", paths=nowhere), tmp_path / "out")
    assert result.exit_code == 1
    assert "check the address and the credentials" in result.output


def test_gdal_gets_the_servers_that_sdks_know_and_leaves_its_own_settings_alone():
    options = gdal_options({"AWS_ENDPOINT_URL_S3": "https://s3.example.org"})
    assert options["AWS_S3_ENDPOINT"] == "s3.example.org"
    assert options["AWS_HTTPS"] == "YES"
    own = gdal_options({"AWS_ENDPOINT_URL": "http://x:9000", "AWS_S3_ENDPOINT": "y"})
    assert "AWS_S3_ENDPOINT" not in own
    assert "GDAL_HTTP_MAX_RETRY" not in gdal_options({"GDAL_HTTP_MAX_RETRY": "9"})


def test_other_schemes_cannot_be_listed_and_local_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gdal_path("a/b.tif") == os.path.join(tmp_path, "a/b.tif")
    assert gdal_path("file:///x/y.tif") == "/x/y.tif"
    assert gdal_path("https://h/x.tif") == "/vsicurl/https://h/x.tif"
    assert gdal_path("/vsizip/x.zip/y") == "/vsizip/x.zip/y"
    assert gdal_path("az://c/x.tif") == "az://c/x.tif"
    with pytest.raises(SceneError, match="no object store that is known"):
        list_objects("az://c/")


def test_shards_go_to_a_bucket_and_come_back(upload, write_scene, tmp_path, capsys):
    images = {name: ice_image(100, 70, seed) for seed, name in enumerate("abc")}
    uris = [upload(write_scene(f"{n}.tif", image), f"in/{n}.tif") for n, image in images.items()]
    out = folder_of(folder_of(uris[0])[:-1]) + "shards"
    run_labelling(uris[:2], out, None, False, "here")
    assert "2 scenes labelled, 0 failed" in capsys.readouterr().out
    run_labelling([folder_of(uris[0])], f"{out}/", None, False, "here")
    assert "3 scenes labelled (2 of them before), 0 failed" in capsys.readouterr().out
    local, _ = label_here(Recipe(), tmp_path / "local", tmp_path / "a.tif", tmp_path / "b.tif")
    shards = open_shards(out)
    assert shards.scene_ids == ("a", "b", "c")
    for name, image in images.items():
        assert (shards.load([name], 256)[0][0, :100, :70] == image).all()
    # Names hold what a scene is, of which a store says other things than a disk.
    stored = {shards.folder.read(name) for name in shards.folder.names()}
    written = [name for name in local.names() if name != "_manifest.csv" and "_polynya" not in name]
    assert len(written) == 2
    assert all(local.read(name) in stored for name in written)
    assert not any(name.startswith("_work") for name in shards.folder.names())

    with pytest.raises(OutputError, match="shards of another recipe"):
        start_dataset(out, Recipe.model_validate({"tiles": {"size": 64}}))
    start_dataset(out, Recipe(), overwrite=True)
    assert shards.folder.names() == ["_dataset.json"]
    with pytest.raises(ShardError, match="no finished shards"):
        open_shards(out)


def test_tiles_of_a_bucket_are_inspected_and_dropped(upload, write_scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = ice_image(64, 128)
    pixels[:, 64:] = 255
    uri = upload(write_scene("a.tif", pixels), "inspected/in/a.tif")
    out = folder_of(folder_of(uri)[:-1]) + "shards"
    (tmp_path / "recipe.yaml").write_text("tiles: {size: 64}\nlabel: {method: none}\n")
    run_labelling([uri], out, tmp_path / "recipe.yaml", False, "here")
    assert "Left out: 1 tile (constant 1)" in run("inspect", out, "--drop", "constant").output
    assert "constant" in (tmp_path / "shards-inspection.html").read_text()
    assert len(open_shards(out).load(["a"], 64)[0]) == 1
    run("inspect", out, "--restore")
    assert len(open_shards(out).load(["a"], 64)[0]) == 2
    assert "_dropped.json" not in open_shards(out).folder.names()


def test_what_others_keep_in_the_folder_of_a_bucket_stays(upload, write_scene, tmp_path, capsys):
    files = [str(write_scene(f"{name}.tif", ice_image(40, 40, i))) for i, name in enumerate("ab")]
    mine = tmp_path / "mine"
    mine.write_text("mine")
    out = folder_of(upload(mine, "kept/other/mine.txt")).removesuffix("other/") + "shards"
    run_labelling(files[:1], out, None, False, "here")
    names = ("x-000.parquet", "_work/notes.txt", "_work/x.json", "README.md", "sub/a-000.parquet")
    for name in names:
        upload(mine, f"kept/shards/{name}")
    folder = open_shards(out).folder
    # A run that is killed leaves what its plan names, and nothing else is taken for it.
    announce(folder, ["killed-0123"])
    folder.write("killed-0123-000.parquet", b"half")
    run_labelling(files, out, None, False, "here")
    assert "2 scenes labelled (1 of them before), 0 failed" in capsys.readouterr().out
    shards = [name for name in folder.names() if name.startswith(("a-", "b-"))]
    assert len(shards) == 2
    assert set(folder.names()) == {*names, *shards, "_dataset.json", "_manifest.csv"}
    # One of the same name as a shard that is to come is in its way.
    folder.remove([shards[1], "_manifest.csv"])
    upload(mine, f"kept/shards/{shards[1]}")
    with pytest.raises(ScenesFailedError):
        run_labelling(files[1:], out, None, False, "here")
    assert "is not Polynya's; move it away" in " ".join(capsys.readouterr().err.split())
    start_dataset(out, Recipe(), overwrite=True)
    kept = set(folder.names()) - {"_dataset.json"}
    assert {*names, shards[1]} <= kept
    assert all(folder.read(name) == b"mine" for name in [*names, shards[1]])
    with pytest.raises(OutputError, match="holds other files"):
        start_dataset(f"{out}/sub", Recipe())


def test_one_run_at_a_time_in_a_folder_of_a_bucket(upload, write_scene, monkeypatch):
    scene = write_scene("a.tif", ice_image(40, 40))
    out = folder_of(upload(scene, "locked/a.tif")) + "shards"
    with open_dataset(out, Recipe()), pytest.raises(OutputError, match="Another run uses"):
        run_labelling([str(scene)], out, None, False, "here")
    run_labelling([str(scene)], out, None, False, "here")
    # One that was killed doesn't keep others out for long.
    folder = open_shards(out).folder
    dead = {"token": "x", "host": "elsewhere", "pid": 1, "time": time.time() - 300}
    folder.write("_lock.json", json.dumps(dead).encode())
    run_labelling([str(scene)], out, None, False, "here")
    assert not folder.has("_lock.json")
    folder.write("_lock.json", b"a user's own")
    with pytest.raises(OutputError, match="is no lock that can be read"):
        run_labelling([str(scene)], out, None, False, "here")
    assert folder.read("_lock.json") == b"a user's own"


def test_an_object_that_a_store_cut_is_an_error(upload, write_scene, monkeypatch):
    folder = Folder.at(folder_of(upload(write_scene("a.tif", ice_image(4, 4)), "cut/a.tif")))
    with pytest.raises(OutputError, match="has 1 bytes after 2 were written"):
        folder.write("x", Longer(b"x"))


class Longer(bytes):
    """Content of which a store keeps less than it got."""

    def __len__(self):
        return super().__len__() + 1


def test_tiles_of_a_bucket_are_decoded_once_or_streamed(upload, write_scene):
    uris = [upload(write_scene(f"{n}.tif", ice_image(100, 70)), f"in/{n}.tif") for n in "ab"]
    out = folder_of(folder_of(uris[0])[:-1]) + "shards"
    run_labelling(uris, out, None, False, "here")
    shards = open_shards(out)
    expected = shards.load(shards.scene_ids, shards.recipe.tiles.size)
    assert shards.class_counts(shards.scene_ids)[0].tolist() == shards.classes.count(expected[1])
    for cache in ("memory", "none"):
        content = shards.recipe.model_dump() | {"training": {"input": {"cache": cache}}}
        parts = [shards.scene_ids]
        options = Recipe.model_validate(content)
        (source,) = open_sources(shards, parts, options, SingleProcess(), threads=2)
        ((images, labels),) = source.batches(np.arange(len(source))[None])
        assert (images.numpy() == expected[0]).all()
        assert (labels.numpy() == expected[1]).all()


def test_a_bucket_that_is_not_there_is_one_sentence(upload, write_scene):
    uri = upload(write_scene("a.tif", ice_image(4, 4)), "nowhere/a.tif")
    with pytest.raises(OutputError, match="no-such-bucket-of-ours.*choose another --out"):
        start_dataset(uri.replace(BUCKET, "no-such-bucket-of-ours"), Recipe())
