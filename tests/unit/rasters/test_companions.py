"""What lies beside a scene: metadata that leads elsewhere, masks and overviews that are cut."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.errors import RasterioIOError

from helpers.scenes.virtual_rasters import make_places, simple, vrt
from polynya.errors import SceneError
from polynya.rasters.opening import opened_raster
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import open_scene, read_scene


@pytest.fixture
def places(tmp_path, write_scene):
    return make_places(tmp_path, write_scene)


@pytest.fixture
def server():
    """Address of a server, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/x.tif", asked
        running.shutdown()


def pam(key, value, domain="OVERVIEWS"):
    return (
        f'<PAMDataset><Metadata domain="{domain}"><MDI key="{key}">{value}</MDI></Metadata>'
        "</PAMDataset>"
    )


def tag(path, value):
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=value)


def mask(path, shape=(12, 16), **options):
    with rasterio.open(path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1,
                       dtype="uint8", **options) as file:  # fmt: skip
        file.write(np.repeat([[255], [0]], [shape[0] // 2, shape[0] - shape[0] // 2], 0)
                   .repeat(shape[1], 1).astype(np.uint8)[None])  # fmt: skip
        file.update_tags(INTERNAL_MASK_FLAGS_1=2, INTERNAL_MASK_FLAGS_2=2, INTERNAL_MASK_FLAGS_3=2)
    return path


def in_mask(folder, target):
    tag(mask(folder / "inside.tif.msk"), target)


def beside_mask(folder, target):
    mask(folder / "inside.tif.msk")
    (folder / "inside.tif.msk.aux.xml").write_text(pam("OVERVIEW_FILE", target))


def beside_overview(folder, target):
    mask(folder / "inside.tif.OVR")
    (folder / "inside.tif.OVR.aux.xml").write_text(pam("OVERVIEW_FILE", target))


WAYS = {
    "a tag": lambda d, t: tag(d / "inside.tif", t),
    "XML": lambda d, t: (d / "inside.tif.aux.xml").write_text(pam("OVERVIEW_FILE", t)),
    "entities": lambda d, t: (d / "inside.tif.aux.xml").write_text(pam("OVERVIEW&#95;FILE", t)),
    "small letters": lambda d, t: (d / "inside.tif.aux.xml").write_text(pam("overview_file", t)),
    "a place of geolocation": lambda d, t: (d / "inside.tif.aux.xml").write_text(
        pam("X_DATASET", t, "GEOLOCATION")
    ),
    "a tag in a mask": in_mask,
    "XML of a mask": beside_mask,
    "XML of an overview": beside_overview,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prefix", ["/vsicurl/", "", "/vsicurl_streaming/"])
def test_no_metadata_leads_to_a_server(places, server, way, prefix):
    address, asked = server
    WAYS[way](places, prefix + address)
    (places / "a.vrt").write_text(vrt("inside.tif", relative=1))
    for name in ("inside.tif", "a.vrt"):
        with pytest.raises(SceneError, match="refers to (other files|another file)"):
            scene_digest(open_scene(str(places / name)))
    assert asked == []


@pytest.mark.parametrize("way", WAYS)
def test_no_metadata_leads_to_another_file(places, way):
    WAYS[way](places, str(places.parent / "outside.tif"))
    with pytest.raises(SceneError, match="refers to (other files|another file)"):
        open_scene(str(places / "inside.tif"))


def test_a_local_scene_asks_no_server_even_if_something_is_overlooked(places, server):
    address, asked = server
    with opened_raster(str(places / "inside.tif")), pytest.raises(RasterioIOError):
        rasterio.open("/vsicurl/" + address)
    assert asked == []
    with pytest.raises(RasterioIOError):
        rasterio.open("/vsicurl/" + address)
    assert asked


def test_other_threads_may_ask_servers_meanwhile(places, server):
    address, asked = server
    with opened_raster(str(places / "inside.tif")), ThreadPoolExecutor(1) as pool:
        problem = pool.submit(open_scene, address).exception()
    assert "can't be read" in str(problem)
    assert asked


@pytest.mark.parametrize("share", [0.99, 0.6, 0.1, 0.0])
@pytest.mark.parametrize("name", ["inside.tif.msk", "a.vrt.msk", "inside.tif.MSK"])
@pytest.mark.parametrize("compress", ["deflate", None])
def test_a_cut_mask_is_no_mask_of_valid_pixels(places, name, share, compress):
    (places / "a.vrt").write_text(vrt("inside.tif", relative=1))
    path = mask(places / name, compress=compress)
    scene = str(places / ("a.vrt" if name.startswith("a.") else "inside.tif"))
    assert read_scene(open_scene(scene))[1].sum() == 6 * 16
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SceneError, match=f"(?i){name} lies beside .*; make it again"):
        open_scene(scene)


def test_a_cut_overview_or_a_mask_that_is_none_for_gdal_is_a_failed_scene(places):
    path = mask(places / "inside.tif.ovr")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SceneError, match="inside.tif.ovr lies beside"):
        open_scene(str(places / "inside.tif"))
    path.unlink()
    shutil.copy(places / "inside.tif", places / "inside.tif.msk")
    with pytest.raises(SceneError, match="is no mask for GDAL .it lacks INTERNAL_MASK_FLAGS_1"):
        open_scene(str(places / "inside.tif"))


def test_a_mask_whose_directory_precedes_its_pixels_is_read_to_its_end(places):
    big = mask(places / "big.tif", (400, 400))
    rasterio.shutil.copy(big, places / "inside.tif.msk", driver="GTiff", compress=None)
    content = (places / "inside.tif.msk").read_bytes()
    (places / "inside.tif.msk").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(SceneError, match=r"inside.tif.msk lies beside .*can't be read"):
        open_scene(str(places / "inside.tif"))


def test_a_mask_of_a_source_that_is_cut_later_is_noticed(places):
    mask(places / "inside.tif.msk")
    band = simple("inside.tif", "mask,1", 1)
    text = vrt("inside.tif", relative=1).replace(
        "</VRTDataset>",
        f'<MaskBand><VRTRasterBand dataType="Byte">{band}</VRTRasterBand></MaskBand></VRTDataset>',
    )
    (places / "a.vrt").write_text(text)
    assert read_scene(open_scene(str(places / "a.vrt")))[1].sum() == 6 * 16
    content = (places / "inside.tif.msk").read_bytes()
    (places / "inside.tif.msk").write_bytes(content[: len(content) // 2])
    with pytest.raises(SceneError, match="inside.tif.msk lies beside"):
        open_scene(str(places / "a.vrt"))


@pytest.mark.parametrize(
    "damage",
    [lambda x: x[: len(x) // 2], lambda x: b"", lambda x: x.decode().encode("utf-16"),
     lambda x: b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + x],
)  # fmt: skip
def test_xml_that_gdal_would_leave_out_is_a_failed_scene(places, damage):
    content = (
        b"<PAMDataset>"
        + b"".join(
            b'<PAMRasterBand band="%d"><NoDataValue>9</NoDataValue></PAMRasterBand>' % i
            for i in (1, 2, 3)
        )
        + b"</PAMDataset>"
    )
    path = places / "inside.tif.aux.xml"
    path.write_bytes(content.replace(b"<PAMRaster", b"<!-- caf\xe9 --><PAMRaster"))
    open_scene(str(places / "inside.tif"))
    path.write_bytes(damage(content))
    with pytest.raises(SceneError, match="aux.xml lies beside .*can't be read"):
        open_scene(str(places / "inside.tif"))
