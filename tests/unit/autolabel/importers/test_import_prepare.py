"""Sizes, padding and growth of imported images and labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.importers.prepare import fit_labels, fit_pixels, grow, place_image
from autolabel.importers.rasters import Pixels
from polynya.errors import SceneError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import FolderOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.band_set import BandPixels

CLASSES = ("water", "ice", "land")


def options(**keys) -> FolderOptions:
    return FolderOptions(kind="folder", **keys)


def scheme(kind="exclusive") -> ClassScheme:
    content = [
        {"code": n, "name": name, "title": name, "color": (n, n, n + 1)}
        for n, name in enumerate(CLASSES)
    ]
    return ClassScheme.model_validate({"name": "made", "kind": kind, "classes": content})


def colors(image, valid=None) -> Pixels:
    valid = np.ones(image.shape[:2], bool) if valid is None else valid
    return Pixels(image, valid, None)


@pytest.mark.parametrize(
    ("fit", "inner"), [("keep", (10, 5)), ("stretch", (10, 10)), ("pad", (8, 4))]
)
def test_an_image_gets_its_size(fit, inner):
    place = place_image(8, 4, options(size=(10, 10), fit=fit), "a")
    assert (place.height, place.width) == (10, 10)
    assert (place.inner_height, place.inner_width) == inner
    assert place_image(8, 4, options(), "a") is None


def test_an_image_that_is_larger_cannot_only_be_padded():
    with pytest.raises(SceneError, match="has 8 x 4 pixels, more than the 6 x 6 of 'imports.size'"):
        place_image(8, 4, options(size=(6, 6), fit="pad"), "a.png")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_any_image_keeps_its_aspect_and_fills_one_side(height, width, rows, columns):
    place = place_image(height, width, options(size=(rows, columns)), "a")
    assert place.inner_height == rows or place.inner_width == columns
    assert 1 <= place.inner_height <= rows
    assert 1 <= place.inner_width <= columns


def test_smaller_images_are_means_of_valid_pixels_only():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[10], [20]], [[30], [40]]]
    image[2:, 2:] = 100
    valid = np.ones((4, 4), bool)
    valid[2, 2] = valid[2:, :2] = False
    place = place_image(4, 4, options(size=(2, 2)), "a")
    fitted = fit_pixels(colors(image, valid), place, False)
    assert fitted.image[..., 0].tolist() == [[25, 0], [0, 100]]
    assert fitted.valid.tolist() == [[True, True], [False, True]]


def test_bands_keep_their_type_and_their_own_missing_values():
    numbers = np.arange(32, dtype=np.int16).reshape(4, 4, 2) - 9
    there = np.ones((4, 4, 2), bool)
    there[..., 1] = False
    numbers[..., 1] = 0
    place = place_image(4, 4, options(size=(6, 8), fit="pad"), "a")
    fitted = fit_pixels(Pixels.of_bands(BandPixels(numbers, there)), place, False)
    assert fitted.inputs.numbers.dtype == np.int16
    assert (fitted.inputs.numbers[:4, :4] == numbers).all()
    assert fitted.inputs.valid.sum() == 16
    assert not fitted.valid[4:].any()


def test_labels_are_never_mixed():
    labels = np.array([[0, 2], [255, 1]], np.uint8)
    place = place_image(2, 2, options(size=(4, 6), fit="stretch"), "a")
    fitted = fit_labels(labels, place, 255)
    assert fitted.tolist() == np.kron(labels, np.ones((2, 3), np.uint8)).tolist()
    assert (
        fit_labels(
            fitted, place_image(4, 6, options(size=(2, 2), fit="stretch"), "a"), 255
        ).tolist()
        == labels.tolist()
    )


def test_a_null_class_pads_valid_black_pixels():
    place = place_image(2, 2, options(size=(2, 3), fit="pad"), "a")
    fitted = fit_pixels(colors(np.full((2, 2, 3), 9, np.uint8)), place, True)
    assert fitted.valid.all()
    assert fitted.image[0, :, 0].tolist() == [9, 9, 0]
    assert fit_labels(np.ones((2, 2), np.uint8), place, 0)[0].tolist() == [1, 1, 0]


def test_a_class_grows_by_a_disc_and_spares_nodata():
    labels = np.zeros((7, 7), np.uint8)
    labels[3, 3] = 1
    labels[3, 4] = 255
    expected = labels.copy()
    for row, col in ((1, 3), (5, 3), (3, 1), (3, 5), (2, 2), (2, 3), (2, 4), (3, 2), (4, 2), (4, 3),
                     (4, 4)):  # fmt: skip
        expected[row, col] = 1
    assert grow(labels, scheme(), {"ice": 2}).tolist() == expected.tolist()


def test_what_grows_is_what_was_there_and_the_last_class_is_on_top():
    labels = np.array([[1, 0, 2]], np.uint8)
    assert grow(labels, scheme(), {"ice": 1, "land": 1}).tolist() == [[1, 2, 2]]
    assert grow(labels, scheme(), {"land": 1, "ice": 1}).tolist() == [[1, 1, 2]]
    masks = np.array([[1, 0, 2, 255]], np.uint8)
    assert grow(masks, scheme("masks"), {"water": 1, "ice": 1}).tolist() == [[1, 3, 2, 255]]


def test_images_in_one_piece_are_one_unit():
    recipe = Recipe.model_validate({"imports": {"kind": "folder"}})
    assert not recipe.imports.needs_whole
    assert options(size=(9, 9)).needs_whole
    assert options(dilate={"ice": 1}).needs_whole
