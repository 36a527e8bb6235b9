"""Files that are cut, that claim too much, or that a server never sends."""

import os
import socket
import subprocess
import sys
import threading
import zlib
from struct import pack

import numpy as np
import pytest
import rasterio
from affine import Affine

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.rasters import opening as rasters
from polynya.scenes.reading import open_scene, read_scene
from polynya.storage import stores

SIZE = 200


@pytest.fixture
def whole(tmp_path):
    """Factory of files of one format with noise, which compresses badly."""

    def write(name, **profile):
        noise = np.random.default_rng(0).integers(1, 255, (3, SIZE, SIZE)).astype(np.uint8)
        path = tmp_path / name
        with rasterio.open(
            path, "w", height=SIZE, width=SIZE, count=3, dtype="uint8", **profile
        ) as target:
            target.write(noise)
        return path

    return write


FORMATS = [
    ("a.png", {"driver": "PNG"}),
    ("a.jpg", {"driver": "JPEG"}),
    ("a.jpeg", {"driver": "JPEG", "PROGRESSIVE": "YES"}),
    ("a.jp2", {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES", "QUALITY": 100}),
    ("a.tif", {"driver": "GTiff", "compress": "deflate"}),
    ("a.tiff", {"driver": "GTiff", "compress": "lzw", "blockysize": SIZE}),
    ("a.TIF", {"driver": "GTiff"}),
]


@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
@pytest.mark.parametrize(("name", "profile"), FORMATS)
def test_a_file_cut_anywhere_is_never_read(whole, name, profile, share):
    path = whole(name, **profile)
    content = path.read_bytes()
    assert read_scene(open_scene(str(path)))[1].all()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SceneError, match="trunca"):
        read_scene(open_scene(str(path)))


def chunk(kind, content):
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("window", [None, Tile(0, 0, SIZE, SIZE), Tile(100, 0, 100, 50)])
def test_a_png_with_an_end_but_without_half_its_pixels_is_an_error(tmp_path, window):
    rows = (b"\0" + bytes(range(1, 201)) * 3) * (SIZE // 2)
    header = pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(SceneError, match="may be truncated"):
        read_scene(open_scene(str(path)), window)


@pytest.mark.parametrize("profile", [{}, {"PROGRESSIVE": "YES"}, {"EXIF_THUMBNAIL": "YES"}])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_end_is_truncated(whole, profile, cut):
    path = whole("a.jpg", driver="JPEG", **profile)
    expected = read_scene(open_scene(str(path)))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with pytest.raises(SceneError, match=r"a\.jpg is truncated \(a JPEG without its end\)"):
        open_scene(str(path))
    # Cameras write a video or further images behind it.
    path.write_bytes(content + bytes(100_000) + b"video")
    assert (read_scene(open_scene(str(path)))[0] == expected).all()


def mask_beside(path):
    with rasterio.open(
        f"{path}.msk", "w", driver="GTiff", width=SIZE, height=SIZE, count=1, dtype="uint8"
    ) as file:
        file.write(np.repeat([[255], [0]], SIZE // 2, 0).repeat(SIZE, 1).astype(np.uint8)[None])
        file.update_tags(**{f"INTERNAL_MASK_FLAGS_{i}": 2 for i in (1, 2, 3)})


PLACE_AND_VALID = """
import sys
from polynya.environment import settle_process
settle_process()
from polynya.scenes.reading import open_scene, read_scene
for path in sys.argv[1:]:
    scene = open_scene(path)
    print(scene.transform, scene.crs, read_scene(scene)[1].sum())
"""


@pytest.mark.parametrize(
    "variables",
    [
        {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"},
        {"GDAL_PAM_ENABLED": "NO", "GDAL_PAM_MODE": "AUX"},
        {"GDAL_GEOREF_SOURCES": "NONE", "GDAL_SKIP": "GTiff"},
        {"GTIFF_POINT_GEO_IGNORE": "TRUE", "GTIFF_IGNORE_READ_ERRORS": "YES"},
        {"CONFIG": "GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR\nGTIFF_POINT_GEO_IGNORE=TRUE\n"},
    ],
)
def test_settings_of_other_programs_change_neither_place_nor_mask(whole, tmp_path, variables):
    point = whole("a.tif", driver="GTiff", crs="EPSG:32760", transform=Affine(10, 0, 0, 0, -10, 0))
    with rasterio.open(point, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    photo = whole("b.jpg", driver="JPEG")
    (tmp_path / "b.jgw").write_text("10\n0\n0\n-10\n5\n-5\n")
    for path in (point, photo):
        mask_beside(path)
    settings = dict(variables)
    if "CONFIG" in settings:
        (tmp_path / "gdalrc").write_text("[configoptions]\n" + settings.pop("CONFIG"))
        settings["GDAL_CONFIG_FILE"] = str(tmp_path / "gdalrc")
    result = subprocess.run(
        [sys.executable, "-c", PLACE_AND_VALID, point, photo],
        env=os.environ | settings, capture_output=True, text=True, check=True,
    )  # fmt: skip
    place, half = "(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)", SIZE * SIZE // 2
    assert result.stdout.splitlines() == [f"{place} EPSG:32760 {half}", f"{place} None {half}"]


def test_a_png_without_its_last_bytes_is_truncated(whole):
    path = whole("a.png", driver="PNG")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(SceneError, match="a PNG without its end"):
        open_scene(str(path))


def claims(width, height, source=""):
    band = '<VRTRasterBand dataType="Byte" band="{}"/>'
    bands = "".join(band.format(i) for i in (1, 2, 3))
    return f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{bands}{source}</VRTDataset>'


@pytest.mark.parametrize(
    ("width", "height", "problem"),
    [
        (2**31 - 1, 2**31 - 1, "a scene may have .* pixels"),
        (2**20, 100, "a scene may have .* columns"),
        (2**17, 2**14, "in only .* bytes, so it is damaged or nearly empty"),
    ],
)
def test_a_small_file_that_claims_many_pixels_is_refused_when_it_is_opened(
    tmp_path, width, height, problem
):
    path = tmp_path / "a.vrt"
    path.write_text(claims(width, height))
    with pytest.raises(SceneError, match=f"{problem}.*gdal_translate -srcwin"):
        open_scene(str(path))
    sparse = tmp_path / "a.tif"
    if max(width, height) < 2**20:
        with rasterio.open(
            sparse, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8",
            tiled=True, blockxsize=4096, blockysize=4096, SPARSE_OK=True, BIGTIFF="YES",
        ):  # fmt: skip
            pass
        with pytest.raises(SceneError, match=problem):
            open_scene(str(sparse))


def test_one_block_that_expands_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=11000, width=11000, count=3, dtype="uint8",
        compress="zstd", tiled=True, blockxsize=11008, blockysize=11008, SPARSE_OK=True,
    ):  # fmt: skip
        pass
    with pytest.raises(SceneError, match="damaged or nearly empty"):
        open_scene(str(path))


def test_a_nearly_empty_scene_of_an_ordinary_size_is_read(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=10980, width=10980, count=3, dtype="uint8", tiled=True,
        SPARSE_OK=True, nodata=0,
    ):  # fmt: skip
        pass
    assert not read_scene(open_scene(str(path)), Tile(0, 0, 512, 512))[1].any()


@pytest.fixture
def silent_server(monkeypatch):
    """Address of a server that takes connections and says nothing; and how often it was asked."""
    monkeypatch.setattr(stores, "SILENT_SECONDS", 1)
    rasters._silent.clear()
    server = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept():
        while True:
            try:
                kept.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", kept
    server.close()
    for connection in kept:
        connection.close()
    rasters._silent.clear()


def test_a_silent_server_is_given_up_and_asked_one_short_question_for_the_next_scene(
    silent_server, monkeypatch
):
    address, kept = silent_server
    monkeypatch.setattr(rasters, "_QUESTION", 0.5)
    with pytest.raises(SceneError, match=r"can't be read .*; check the address"):
        open_scene(f"{address}/a.tif")
    asked = len(kept)
    for name in ("a.tif", "b.tif", "b.tif", "c.png"):
        with pytest.raises(SceneError, match="its server doesn't answer; check the address"):
            open_scene(f"{address}/{name}")
    assert len(kept) == asked + 2


def test_limits_of_the_environment_win():
    options = stores.gdal_options({"GDAL_HTTP_TIMEOUT": "600"})
    assert "GDAL_HTTP_TIMEOUT" not in options
    assert int(options["GDAL_HTTP_LOW_SPEED_TIME"]) < 60


def test_names_that_are_no_utf_8_are_read_with_what_lies_beside(whole, tmp_path):
    path = whole("a.tif", driver="GTiff")
    with rasterio.open(
        tmp_path / "a.tif.msk", "w", driver="GTiff", height=SIZE, width=SIZE, count=1, dtype="uint8"
    ) as mask:
        mask.write(np.repeat([[0, 255]], SIZE, axis=0).repeat(SIZE // 2, axis=1).astype("uint8"), 1)
        mask.update_tags(INTERNAL_MASK_FLAGS_1=2)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/s\xf8.tif")
    os.rename(path, strange)
    os.rename(f"{path}.msk", f"{strange}.msk")
    valid = read_scene(open_scene(strange))[1]
    assert valid[:, SIZE // 2 :].all()
    assert not valid[:, : SIZE // 2].any()
