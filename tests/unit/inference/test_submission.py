"""Submissions: maps as run-length codes, in the form that a validator expects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import MASKS
from helpers.maps.submission_validator import read_submission
from inference.products.class_map import read_map

LABELS = ("Any ice", "Melt water", "Thick ice")
SHAPE = (48, 72)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A model of masks and its maps of three images; the last is under no mask."""
    folder = tmp_path_factory.mktemp("mapped")
    mask_model(folder / "model", make_recipe(32, classes=MASKS.model_dump(mode="json")))
    (folder / "images").mkdir()
    for number in range(3):
        blocks = np.random.default_rng(number).integers(0, 2, (6, 9, 3)) * 180 + 20
        image = np.kron(blocks if number < 2 else blocks * 0 + 20, np.ones((8, 8, 1)))
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), image.astype(np.uint8))
    run("predict", folder / "model", folder / "images", "--out", folder / "maps")
    return folder


def submit(mapped, out, *more, expect=0):
    return run("submission", mapped / "model", mapped / "maps", "--out", out, *more, expect=expect)


@pytest.mark.parametrize("size", [SHAPE, (12, 18)])
def test_the_table_is_valid_and_has_the_masks_of_the_maps(mapped, tmp_path, size):
    out = tmp_path / "new" / "submission.csv"
    more = [] if size == SHAPE else ["--size", "12x18"]
    assert "9 rows of 3 images" in submit(mapped, out, *more).output
    names = [f"{number}.jpg" for number in range(3)]
    masks = read_submission(out.read_text(), names, LABELS, size)
    step = SHAPE[0] // size[0]
    for number in range(3):
        labels = read_map(mapped / "maps" / f"{number}.tif")[step // 2 :: step, step // 2 :: step]
        for code, label in enumerate(LABELS):
            expected = MASKS.where(labels, code)
            np.testing.assert_array_equal(masks[f"{number}.jpg_{label}"], expected)
    assert masks["0.jpg_Any ice"].any()
    assert not masks["2.jpg_Any ice"].any()


def test_pixels_may_be_numbered_along_the_rows(mapped, tmp_path):
    submit(mapped, tmp_path / "rows.csv", "--order", "rows")
    masks = read_submission(
        (tmp_path / "rows.csv").read_text(), ["0.jpg", "1.jpg", "2.jpg"], LABELS, SHAPE[::-1]
    )
    labels = read_map(mapped / "maps" / "0.tif")
    np.testing.assert_array_equal(masks["0.jpg_Any ice"].T, MASKS.where(labels, 0))


def test_a_table_is_replaced_if_polynya_wrote_it_and_nobody_changed_it(mapped, tmp_path):
    out = tmp_path / "submission.csv"
    submit(mapped, out)
    submit(mapped, out, "--size", "12x18")
    out.write_text("mine\n")
    failed = submit(mapped, out, expect=1)
    assert "submission.csv" in failed.output
    assert out.read_text() == "mine\n"


def test_what_is_wrong_is_one_sentence(mapped, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["submission", mapped / "model", empty, "--out", tmp_path / "a.csv"]
    assert f"{empty} has no maps; make them with" in run(*words, expect=1).output
    words = ["submission", empty, mapped / "maps", "--out", tmp_path / "a.csv"]
    assert f"{empty} is no folder of a trained model" in run(*words, expect=1).output
    other = mask_model(
        tmp_path / "other", make_recipe(32, classes=MASKS.model_dump(mode="json"), seed=1)
    )
    words = ["submission", other.folder, mapped / "maps", "--out", tmp_path / "a.csv"]
    assert "0.tif is of another model" in run(*words, expect=1).output
    assert (
        'size "big" is not a size'
        in submit(mapped, tmp_path / "a.csv", "--size", "big", expect=1).output
    )
    assert not (tmp_path / "a.csv").exists()


def test_two_images_of_one_name_are_an_error(mapped, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.jpg").write_bytes((mapped / "images" / "0.jpg").read_bytes())
    images = [tmp_path / folder / "0.jpg" for folder in ("a", "b")]
    run("predict", mapped / "model", *images, "--out", tmp_path / "maps")
    words = ["submission", mapped / "model", tmp_path / "maps", "--out", tmp_path / "a.csv"]
    assert "have one name" in run(*words, expect=1).output
