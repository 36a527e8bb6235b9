"""The kind `folder`: images and masks of many forms, and what may be wrong with them."""

import os
import tarfile
import zipfile

import numpy as np
import pytest

from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    WIDTH,
    MadeSet,
    classes,
    folder,
    image,
    labels,
    write_raster,
)
from polynya.errors import LabelError, RecipeError, SceneError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe

WHOLE = Tile(0, 0, HEIGHT, WIDTH)
NAMES = ("water", "ice", "land")
COLORS = [[30, 9, 200], [60, 9, 199], [90, 9, 198]]
"""Those of `classes(*NAMES)`."""


def read(made, name="a"):
    recipe = made.checked()
    samples = {sample.id: sample for sample in find_samples([str(made.source)], recipe)}
    return read_sample(open_sample(samples[name], recipe), recipe, WHOLE)


def one_pair(place, mask, suffix=".tif", kind="exclusive", names=NAMES, profile=None, **imports):
    """A data set of one image and one mask."""
    write_raster(place / "images" / "a.tif", image(0))
    write_raster(place / "masks" / f"a{suffix}", mask, **(profile or {}))
    recipe = {"classes": classes(*names, kind=kind), "imports": {"kind": "folder"} | imports}
    return MadeSet(place, recipe)


# === Masks ===


def test_colours_are_those_of_the_classes(tmp_path):
    made = one_pair(tmp_path, np.uint8(COLORS)[labels(0, 3)], coding="colors")
    assert (read(made)[0].label == labels(0, 3)).all()


def test_colours_may_be_others_and_one_may_mean_unknown(tmp_path):
    colors = {"water": [0, 0, 255], "ice": [255, 255, 255], "land": [0, 99, 0]}
    table = np.uint8([*colors.values(), [0, 0, 0]])
    made = one_pair(
        tmp_path, table[labels(0, 4)], coding="colors", colors=colors, unknown_color=[0, 0, 0]
    )
    assert (read(made)[0].label == np.where(labels(0, 4) == 3, 255, labels(0, 4))).all()


def test_an_unknown_colour_is_an_error_or_the_nearest_one(tmp_path):
    mask = np.uint8(COLORS)[labels(0, 3)]
    mask[0, 0] = mask[0, 0] + 2
    made = one_pair(tmp_path, mask, coding="colors")
    with pytest.raises(LabelError, match=r"has the colour \[.*\], which stands for no class"):
        read(made)
    made.recipe["imports"]["nearest"] = True
    assert (read(made)[0].label == labels(0, 3)).all()


def test_a_palette_gives_numbers_or_colours(tmp_path):
    made = one_pair(tmp_path, labels(0, 3), ".png")
    import rasterio

    with rasterio.open(tmp_path / "masks" / "a.tif", "w", driver="GTiff", height=HEIGHT,
                       width=WIDTH, count=1, dtype="uint8") as target:  # fmt: skip
        target.write(2 - labels(0, 3), 1)
        target.write_colormap(1, {2 - code: tuple(color) for code, color in enumerate(COLORS)})
    os.remove(tmp_path / "masks" / "a.png")
    assert (read(made)[0].label == 2 - labels(0, 3)).all()
    made.recipe["imports"]["coding"] = "colors"
    assert (read(made)[0].label == labels(0, 3)).all()


def test_a_band_for_each_class(tmp_path):
    hot = np.eye(3, dtype=np.uint8)[labels(0, 3)] * 255
    hot[0, 0] = 0
    made = one_pair(tmp_path, hot, coding="one-hot")
    expected = labels(0, 3)
    expected[0, 0] = 255
    assert (read(made)[0].label == expected).all()
    hot[1, 1] = 255
    write_raster(tmp_path / "masks" / "a.tif", hot)
    with pytest.raises(LabelError, match="has several classes at row 1, column 1"):
        read(made)
    made.recipe["classes"] = classes(*NAMES, kind="masks")
    label = read(made)[0].label
    assert (label[0, 0], label[1, 1]) == (0, 7)


def test_numbers_are_merged_left_out_and_split_into_masks(tmp_path):
    numbers = labels(0, 4) * 50
    codes = {0: "water", 50: "ice", 100: "ice", 150: None}
    made = one_pair(tmp_path, numbers, codes=codes)
    assert (read(made)[0].label == np.array([0, 1, 1, 255])[labels(0, 4)]).all()
    codes = {0: [], 50: "water", 100: ["water", "land"], 150: None}
    made = one_pair(tmp_path, numbers, kind="masks", codes=codes)
    assert (read(made)[0].label == np.array([0, 1, 5, 255])[labels(0, 4)]).all()


def test_a_binary_mask_of_0_and_255(tmp_path):
    made = one_pair(tmp_path, labels(0, 2) * 255, ".png", codes={0: "water", 255: "ice"})
    assert (read(made)[0].label == labels(0, 2)).all()


def test_partial_labels_are_nodata_elsewhere(tmp_path):
    mask = np.full((HEIGHT, WIDTH), -1, np.int16)
    mask[3, 5], mask[20:30, 10:20] = 2, 1  # A point and an area.
    made = one_pair(tmp_path, mask, profile={"nodata": -1})
    expected = np.where(mask < 0, 255, mask)
    assert (read(made)[0].label == expected).all()


def test_a_nodata_value_that_is_a_class_needs_a_word(tmp_path):
    made = one_pair(tmp_path, labels(0, 3), profile={"nodata": 0})
    with pytest.raises(
        LabelError, match="says that 0 means no data, where it is also a label; say"
    ):
        read(made)
    made.recipe["imports"]["codes"] = {0: "water", 1: "ice", 2: "land"}
    assert (read(made)[0].label == labels(0, 3)).all()
    made.recipe["imports"]["codes"] = {1: "ice", 2: "land"}
    assert (read(made)[0].label == np.array([255, 1, 2])[labels(0, 3)]).all()


def test_jpeg_masks_take_the_nearest_number(tmp_path):
    numbers = np.roll(labels(0, 3), 3, (0, 1)) * 100  # Not along the blocks of JPEG.
    codes = {0: "water", 100: "ice", 200: "land"}
    made = one_pair(tmp_path, numbers, ".jpg", codes=codes, profile={"quality": 85})
    with pytest.raises(LabelError, match="set 'imports.nearest' to true if JPEG has changed it"):
        read(made)
    made.recipe["imports"]["nearest"] = True
    assert (read(made)[0].label == numbers // 100).mean() > 0.99


@pytest.mark.parametrize(
    ("mask", "imports", "reason"),
    [
        (labels(0, 4), {}, r"has the number 3, which stands for no class \(known: 0, 1, 2, 255\)"),
        (labels(0, 3)[1:], {}, "has 39 x 56 pixels and its image .* 40 x 56; give it the same"),
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), {}, "has 3 bands and needs one band of numbers;"),
        (labels(0, 3), {"coding": "colors"}, "has 1 bands and needs red, green and blue"),
        (labels(0, 3), {"coding": "one-hot"}, "has 1 bands of classes and 'made' 3 classes; name"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, mask, imports, reason):
    with pytest.raises(LabelError, match=reason):
        read(one_pair(tmp_path, mask, **imports))


# === Images ===


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_images_of_any_depth_and_number_of_bands(tmp_path, dtype, count):
    made = one_pair(tmp_path, labels(0, 3))
    pixels = image(1, count, dtype)
    pixels[4, 4] = 77
    write_raster(tmp_path / "images" / "a.tif", pixels)
    names = [f"layer_{n}" for n in range(count)]
    made.recipe["imports"] |= {"bands": names, "missing": 77}
    made.recipe["scene"] = {"inputs": names[::-1]}
    _, valid, inputs = read(made)
    missing = pixels[..., ::-1] == 77
    assert (inputs.valid == ~missing).all()
    assert (inputs.numbers == np.where(missing, 0, pixels[..., ::-1])).all()
    assert inputs.numbers.dtype == dtype
    assert not valid[4, 4]


def test_a_band_that_has_no_name_in_the_list_is_named(tmp_path):
    made = one_pair(tmp_path, labels(0, 3))
    made.recipe["imports"]["bands"] = ["red", "green", "blue"]
    made.recipe["scene"] = {"inputs": ["red", "nir"]}
    with pytest.raises(SceneError, match=r"has no band 'nir' \(red, green, blue\); fix scene.inpu"):
        read(made)


# === Names ===


def ids(made):
    samples = find_samples([str(made.source)], made.checked())
    return {sample.id: sample.problem for sample in samples}


def test_a_folder_of_its_own_validates(tmp_path):
    made = folder(tmp_path / "data")
    for kind in ("images", "masks"):
        pixels = image(5) if kind == "images" else labels(5, 3)
        write_raster(tmp_path / "data" / "valid" / kind / "c.tif", pixels)
    made.recipe["imports"]["validation"] = "valid"
    assert set(ids(made)) == {"a", "b", "val-c"}
    assert (read(made, "val-c")[0].label == labels(5, 3)).all()


def test_names_match_by_a_pattern(tmp_path):
    for name in ("x1", "x2"):
        write_raster(tmp_path / "set" / f"img_{name}_2020.tif", image(0))
        write_raster(tmp_path / "set" / "gt" / f"{name}.mask.tif", labels(0, 3))
    patterns = {"images": "set/img_{stem}_*.tif", "masks": "**/{stem}.mask.tif"}
    recipe = {"classes": classes(*NAMES), "imports": {"kind": "folder"} | patterns}
    made = MadeSet(tmp_path, recipe)
    assert ids(made) == {"x1": "", "x2": ""}


def test_equal_names_in_several_folders_have_the_folders_in_their_ids(tmp_path):
    for part in ("north", "south"):
        write_raster(tmp_path / part / "images" / "1.tif", image(0))
        write_raster(tmp_path / part / "masks" / "1.tif", labels(0, 3))
    patterns = {"images": "{folder}/images/{stem}.tif", "masks": "{folder}/masks/{stem}.tif"}
    recipe = {"classes": classes(*NAMES), "imports": {"kind": "folder"} | patterns}
    made = MadeSet(tmp_path, recipe)
    assert ids(made) == {"north-images-1": "", "south-images-1": ""}
    twice = find_samples([str(tmp_path), str(tmp_path / "north")], made.checked())
    assert len(twice) == 2


def test_an_image_with_other_labels_in_two_sources_is_not_guessed(tmp_path):
    write_raster(tmp_path / "a.tif", image(0))
    write_raster(tmp_path / "a_1.png", labels(0, 3))
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(f"ImageId,EncodedPixels\na.tif,{len(name)} 1\n")
    (tmp_path / "two.csv").write_text("ImageId,EncodedPixels\na.tif,3 9\n")
    recipe = {"classes": classes("fish", kind="masks"), "imports": {"kind": "rle", "images": "."}}
    made = MadeSet(tmp_path, recipe)
    sources = [str(tmp_path / name) for name in ("one.csv", "two.csv", "one.csv")]
    (sample,) = find_samples(sources, made.checked())
    assert "a.tif has other labels in" in sample.problem


def test_folders_may_be_links_even_to_themselves(tmp_path):
    made = folder(tmp_path / "data")
    (tmp_path / "data" / "masks").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "masks").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    assert ids(made) == {"a": "", "b": ""}


def test_files_beside_an_image_are_no_images(tmp_path):
    made = folder(tmp_path)
    for name in ("a.pgw", "a.png.aux.xml", "Thumbs.db"):
        (tmp_path / "images" / name).write_text("")
    assert ids(made) == {"a": "", "b": ""}


def test_images_without_mask_or_with_two_are_named_and_lonely_masks_counted(tmp_path, capsys):
    made = folder(tmp_path)
    write_raster(tmp_path / "images" / "c.png", image(3))
    write_raster(tmp_path / "masks" / "a.tif", labels(0, 3))
    write_raster(tmp_path / "masks" / "z.tif", labels(0, 3))
    problems = ids(made)
    assert (
        "has no mask 'masks/{stem}.*'; put it there, or fix imports.masks in the recipe."
        in problems["c"]
    )
    assert "has the masks masks/a.png and masks/a.tif; leave one of them" in problems["a"]
    assert "1 masks have no image ('images/{stem}.*') and are left out, such as" in (
        " ".join(capsys.readouterr().err.split())
    )


# === Archives ===


def packed(made, path):
    """Pack a data set; returns the archive."""
    files = [file for file in sorted(made.source.rglob("*")) if file.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(made.source))
    else:
        with tarfile.open(path, "w") as archive:
            for file in files:
                archive.add(file, str(file.relative_to(made.source)))
    return path


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_archives_are_read_in_place(tmp_path, suffix):
    made = folder(tmp_path / "data")
    made.source = packed(made, tmp_path / f"data{suffix}")
    assert ids(made) == {"a": "", "b": ""}
    labelled, _, _ = read(made, "b")
    assert (labelled.label == made.labels["b"]).all()
    assert (labelled.image == made.images["b"]).all()


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "C:\\evil.png"])
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_archives_that_climb_out_are_refused(tmp_path, name, suffix):
    made = folder(tmp_path / "data")
    made.source = packed(made, tmp_path / f"data{suffix}")
    if suffix == ".zip":
        with zipfile.ZipFile(made.source, "a") as archive:
            archive.writestr(name, b"")
    else:
        with tarfile.open(made.source, "a") as archive:
            archive.addfile(tarfile.TarInfo(name))
    ((_, problem),) = ids(made).items()
    assert "which climbs out of its folder; don't trust it, and pack the data set again" in problem


def test_links_in_archives_are_refused(tmp_path):
    made = folder(tmp_path / "data")
    (tmp_path / "data" / "images" / "link.png").symlink_to("/etc/hostname")
    made.source = packed(made, tmp_path / "data.tar")
    ((_, problem),) = ids(made).items()
    assert "has the member images/link.png, which is a link" in problem


# === The recipe ===


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"kind": "folder", "maks": "x"}, "unknown key 'imports.maks'; known there: background, "),
        ({"kind": "folder", "masks": "masks/*"}, "'masks' needs {stem} once"),
        ({"kind": "folder", "images": "{folder}/{stem}.tif"}, "need {folder} both, or neither"),
        ({"kind": "folder", "codes": {1: "snow"}}, "'imports.codes' has the class 'snow', which"),
        ({"kind": "folder", "background": "x"}, "'imports.background' has the class 'x'"),
        ({"kind": "folder", "dilate": {"x": 2}}, "'imports.dilate' has the class 'x'"),
        ({"kind": "folder", "padding": "background"}, "'padding' needs the key 'size'"),
        ({"kind": "folder", "fit": "pad"}, "'fit' needs the key 'size'"),
        ({"kind": "folder", "unknown_color": [0, 0, 0]}, "need 'coding' to be colors"),
        (
            {
                "kind": "folder",
                "coding": "colors",
                "unknown_color": [1, 1, 1],
                "colors": {"thin_ice": [1, 1, 1]},
            },
            "'colors' and 'unknown_color' must differ",
        ),
        ({"kind": "folder", "coding": "colors", "codes": {0: None}}, "'codes' are numbers, and"),
        ({"kind": "vector", "labels": "a.gpkg", "codes": {0: None}}, "unknown key 'imports.codes'"),
        ({"kind": "loveda", "masks": "{stem}.png"}, "unknown key 'imports.masks'"),
        ({"kind": "folders"}, "needs the key 'kind' with one of folder, rle, gym"),
    ],
)
def test_wrong_keys_are_named(content, reason):
    from polynya.recipe.recipe import parse_recipe

    with pytest.raises(RecipeError, match=reason.replace("{", r"\{").replace("}", r"\}")):
        parse_recipe({"imports": content}, "r.yaml")


@pytest.mark.parametrize(
    "label", [{"method": "published"}, {"raster": "{stem}_labels.tif", "method": "none"}]
)
def test_imported_labels_take_no_filter_and_no_raster(label):
    with pytest.raises(RecipeError, match="'imports' brings labels that need no filter"):
        Recipe.model_validate({"imports": {"kind": "folder"}, "label": label})
    assert Recipe.model_validate({"imports": {"kind": "folder"}}).label.method == "none"


def test_what_suits_no_sample_is_said_once(tmp_path):
    made = folder(tmp_path)
    made.recipe["imports"]["codes"] = {0: ["water", "ice"]}
    with pytest.raises(RecipeError, match="a number stands for none or several of the classes"):
        find_samples([str(tmp_path)], made.checked())
    made.recipe["imports"] = {"kind": "folder", "missing": -1}
    with pytest.raises(RecipeError, match="is for named bands, and 'scene.inputs' names none"):
        find_samples([str(tmp_path)], made.checked())
    made.recipe["imports"] = {"kind": "folder", "size": [9, 9], "padding": "background"}
    with pytest.raises(RecipeError, match="'imports.background' names no class; add it"):
        find_samples([str(tmp_path)], made.checked())
