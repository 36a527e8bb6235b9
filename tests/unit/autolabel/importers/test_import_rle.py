"""The kind `rle`: tables of run-length codes."""

import numpy as np
import pytest

from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import HEIGHT, WIDTH, MadeSet, classes, image, write_raster
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile

WHOLE = Tile(0, 0, HEIGHT, WIDTH)


@pytest.fixture
def labelled(tmp_path):
    """Labels of the image a.png by a table: labelled(text, *names, kind=..., **imports)."""

    def label(text, *names, kind="masks", **imports):
        write_raster(tmp_path / "train_images" / "a.png", image(0))
        (tmp_path / "train.csv").write_text(text)
        recipe = {"classes": classes(*names, kind=kind), "imports": {"kind": "rle"} | imports}
        made = MadeSet(tmp_path / "train.csv", recipe)
        (sample,) = find_samples([str(made.source)], made.checked())
        scene = open_sample(sample, made.checked())
        return read_sample(scene, made.checked(), WHOLE)[0].label

    return label


def test_rows_of_one_image_and_mask_add_up(labelled):
    label = labelled("ImageId,EncodedPixels\na.png,1 2\na.png,41 1\na.png,\n", "ship")
    assert (label[:2, 0] == 1).all()
    assert label[0, 1] == 1
    assert label.sum() == 3


def test_masks_that_overlap_share_a_pixel(labelled):
    text = "Image_Label,EncodedPixels\na.png_Fish,1 4\na.png_flower,3 4\n"
    assert labelled(text, "fish", "flower")[:7, 0].tolist() == [1, 1, 3, 3, 2, 2, 0]


def test_classes_in_a_column_of_their_own_and_by_numbers(labelled):
    text = "ImageId,ClassId,EncodedPixels\na.png,1,1 2\na.png,4,5 1\n"
    codes = {1: "scratch", 4: "dent"}
    assert labelled(text, "scratch", "dent", codes=codes)[:5, 0].tolist() == [1, 1, 0, 0, 2]


def test_exclusive_classes_have_a_background_or_nodata_between_them(labelled):
    text = "Image_Label,EncodedPixels\na.png_ice,1 2\n"
    options = {"kind": "exclusive"}
    assert labelled(text, "water", "ice", **options)[:3, 0].tolist() == [1, 1, 255]
    options["background"] = "water"
    assert labelled(text, "water", "ice", **options)[:3, 0].tolist() == [1, 1, 0]


def test_exclusive_classes_must_not_overlap(labelled):
    text = "Image_Label,EncodedPixels\na.png_ice,1 4\na.png_water,3 4\n"
    with pytest.raises(LabelError) as error:
        labelled(text, "water", "ice", kind="exclusive")
    assert str(error.value) == (
        "train.csv, line 3, has a mask that overlaps another one of its image at row 2, column 0"
        " (0-based), and classes exclude each other; set the recipe's key 'classes.kind' to masks."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Image_Label,EncodedPixels\na.png_Fish,1 9999\n", "train.csv, line 2, has a wrong run"),
        ("Image_Label,EncodedPixels\na.png_whale,1 2\n", "line 2, is for 'whale', which is no cla"),
        ("Image_Label,EncodedPixels\n../a.png_fish,1 2\n", "line 2, has the image '../a.png'"),
        ("Image_Label,EncodedPixels\n/a.png_fish,1 2\n", "which is no file in train_images"),
        ("Image_Label,EncodedPixels\nb.png_fish,1 2\n", "b.png does not exist; check the path"),
        ("Image_Label,EncodedPixels\na.png_fish\n", "line 2, has 1 cells and the header 2"),
        ("a,b\n1,2\n", "has the columns a, b, and run-length codes have Image_Label,EncodedPixels"),
        ("", "has the columns \\(none\\)"),
        ("Image_Label,EncodedPixels\n\0,\n", "line 2, has the image '"),
    ],
)
def test_wrong_rows_are_named(labelled, text, reason):
    with pytest.raises(SceneError, match=reason):
        labelled(text, "fish")


def test_a_code_may_be_longer_than_python_s_csv_allows(labelled):
    code = " ".join(f"{start} 1" for start in range(1, HEIGHT * WIDTH, 2))
    code += " " * 200_000
    label = labelled(f"Image_Label,EncodedPixels\na.png_fish,{code}\n", "fish")
    assert (label.T.reshape(-1) == np.tile([1, 0], HEIGHT * WIDTH // 2)).all()
