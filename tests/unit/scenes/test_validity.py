"""Which pixels have data, by what the file says of the bands that are used."""

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.enums import ColorInterp

from polynya.recipe.scene import SceneOptions
from polynya.scenes.reading import open_scene, read_scene

HOLE = np.zeros((12, 16), bool)
HOLE[:5, :7] = True


def rgb(hole=0):
    image = ice_image(12, 16)
    image[HOLE] = hole
    return image


def valid(path, **options):
    image, mask = read_scene(open_scene(str(path), SceneOptions(**options)))
    assert (image[~mask] == 0).all()
    return mask


def vrt(path, bands, extra="", size=(16, 12)):
    """A virtual raster: (file, band, XML inside the band) for each band."""
    body = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}">{xml}<SimpleSource><SourceFilename'
        f' relativeToVRT="1">{file}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for i, (file, band, xml) in enumerate(bands, 1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{size[0]}" rasterYSize="{size[1]}">{extra}{body}</VRTDataset>'
    )
    return path


@pytest.mark.parametrize("place", [1, 4])
def test_a_band_without_holes_does_not_hide_those_of_the_colours(write_scene, place):
    stack = np.insert(rgb(7), place - 1, 77, axis=2)
    names = list(np.insert(np.array(["B04", "B03", "B02"], dtype="<U5"), place - 1, "slope"))
    path = write_scene("a.tif", stack, nodata=7, descriptions=names)
    assert (valid(path) == ~HOLE).all()


def test_each_used_band_has_its_own_nodata_value(write_scene, tmp_path):
    image = rgb()
    image[HOLE] = (1, 2, 3)
    write_scene("a.tif", image)
    values = [(f"<NoDataValue>{n}</NoDataValue>") for n in (1, 2, 3)]
    path = vrt(tmp_path / "a.vrt", [("a.tif", i, x) for i, x in enumerate(values, 1)])
    assert (valid(path) == ~HOLE).all()


def test_a_used_band_without_a_nodata_value_says_nothing(write_scene, tmp_path):
    write_scene("a.tif", rgb(9))
    bands = [("a.tif", 1, ""), ("a.tif", 2, "<NoDataValue>9</NoDataValue>"), ("a.tif", 3, "")]
    assert (valid(vrt(tmp_path / "a.vrt", bands)) == ~HOLE).all()


def test_a_pixel_has_data_where_one_used_band_has(write_scene):
    image = ice_image(12, 16)
    image[HOLE, 2] = 0
    assert valid(write_scene("a.tif", image, nodata=0)).all()


@pytest.mark.parametrize("value", ["nan", "300", "-1", "0.5"])
def test_a_nodata_value_that_no_pixel_can_have_is_none(write_scene, tmp_path, value):
    write_scene("a.tif", rgb())
    bands = [("a.tif", i, f"<NoDataValue>{value}</NoDataValue>") for i in (1, 2, 3)]
    path = vrt(tmp_path / "a.vrt", bands)
    with rasterio.open(path) as source:
        said = source.nodatavals[0]
    # GDAL brings some into the range of the type, where 0 is 0.
    assert (valid(path, zero_is_nodata=said != 0) == ~HOLE).all()


def test_nodata_values_of_all_bands_together_count_for_the_used_ones(write_scene):
    stack = np.dstack([rgb(), np.full(HOLE.shape, 5, np.uint8)])
    path = write_scene("a.tif", stack, photometric="RGB", alpha="UNSPECIFIED")
    with rasterio.open(path, "r+") as target:
        target.update_tags(NODATA_VALUES="0 0 0 0")
    assert (valid(path, zero_is_nodata=False) == ~HOLE).all()


def test_the_near_infrared_is_no_alpha_whatever_the_format_calls_it(write_scene):
    infrared = np.where(HOLE, 0, 90).astype(np.uint8)  # Water is black there.
    names = ("B04", "B03", "B02", "B08")
    path = write_scene("a.tif", np.dstack([ice_image(12, 16), infrared]), descriptions=names)
    with rasterio.open(path) as source:
        assert source.colorinterp[3] == ColorInterp.alpha
    assert valid(path).all()


def test_alpha_and_nodata_values_both_count(write_scene):
    alpha = np.full(HOLE.shape, 255, np.uint8)
    alpha[-1] = 0
    path = write_scene("a.tif", np.dstack([rgb(), alpha]), nodata=0)
    assert (valid(path) == (~HOLE & (alpha > 0))).all()


@pytest.mark.parametrize("owner", ["a.tif", "a.vrt"])
def test_a_mask_beside_a_file_or_a_virtual_raster_is_seen(write_scene, tmp_path, owner):
    write_scene("a.tif", ice_image(12, 16))
    path = vrt(tmp_path / "a.vrt", [("a.tif", i, "") for i in (1, 2, 3)])
    mask = write_scene("mask.tif", np.where(HOLE, 0, 255).astype(np.uint8))
    with rasterio.open(mask, "r+") as target:
        target.update_tags(INTERNAL_MASK_FLAGS_1=2)
    mask.rename(tmp_path / f"{owner}.msk")
    assert (valid(tmp_path / owner) == ~HOLE).all()
    if owner == "a.tif":  # GDAL doesn't take it along by itself.
        masked = "<MaskBand><VRTRasterBand dataType='Byte'><SimpleSource><SourceFilename \
relativeToVRT='1'>a.tif</SourceFilename><SourceBand>mask,1</SourceBand></SimpleSource>\
</VRTRasterBand></MaskBand>"
        path = vrt(path, [("a.tif", i, "") for i in (1, 2, 3)], extra=masked)
        assert (valid(path) == ~HOLE).all()


def test_nodata_values_in_a_sidecar_are_seen(write_scene, tmp_path):
    path = write_scene("a.tif", rgb(9))
    bands = "".join(
        f'<PAMRasterBand band="{i}"><NoDataValue>9</NoDataValue></PAMRasterBand>' for i in (1, 2, 3)
    )
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    assert (valid(path) == ~HOLE).all()
