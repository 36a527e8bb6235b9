"""COCO and Label Studio: codes, rules of overlaps, and files from strangers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autolabel.importers.coco import counts_of, decode_counts
from autolabel.importers.labelstudio import decode_brush
from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    WIDTH,
    brush_code,
    coco,
    columns_code,
    compressed_code,
    labelstudio,
    write_raster,
)
from polynya.errors import SceneError
from polynya.grid import Tile

FULL = Tile(0, 0, HEIGHT, WIDTH)


def read(made):
    """Label, or the sentence about what is wrong, of each sample."""
    recipe, found = made.checked(), {}
    for sample in find_samples([str(made.source)], recipe):
        try:
            scene = open_sample(sample, recipe)
            found[sample.id] = read_sample(scene, recipe, FULL)[0].label
        except SceneError as error:
            found[sample.id] = str(error)
            assert found[sample.id].endswith(".")
    return found


def changed(made, change):
    """The data set after a change of its JSON file."""
    content = json.loads(made.source.read_text())
    change(content)
    made.source.write_text(json.dumps(content))
    return made


def check_one_fails(made, why):
    found = read(made)
    assert why in " ".join(found["a"].split())
    assert (found["b"] == made.labels["b"]).all()


def test_compressed_codes_are_those_of_the_coco_api():
    # The texts are by pycocotools 2.0.11: an empty mask of 76 x 57 pixels, dots on one of 16 x 38.
    assert counts_of("\\W4") == [4332]
    dots = [24, 1, 1, 1, 78, 1, 135, 1, 154, 1, 57, 1, 24, 1, 3, 1, 9, 1, 89, 1, 2, 1, 14, 1, 6]
    assert counts_of("h0110]20i10c00oL0oN0[O060`20YM0<0H") == dots
    rng = np.random.default_rng(0)
    for share in (0.0, 0.01, 0.5, 1.0):
        mask = rng.random((37, 91)) < share
        counts = counts_of(compressed_code(columns_code(mask)))
        assert counts == columns_code(mask)
        assert (decode_counts(counts, mask.shape) == mask).all()


@pytest.mark.parametrize("text", ["P", "\x1f", "1a~", "o" * 9])
def test_texts_that_are_no_code_are_refused(text):
    with pytest.raises(ValueError, match="it"):
        decode_counts(counts_of(text), (4, 5))


@pytest.mark.parametrize("counts", [[21], [-1, 21], [2**62, 2**62, 20], [1.5, 18.5], [[20]], None])
def test_runs_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises((ValueError, TypeError)):
        decode_counts(counts, (4, 5))


def test_brush_codes_of_any_cut_or_garbage_end_in_an_error():
    mask = np.random.default_rng(0).random((9, 11)) < 0.4
    code = brush_code(mask)
    assert (decode_brush(code, mask.shape) == mask).all()
    for length in range(0, len(code) - 1, 7):
        with pytest.raises(ValueError, match="it"):
            decode_brush(code[:length], mask.shape)
    for wrong in (None, "abc", [256], [-1] * 20, [0.5], [255] * 40, [[1]]):
        with pytest.raises((ValueError, TypeError)):
            decode_brush(wrong, mask.shape)


@pytest.mark.parametrize(
    ("overlap", "expected"), [("last", 2), ("first", 1), ("smallest", 2), ("refuse", None)]
)
def test_the_recipe_says_which_region_counts(tmp_path, overlap, expected):
    made = coco(tmp_path)
    made.recipe["imports"]["overlap"] = overlap
    corners = [10, 6, 20, 6, 20, 12, 10, 12]

    def add(content):
        content["annotations"].append(
            {"id": 99, "image_id": 0, "category_id": 8, "segmentation": [corners]}
        )

    found = read(changed(made, add))["a"]
    if expected is None:
        assert "has regions of different classes at row 6, column 10" in found
    else:
        assert (found[6:12, 10:20] == expected).all()


def test_regions_of_masks_may_overlap_and_names_may_be_nodata(tmp_path):
    made = coco(tmp_path)
    made.recipe["classes"] |= {"kind": "masks"}
    made.recipe["imports"] = {"kind": "coco", "images": "../train",
                              "values": {"sea ice": ["ice", "water"], "land": None}}  # fmt: skip
    found = read(made)["a"]
    assert (found[made.labels["a"] == 1] == 0b011).all()
    assert (found[made.labels["a"] == 2] == 255).all()
    assert (found[made.labels["a"] == 0] == 0).all()


COCO_FAULTS = {
    "another size": (
        lambda c: c["images"][0].update(height=99),
        "says 99 x 56 pixels, and the file has 40 x 56",
    ),
    "a polygon outside": (
        lambda c: c["annotations"][0].update(segmentation=[[0, 0, 60, 0, 60, 9]]),
        "has the annotation 0 that leaves the image of 40 x 56 pixels",
    ),
    "no polygon": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 2, "x", 4, 5, 6]]),
        "has the annotation 0 without three corners",
    ),
    "an unknown category": (
        lambda c: c["annotations"][0].update(category_id=55),
        "of the category id 55, which is not among the categories",
    ),
    "a category that is no class": (
        lambda c: (
            c["categories"].append({"id": 9, "name": "kelp"}),
            c["annotations"][0].update(category_id=9),
        ),
        "has 'kelp' as a category, which is no class of 'made'",
    ),
    "a code of another image": (
        lambda c: c["annotations"][1]["segmentation"].update(size=[56, 40]),
        "it is of another size than the image",
    ),
    "a code that is too long": (
        lambda c: c["annotations"][1]["segmentation"].update(counts=[9999]),
        "its runs don't fill the image",
    ),
    "a text that is no code": (
        lambda c: c["annotations"][2]["segmentation"].update(counts="\x01"),
        "it has a character that no code has",
    ),
    "no segmentation": (
        lambda c: c["annotations"][0].pop("segmentation"),
        "has the annotation 0 without a segmentation",
    ),
    "two annotations of one id": (
        lambda c: c["annotations"][1].update(id=0),
        "with the annotation id 0, which is there twice",
    ),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_what_is_wrong_with_an_image_of_coco_costs_that_image(tmp_path, fault):
    change, why = COCO_FAULTS[fault]
    check_one_fails(changed(coco(tmp_path), change), why)


@pytest.mark.parametrize("name", ["../annotations/instances_train.json", "/etc/hostname", ""])
def test_paths_out_of_the_folder_are_refused(tmp_path, name):
    made = changed(coco(tmp_path / "c"), lambda c: c["images"][0].update(file_name=name))
    (why,) = [one for one in read(made).values() if isinstance(one, str)]
    assert "which is no file in the folder of images" in why
    task = changed(
        labelstudio(tmp_path / "l"),
        lambda t: t[0]["data"].update(image=f"/data/local-files/?d=..%2F{name.strip('/.')}"),
    )
    (why,) = [one for one in read(task).values() if isinstance(one, str)]
    assert "which is no file in the folder of images" in why


def test_annotations_of_no_image_and_equal_ids_of_images_are_named(tmp_path):
    made = changed(coco(tmp_path), lambda c: c["annotations"][0].update(image_id=77))
    found = read(made)
    assert "has 1 annotations of the image id 77, which is not among" in found["image-77"]
    assert (found["b"] == made.labels["b"]).all()

    def same(content):
        content["images"].append(content["images"][0] | {"file_name": "c.png"})

    write_raster(made.source.parent.parent / "train" / "c.png", made.images["a"])
    found = read(changed(coco(tmp_path / "2"), same))
    assert "with the id 0, which another image has too" in found["a"]
    assert "with the id 0, which another image has too" in found["c"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"images": [', "can't be read as JSON"),
        ("[" * 100_000, "can't be read as JSON"),
        ("[]", "has no list 'images' with a key 'id'"),
        ('{"images": [3], "categories": [], "annotations": []}', "has no list 'images'"),
        ('{"images": [], "annotations": [{"segments_info": []}]}', "is of COCO's panoptic form"),
        ('{"images": [], "categories": [{"id": 1}, {"id": 1}], "annotations": []}',
         "has the category id 1 twice"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_coco_is_one_sentence(tmp_path, content, why):
    made = coco(tmp_path)
    made.source.write_text(content)
    (found,) = read(made).values()
    assert why in found


STUDIO_FAULTS = {
    "another size": (
        lambda r: r[0].update(original_width=9),
        "on an image of 40 x 9 pixels, and the file has 40 x 56",
    ),
    "a turned image": (lambda r: r[1].update(image_rotation=90), "on a turned image"),
    "a polygon outside": (
        lambda r: r[1]["value"].update(points=[[0, 0], [120, 0], [0, 9]]),
        "has the region r2 that leaves the image",
    ),
    "a rectangle without a width": (
        lambda r: r[2]["value"].pop("width"),
        "has the region r3 without three corners",
    ),
    "a code that is cut": (
        lambda r: r[0]["value"].update(rle=r[0]["value"]["rle"][:40]),
        "has the region r1 with a wrong run-length code: it is cut",
    ),
    "an ellipse": (
        lambda r: r.append({"type": "ellipselabels", "value": {"radiusX": 3}}),
        "has a region of the type 'ellipselabels'",
    ),
    "an unknown label": (
        lambda r: r[1]["value"].update(polygonlabels=["Kelp"]),
        "has 'Kelp' as a label, which is no class of 'made'",
    ),
    "a region without a label": (
        lambda r: r[1]["value"].pop("polygonlabels"),
        "has '' as a label, which is no class",
    ),
}


@pytest.mark.parametrize("fault", STUDIO_FAULTS)
def test_what_is_wrong_with_a_task_costs_that_task(tmp_path, fault):
    change, why = STUDIO_FAULTS[fault]
    made = changed(labelstudio(tmp_path), lambda t: change(t[0]["annotations"][0]["result"]))
    check_one_fails(made, why)


def test_tasks_without_an_annotation_or_an_image_are_named(tmp_path):
    made = changed(
        labelstudio(tmp_path), lambda t: [a.update(was_cancelled=True) for a in t[0]["annotations"]]
    )
    check_one_fails(made, "export.json, task 0, has no finished annotation")
    found = read(changed(made, lambda t: t[0].update(data={"picture": "a.png"})))
    assert "task 0, names no image in its data 'image'" in found["task-0"]
    made.recipe["imports"]["image_key"] = "picture"
    assert "has no finished annotation" in read(made)["a"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('[{"image": "a.png", "tag": []}]', "export from Label Studio as JSON (not JSON-MIN)"),
        ("[]", "has no task"),
        ('[{"data"', "can't be read as JSON"),
    ],
)
def test_a_file_that_is_no_export_is_one_sentence(tmp_path, content, why):
    made = labelstudio(tmp_path)
    made.source.write_text(content)
    (found,) = read(made).values()
    assert why in found


def test_a_turned_rectangle_is_turned_about_its_corner(tmp_path):
    def turn(tasks):
        value = {"x": 50, "y": 50, "width": 25, "height": 25, "rotation": 90}
        tasks[0]["annotations"][0]["result"] = [
            {"id": "r", "type": "rectanglelabels", "original_width": WIDTH,
             "original_height": HEIGHT, "value": {**value, "rectanglelabels": ["Ice"]}}
        ]  # fmt: skip

    found = read(changed(labelstudio(tmp_path), turn))["a"]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[20 : 20 + WIDTH // 4, 28 - HEIGHT // 4 : 28] = 1
    assert (found == expected).all()
