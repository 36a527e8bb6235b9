"""The digest of a scene is that of its content, wherever it lies."""

import os
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.identity import raster_digest, scene_digest
from polynya.scenes.reading import open_scene


def digest(path, **options):
    return scene_digest(open_scene(str(path), SceneOptions(**options)))


def vrt(source, relative):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><SimpleSource><SourceFilename'
        f' relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>{i}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for i in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="16" rasterYSize="12">{bands}</VRTDataset>'


@pytest.fixture
def scene(write_scene):
    return write_scene("a.tif", ice_image(12, 16))


def test_the_same_bytes_elsewhere_later_and_under_another_name_are_the_same_scene(scene, tmp_path):
    (tmp_path / "d").mkdir()
    other = tmp_path / "d/b.tif"
    shutil.copy(scene, other)
    os.utime(other, (1, 1))
    assert digest(scene) == digest(other) == digest(f"{tmp_path}/d/../d/b.tif")


def test_other_pixels_are_another_scene_even_at_the_same_time_and_size(scene, write_scene):
    before, status = digest(scene), os.stat(scene)
    image = ice_image(12, 16)
    image[3, 3] += 1
    write_scene("a.tif", image)
    assert os.stat(scene).st_size == status.st_size
    assert digest(scene) != before


@pytest.mark.parametrize("suffix", [".tif.aux.xml", ".tfw", ".tif.msk"])
def test_files_beside_a_scene_belong_to_it(scene, write_scene, tmp_path, suffix):
    before = digest(scene)
    beside = tmp_path / f"a{suffix}"
    if suffix == ".tfw":
        scene = write_scene("a.tif", ice_image(12, 16), crs=None)
        before = digest(scene)
        beside.write_text("10\n0\n0\n-10\n5\n6\n")
    elif suffix == ".tif.msk":
        shutil.copy(write_scene("m.tif", np.zeros((12, 16), np.uint8)), beside)
        with rasterio.open(beside, "r+") as file:
            file.update_tags(INTERNAL_MASK_FLAGS_1=2)
    else:
        beside.write_text("<PAMDataset><PAMRasterBand band='1'/></PAMDataset>")
    assert digest(scene) != before
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(scene, moved / "b.tif")
    shutil.copy(beside, moved / f"b{suffix}")
    assert digest(moved / "b.tif") == digest(scene)


@pytest.mark.parametrize("relative", [0, 1])
def test_a_virtual_raster_is_what_it_refers_to(scene, write_scene, tmp_path, relative):
    def write(folder):
        folder.mkdir(exist_ok=True)
        source = folder / "source.tif"
        shutil.copy(scene, source)
        (folder / "v.vrt").write_text(vrt(source if not relative else "source.tif", relative))
        (folder / "outer.vrt").write_text(vrt("v.vrt", 1))
        return digest(folder / "v.vrt"), digest(folder / "outer.vrt")

    before = write(tmp_path / "x")
    assert write(tmp_path / "y") == before
    image = ice_image(12, 16)
    image[0, 0] = 9
    write_scene("a.tif", image)
    after = write(tmp_path / "x")
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_layers_files_belong_to_a_scene(scene, write_scene):
    layers = LayerOptions(clouds="{stem}_clouds.tif")
    write_scene("a_clouds.tif", np.zeros((12, 16), np.uint8))
    before = digest(scene, layers=layers)
    assert before != digest(scene)
    write_scene("a_clouds.tif", np.ones((12, 16), np.uint8))
    assert digest(scene, layers=layers) != before


def test_a_member_of_an_archive_is_known_by_its_checksum(scene, tmp_path):
    def digest_in(name, compression):
        with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
            archive.write(scene, "g/a.tif")
        return raster_digest(f"/vsizip/{{{tmp_path / name}}}/g/a.tif")

    assert digest_in("x.zip", zipfile.ZIP_STORED) == digest_in("y.zip", zipfile.ZIP_DEFLATED)


def test_a_server_says_what_a_scene_is_without_sending_it():
    asked = []
    tags = ['"one"']

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.command)
            self.send_response(200)
            self.send_header("ETag", tags[0])
            self.send_header("Content-Length", "9")
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/a.tif"
        one, again = raster_digest(uri), raster_digest(uri)
        tags[0] = '"two"'
        other = raster_digest(uri)
        server.shutdown()
    assert one == again
    assert other != one
    assert set(asked) == {"HEAD"}
