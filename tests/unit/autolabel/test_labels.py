"""Thresholds and filters on arrays."""

from typing import get_args

import numpy as np
import pytest
from conftest import ice_image
from scipy import ndimage

from autolabel import PROFILES, ColorRange, Profile, filter_image, label_image
from autolabel.labels import Method
from polynya.errors import RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe


@pytest.mark.parametrize(
    ("rgb", "code"),
    [
        ((1, 0, 0), 0),
        ((30, 30, 30), 0),
        ((0, 0, 31), 1),
        ((204, 10, 10), 1),
        ((10, 205, 10), 2),
        ((255, 255, 255), 2),
        ((0, 0, 0), 255),
    ],
)
def test_the_greatest_of_red_green_and_blue_decides(rgb, code):
    pixel = np.array([[rgb]], np.uint8)
    assert label_image(pixel, method="none").tolist() == [[code]]
    assert label_image(pixel).tolist() == [[code]]


def test_black_is_water_where_it_is_said_to_be_valid():
    black = np.zeros((2, 3, 3), np.uint8)
    valid = np.array([[True, False, True], [True, True, True]])
    for method in get_args(Method):
        labels = label_image(black, method=method, valid=valid)
        assert (labels[valid] == 0).all()
        assert (labels[~valid] == 255).all()


def test_hue_and_saturation_count_where_a_profile_limits_them():
    profile = Profile(
        name="blue-is-thin",
        ranges=(
            ColorRange(class_name="thick_ice", saturation=(0, 60), value=(100, 255)),
            ColorRange(
                class_name="thin_ice", hue=(90, 130), saturation=(61, 255), value=(100, 255)
            ),
        ),
        allow_gaps=True,
    )
    pixels = np.array([[(200, 205, 210), (60, 80, 200), (200, 60, 60), (20, 20, 20)]], np.uint8)
    assert label_image(pixels, method="none", profile=profile).tolist() == [[2, 1, 255, 255]]


def test_the_table_for_brightness_equals_the_hsv_ranges():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    profile = PROFILES["ross-sea-summer"]
    # The same ranges without the strongest colours, which forces the general path.
    ranges = [r.model_copy(update={"saturation": (0, 254)}) for r in profile.ranges]
    general = Profile(name="general", ranges=tuple(ranges), allow_gaps=True)
    saturated = image.min(axis=2) == 0
    labels = [label_image(image, method="none", profile=p)[~saturated] for p in (profile, general)]
    assert (labels[0] == labels[1]).all()


def test_unknown_names_are_one_sentence():
    image = ice_image(4, 4)
    with pytest.raises(RecipeError, match="'mars', which is no profile; known: .*ross-sea-summer"):
        label_image(image, profile="mars")
    two = ClassScheme(name="two", classes=Recipe().classes.classes[:2])
    with pytest.raises(RecipeError, match="labels 'thick_ice', which the classes 'two' don't have"):
        label_image(image, classes=two)
    with pytest.raises(ValueError, match="`method` must be one of none, published, illumination"):
        filter_image(image, method="magic")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_images_of_another_shape_or_type_are_refused(image):
    with pytest.raises(ValueError, match="`rgb` must be a non-empty uint8 array"):
        label_image(image)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="`valid` must be bool and have the image's shape"):
        label_image(ice_image(4, 4), valid=np.ones((3, 4), bool))


def published_reference(rgb):
    """The published steps once more, without OpenCV's filters, from their definition."""
    value = rgb.max(axis=2)
    water = value <= 30
    painted = np.where(water[..., None], 255, rgb).astype(np.int64)
    # OpenCV's luma: 14-bit fixed-point weights of ITU-R BT.601, rounded.
    grey = (painted @ np.array([4899, 9617, 1868]) + 8192) >> 14
    dilated = ndimage.grey_dilation(grey, size=(7, 7), mode="constant", cval=0)
    background = ndimage.median_filter(dilated, size=155, mode="nearest")
    difference = 255 - np.abs(grey - background)
    kept = np.where(difference > otsu(difference), difference, 0)
    value = stretch(np.minimum(stretch(kept), 235))
    result = np.where(value >= 205, 255, 155)
    result[water] = 0
    return result


def otsu(values):
    """Threshold that maximises the variance between two groups."""
    histogram = np.bincount(values.ravel(), minlength=256) / values.size
    below, mean_below = np.cumsum(histogram), np.cumsum(histogram * np.arange(256))
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (mean_below[-1] * below - mean_below) ** 2 / (below * (1 - below))
    between[(below < 1e-7) | (below > 1 - 1e-7)] = 0
    return int(np.argmax(between))


def stretch(values):
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros_like(values)
    return np.rint((values - low) * (255 / (high - low))).astype(np.int64)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_published_filter_is_the_published_sequence(seed):
    image = ice_image(120, 90, seed)
    ramp = np.linspace(0.5, 1, 90)[None, :, None]
    image = (image * ramp).astype(np.uint8)
    filtered = filter_image(image, method="published", valid=np.ones((120, 90), bool))
    assert (filtered == published_reference(image)[..., None]).all()


def test_filtering_none_is_the_image_itself():
    image = ice_image(8, 8)
    assert filter_image(image, method="none") is image


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (200, 1), (3, 3)])
@pytest.mark.parametrize("level", [1, 20, 120, 255])
def test_tiny_and_constant_images_have_sane_labels(shape, level):
    image = np.full((*shape, 3), level, np.uint8)
    for method in get_args(Method):
        labels = label_image(image, method=method)
        assert labels.shape == shape
        assert set(np.unique(labels)) <= {0, 1, 2}
