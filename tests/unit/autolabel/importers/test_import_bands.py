"""Bands of several files of a scene, on one grid."""

import numpy as np
import pytest
from rasterio.transform import from_origin

from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    NORTH,
    PIXEL,
    WEST,
    WIDTH,
    bands,
    image,
    write_raster,
)
from polynya.errors import SceneError
from polynya.grid import Tile

WHOLE = Tile(0, 0, HEIGHT, WIDTH)


def read(made, window=WHOLE):
    recipe = made.checked()
    samples = {sample.id: sample for sample in find_samples([str(made.source)], recipe)}
    return read_sample(open_sample(samples["a"], recipe), recipe, window)


def with_place(made):
    """Write the first scene with a place, its short-wave infrared with larger pixels."""
    write_raster(made.source / "a_rgb.tif", image(0), place=True)
    write_raster(made.source / "a_nir.tif", image(0, 5)[..., 3], place=True)
    coarse = np.tile(np.arange(0, WIDTH // 2, dtype=np.uint8) * 4 + 20, (HEIGHT // 2, 1))
    transform = from_origin(WEST, NORTH, 2 * PIXEL, 2 * PIXEL)
    write_raster(made.source / "a_swir.tif", coarse, crs="EPSG:3031", transform=transform)


def test_larger_pixels_are_interpolated_on_the_grid_of_the_first_file(tmp_path):
    made = bands(tmp_path)
    with_place(made)
    numbers = read(made)[2].numbers
    assert (numbers[..., :3] == image(0)).all()
    # Linear along the columns: 20 at 0.5, 24 at 2.5 and so on.
    expected = 20 + 2 * (np.arange(WIDTH) - 0.5)
    assert np.abs(numbers[5, 1:-1, 4] - expected[1:-1]).max() <= 0.5
    part = Tile(11, 0, 8, WIDTH)
    assert (read(made, part)[2].numbers == numbers[part.slices]).all()


def test_what_a_file_does_not_cover_is_missing_in_its_band(tmp_path):
    made = bands(tmp_path)
    with_place(made)
    write_raster(made.source / "a_nir.tif", image(0, 5)[:20, :, 3], place=True)
    _, valid, inputs = read(made)
    assert inputs.valid[:20, :, 3].all()
    assert not inputs.valid[21:, :, 3].any()
    assert inputs.valid[..., 0].all()
    assert valid.all()


def test_bands_are_chosen_by_name_in_any_order(tmp_path):
    made = bands(tmp_path)
    made.recipe["scene"]["inputs"] = ["swir16", "red"]
    assert (read(made)[2].numbers == image(0, 5)[..., [4, 0]]).all()


def test_files_say_their_names_and_nodata_themselves(tmp_path):
    import rasterio

    made = bands(tmp_path)
    del made.recipe["imports"]["bands"]
    made.recipe["scene"]["inputs"] = ["band_1", "thermal"]
    pixels = image(0, 5)[..., 3]
    with rasterio.open(made.source / "a_nir.tif", "w", driver="GTiff", height=HEIGHT, width=WIDTH,
                       count=1, dtype="uint8", nodata=7) as target:  # fmt: skip
        target.write(pixels, 1)
        target.descriptions = ("thermal",)
    inputs = read(made)[2]
    assert (inputs.valid[..., 1] == (pixels != 7)).all()
    assert inputs.valid[..., 0].all()


def test_files_that_do_not_go_together_are_refused(tmp_path):
    made = bands(tmp_path)
    write_raster(made.source / "a_nir.tif", image(0)[:9, :, 0])
    with pytest.raises(SceneError, match="a_nir.tif has 9 x 56 pixels and .*a_rgb.tif 40 x 56, an"):
        read(made)
    write_raster(made.source / "a_nir.tif", image(0)[..., 0].astype(np.uint16))
    with pytest.raises(SceneError, match="have bands of different types \\(uint16, uint8\\); conv"):
        read(made)
    (made.source / "a_nir.tif").unlink()
    with pytest.raises(SceneError, match="a has no file '{stem}_nir.tif' and needs one; fix"):
        read(made)
    made.recipe["scene"] = {}
    (sample,) = find_samples([str(made.source)], made.checked())
    assert "The kind 'bands' needs the recipe's key 'scene.inputs'" in sample.problem
