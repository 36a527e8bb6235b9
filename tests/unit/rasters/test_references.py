"""What a scene's file may refer to, and by which drivers it is opened."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import ice_image
from rasterio.vrt import WarpedVRT

from helpers.scenes.virtual_rasters import make_places, raw, simple, vrt
from polynya.errors import SceneError
from polynya.rasters.own_references import remember
from polynya.rasters.references import allowed_drivers, ending
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.identity import raster_digest
from polynya.scenes.reading import open_scene, read_scene
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output

ANYWHERE = SceneOptions(references="anywhere")


@pytest.fixture
def places(tmp_path, write_scene):
    return make_places(tmp_path, write_scene)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (lambda d: raw(d.parent / "secret.txt"), "has the part 'VRTRawRasterBand'"),
        (lambda d: raw("notes.txt", 1), "has the part 'VRTRawRasterBand'"),
        (lambda d: vrt(d.parent / "outside.tif"), "refers to .*outside.tif, which is no file in"),
        (lambda d: vrt("../outside.tif", relative=1), "refers to ../outside.tif, which is no file"),
        (lambda d: vrt("link.tif", relative=1), "refers to link.tif, which is no file"),
        (lambda d: vrt("notes.txt", relative=1), "notes.txt, which is no TIFF, PNG, JPEG or JPEG"),
        (lambda d: vrt("wms.tif", relative=1), "wms.tif, which is no TIFF, PNG"),
        (lambda d: vrt("http://127.0.0.1:9/x.tif"), "refers to http.*, which is no file"),
        (lambda d: vrt("/vsicurl/http://127.0.0.1:9/x.tif"), "refers to /vsicurl"),
        (lambda d: vrt("/vsistdin/"), "refers to /vsistdin/, which"),
        (lambda d: vrt("GTIFF_DIR:1:../outside.tif", relative=1), "refers to GTIFF_DIR"),
        (lambda d: vrt("inside.tif"), "refers to inside.tif, which is no file"),  # Of where one is.
        (lambda d: vrt("", inside=f'<SimpleSource SourceFilename="{d.parent}/outside.tif"/>'),
         "has the part 'SourceFilename'"),
        (lambda d: vrt("", kind='subClass="VRTDerivedRasterBand"',
                       inside="<PixelFunctionLanguage>Python</PixelFunctionLanguage>"),
         "has the part '(VRTDerivedRasterBand|PixelFunctionLanguage)'"),
        (lambda d: vrt("<!-- x -->inside.tif", relative=1), "has the part"),
        (lambda d: "<!DOCTYPE x [<!ENTITY e 'y'>]>" + vrt("&e;"), "it declares entities"),
        (lambda d: vrt("a.vrt", relative=1), "refers to itself"),
        (lambda d: vrt("nested.vrt", relative=1), "refers to .*outside.tif, which is no file"),
        (lambda d: "<GDAL_WMS/>", "it is no VRTDataset"),
        (lambda d: "", "can't be read as a virtual raster"),
    ],
)  # fmt: skip
def test_a_virtual_raster_reads_nothing_that_nobody_named(places, text, problem):
    (places / "link.tif").symlink_to(places.parent / "outside.tif")
    (places / "wms.tif").write_text("<GDAL_WMS></GDAL_WMS>")
    (places / "nested.vrt").write_text(vrt(places.parent / "outside.tif"))
    (places / "a.vrt").write_text(text(places))
    with pytest.raises(SceneError, match=problem) as caught:
        open_scene(str(places / "a.vrt"))
    assert "\n" not in str(caught.value)
    assert "a.vrt" in str(caught.value)


@pytest.mark.parametrize("content", [raw, vrt, lambda path: f"<GDAL_WMS>{path}</GDAL_WMS>"])
@pytest.mark.parametrize("name", ["x.tif", "x.png", "x.jpg", "x.jp2", "x.dat", "x.zip"])
def test_the_ending_says_which_driver_opens_a_file(places, content, name):
    text = content(places / "inside.tif")
    if name.endswith(".zip"):
        with zipfile.ZipFile(places / name, "w") as archive:
            archive.writestr("y.tif", text)
        uri = f"/vsizip/{places / name}/y.tif"
    else:
        (places / name).write_text(text)
        uri = str(places / name)
    with pytest.raises(SceneError, match="not recognized as being in a supported file format"):
        open_scene(uri)


def test_names_of_connections_are_no_scenes(places):
    for uri in (vrt(places / "inside.tif"), f"vrt://{places}/inside.tif?bands=1,1,1", "/vsistdin/"):
        with pytest.raises(SceneError):
            open_scene(uri)


def test_virtual_rasters_in_archives_are_refused(places):
    with zipfile.ZipFile(places / "x.zip", "w") as archive:
        archive.writestr("y.vrt", vrt(places / "inside.tif"))
    with pytest.raises(SceneError, match="may refer to any file; copy it here .*scene.references"):
        open_scene(f"/vsizip/{places / 'x.zip'}/y.vrt")


@pytest.mark.parametrize("companion", ["inside.tif.msk", "inside.tif.ovr"])
def test_a_mask_or_overview_that_is_no_image_is_refused(places, companion):
    (places / companion).write_text(raw(places.parent / "secret.txt"))
    (places / "a.vrt").write_text(vrt("inside.tif", relative=1))
    for name in ("inside.tif", "a.vrt"):
        with pytest.raises(SceneError, match=f"{companion} lies beside .* is no TIFF file"):
            open_scene(str(places / name))


def test_files_inside_and_below_are_read(places):
    image = ice_image(12, 16)
    for source in ("inside.tif", "below/b.tif", "./below/../inside.tif"):
        (places / "a.vrt").write_text(vrt(source, relative=1))
        assert (read_scene(open_scene(str(places / "a.vrt")))[0] == image).all()
    (places / "a.vrt").write_text(vrt(places / "inside.tif"))
    (places / "outer.vrt").write_text(vrt("a.vrt", relative=1))
    assert (read_scene(open_scene(str(places / "outer.vrt")))[0] == image).all()


def test_what_gdal_writes_is_taken(places):
    with rasterio.open(places / "inside.tif") as source:
        rasterio.shutil.copy(source, places / "plain.vrt", driver="VRT")
        with WarpedVRT(source, crs="EPSG:3412") as warped:
            rasterio.shutil.copy(warped, places / "warped.vrt", driver="VRT")
    for name in ("plain.vrt", "warped.vrt"):
        assert open_scene(str(places / name)).height > 0


def test_the_recipe_can_trust_files(places):
    (places / "a.vrt").write_text(vrt(places.parent / "outside.tif"))
    scene = open_scene(str(places / "a.vrt"), ANYWHERE)
    assert (read_scene(scene)[0] == ice_image(12, 16)).all()
    (places / "b.vrt").write_text(raw(places.parent / "secret.txt"))
    open_scene(str(places / "b.vrt"), ANYWHERE)


@pytest.fixture
def caches(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("POLYNYA_CACHE", str(folder))
    return folder


def test_a_virtual_raster_that_this_user_asked_for_is_read_until_somebody_changes_it(
    places, caches
):
    text = vrt(places.parent / "outside.tif")
    (places / "a.vrt").write_text(text)
    remember(text.encode())
    scene = open_scene(str(places / "a.vrt"))
    assert (read_scene(scene)[0] == ice_image(12, 16)).all()
    # Workers on other machines need not know: it goes with the scene.
    shutil.rmtree(caches)
    assert (read_scene(scene)[0] == ice_image(12, 16)).all()
    assert len(raster_digest(str(places / "a.vrt"), scene.references)) == 64
    (places / "a.vrt").write_text(text + " ")
    with pytest.raises(SceneError, match="refers to"):
        read_scene(scene)


def test_one_that_this_user_asked_for_is_held_to_images(places, caches):
    text = raw(places.parent / "secret.txt")
    (places / "a.vrt").write_text(text)
    remember(text.encode())
    with pytest.raises(SceneError, match="has the part 'VRTRawRasterBand'"):
        open_scene(str(places / "a.vrt"))


def test_a_ledger_that_came_with_the_data_proves_nothing(places, caches):
    out = places / "scenes"
    with open_output(out, "scenes"):
        write_text(out / "a.vrt", vrt(places.parent / "outside.tif"))
    with pytest.raises(SceneError, match="which is no file .*scenes --in-place.*anywhere"):
        open_scene(str(out / "a.vrt"))


def test_without_a_place_for_caches_the_recipe_decides(places, monkeypatch):
    monkeypatch.setattr("polynya.rasters.own_references.cache_folder", lambda name: None)
    text = vrt(places.parent / "outside.tif")
    (places / "a.vrt").write_text(text)
    remember(text.encode())
    with pytest.raises(SceneError, match="set scene.references to anywhere"):
        open_scene(str(places / "a.vrt"))
    assert open_scene(str(places / "a.vrt"), ANYWHERE).width == 16


def test_virtual_rasters_that_multiply_are_refused_at_once(places):
    for number in range(7):
        source = "inside.tif" if number == 6 else f"b{number + 1}.vrt"
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{i}">{simple(source, 1, 1) * 12}</VRTRasterBand>'
            for i in (1, 2, 3)
        )
        (places / f"b{number}.vrt").write_text(
            f'<VRTDataset rasterXSize="16" rasterYSize="12">{bands}</VRTDataset>'
        )
    with pytest.raises(SceneError, match="refers to files more than 1,000,000 times"):
        open_scene(str(places / "b0.vrt"))
    assert open_scene(str(places / "b4.vrt")).width == 16


def test_layers_are_held_to_the_same(places):
    (places / "inside_clouds.vrt").write_text(raw(places.parent / "secret.txt"))
    options = SceneOptions(layers=LayerOptions(clouds="{stem}_clouds.vrt"))
    with pytest.raises(SceneError, match="has the part 'VRTRawRasterBand'"):
        open_scene(str(places / "inside.tif"), options)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/vsicurl/https://x.org/a/B04.TIF?sig=a.b", ".tif"),
        ("/vsicurl?pc_url_signing=yes&pc_collection=c&url=https%3A%2F%2Fx%2Fa.tif", ".tif"),
        ("/vsis3/b/a.jp2", ".jp2"),
        ("/vsizip/{/d/x.SAFE.zip}/g/T_B04.jp2", ".jp2"),
        ("/data/a.b/c", ""),
    ],
)
def test_endings_of_paths_and_addresses(path, expected):
    assert ending(path) == expected


def test_unknown_endings_get_drivers_that_open_no_other_files():
    drivers = allowed_drivers("/data/scene", "inside")
    assert "GTiff" in drivers
    assert not {"VRT", "WMS", "GTI", "HDF5", "netCDF"} & set(drivers)
    assert allowed_drivers("/data/scene.img", "anywhere") is None


def test_a_tiff_without_its_ending_is_read(places):
    shutil.copy(places / "inside.tif", places / "scene")
    assert np.array_equal(read_scene(open_scene(str(places / "scene")))[0], ice_image(12, 16))
    assert Path(places / "scene").exists()
