"""From probabilities to classes: what each step does, and that none touches nodata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.maps.made_maps import OTHER
from inference.predict import decision as module
from inference.predict.decision import (
    DECISION_FILE,
    Decision,
    augmented,
    decided,
    read_decision,
    smoothed,
    tidy,
    write_decision,
)
from inference.predict.windows import Band
from polynya.errors import ModelError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe
from training.ballots import ballots


def uneven(images):
    """Probabilities that depend on the place within the window."""
    height, width = images.shape[1:3]
    ramp = np.linspace(0.1, 0.9, height)[:, None] * np.linspace(0.2, 1.0, width)
    first = np.broadcast_to(ramp, images.shape[:3]) * (0.5 + images[..., 0] / 510)
    return np.stack([first, 1 - first], axis=-1).astype(np.float32)


IMAGES = np.random.default_rng(1).integers(0, 256, (2, 6, 10, 3), dtype=np.uint8)


def pixelwise(images):
    value = images[..., 0] / 255
    return np.stack([value, 1 - value], axis=-1).astype(np.float32)


@pytest.mark.parametrize(("tta", "count"), [("flips", 4), ("dihedral", 8)])
def test_a_turned_window_has_the_turned_probabilities(tta, count):
    calls = []

    def counted(images):
        calls.append(images.shape)
        return uneven(images)

    mean = augmented(counted, tta, "mean", has_masks=False)
    found = mean(IMAGES)
    assert len(calls) == count
    assert found.shape == (2, 6, 10, 2)
    flipped = mean(IMAGES[:, ::-1, ::-1])[:, ::-1, ::-1]
    np.testing.assert_allclose(found, flipped, atol=1e-6)
    if tta == "dihedral":
        transposed = mean(IMAGES.swapaxes(1, 2)).swapaxes(1, 2)
        np.testing.assert_allclose(found, transposed, atol=1e-6)


@pytest.mark.parametrize("tta", ["flips", "dihedral"])
@pytest.mark.parametrize("has_masks", [False, True])
def test_versions_are_merged_as_their_definitions_say(tta, has_masks):
    """Never a sum that a threshold of 0.5 meets undivided, and always undone before."""
    axes = [
        (k, flip) for k in (range(4) if tta == "dihedral" else (0, 2)) for flip in (False, True)
    ]

    def version(images, k, flip):
        seen = np.rot90(images[:, :, ::-1] if flip else images, k, axes=(1, 2))
        found = np.rot90(uneven(seen), -k, axes=(1, 2))
        return found[:, :, ::-1] if flip else found

    versions = np.stack([version(IMAGES, k, flip) for k, flip in axes])
    votes = versions >= 0.5 if has_masks else np.eye(2)[versions.argmax(axis=-1)]
    greatest = versions.max(axis=0)
    expected = {
        "mean": versions.mean(axis=0),
        "max": greatest if has_masks else greatest / greatest.sum(axis=-1, keepdims=True),
        "vote": votes.mean(axis=0),
    }
    for merge, wanted in expected.items():
        found = augmented(uneven, tta, merge, has_masks)(IMAGES)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-6 if merge != "vote" else 1e-3)
        assert found.max() <= 1
        if not has_masks:
            np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
        once = augmented(pixelwise, tta, merge, has_masks)(IMAGES)
        if merge != "vote":  # Of a model of single pixels, all versions are the same.
            np.testing.assert_allclose(once, pixelwise(IMAGES), atol=1e-6)


def test_the_mean_decides_between_equal_votes():
    found = np.float32([[0.9, 0.1], [0.4, 0.6]])
    assert ballots(found, has_masks=False).mean(axis=0).argmax() == 0
    assert ballots(1 - found, has_masks=False).mean(axis=0).argmax() == 1
    of_masks = ballots(found, has_masks=True).mean(axis=0)
    assert (of_masks >= 0.5).tolist() == [True, False]


def test_a_single_mask_is_smoothed_as_one_of_several():
    one, three = (
        smoothed(lambda images, n=n: np.repeat(uneven(images)[..., :1], n, axis=-1), 2.0)(IMAGES)
        for n in (1, 3)
    )
    np.testing.assert_allclose(one, three[..., :1], atol=1e-6)


def test_smooth_probabilities_still_add_up():
    found = smoothed(uneven, 2.0)(IMAGES)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert (
        np.abs(np.diff(found[..., 0], axis=2)).max()
        < np.abs(np.diff(uneven(IMAGES)[..., 0], axis=2)).max()
    )
    assert decided(uneven, Decision(), False) is uneven
    np.testing.assert_array_equal(decided(uneven, Decision(smooth=2.0), False)(IMAGES), found)


def test_weights_move_the_border_between_classes():
    probabilities = np.zeros((1, 3, 2), np.float32)
    probabilities[0, :, 0] = [0.4, 0.45, 0.6]
    probabilities[..., 1] = 1 - probabilities[..., 0]
    band = Band(0, np.array([[True, True, False]]), probabilities)
    assert band.codes(255).tolist() == [[1, 1, 255]]
    assert band.codes(255, (1.3, 1.0)).tolist() == [[1, 0, 255]]


def test_small_regions_of_a_class_become_what_lies_around():
    codes = np.zeros((9, 12), np.uint8)
    codes[1:3, 1:3] = 2  # 4 pixels
    codes[5:8, 1:4] = 2  # 9 pixels
    codes[4, 8] = 1
    found = tidy(codes.copy(), Decision(least_region=(0, 0, 5)), 255)
    assert (found[1:3, 1:3] == 0).all()
    assert (found[5:8, 1:4] == 2).all()
    assert found[4, 8] == 1
    assert tidy(codes.copy(), Decision(), 255).tolist() == codes.tolist()


def test_pixels_at_corners_may_belong_to_a_region():
    codes = np.zeros((9, 9), np.uint8)
    codes[range(2, 7), range(2, 7)] = 2  # 5 pixels in a diagonal line
    by_edges = Decision(least_region=(0, 0, 5))
    by_corners = Decision(least_region=(0, 0, 5), connectivity=8)
    assert not tidy(codes.copy(), by_edges, 255).any()
    assert tidy(codes.copy(), by_corners, 255).tolist() == codes.tolist()
    assert not tidy(codes.copy(), Decision(least_region=(0, 0, 6), connectivity=8), 255).any()


def test_small_holes_in_a_class_are_filled_and_large_ones_stay():
    codes = np.full((12, 12), 2, np.uint8)
    codes[2, 2], codes[2, 3] = 0, 1
    codes[5:9, 5:9] = 0
    codes[10, 10] = 255
    found = tidy(codes, Decision(least_hole=(0, 0, 4)), 255)
    assert (found[2, 2:4] == 2).all()
    assert (found[5:9, 5:9] == 0).all()
    assert found[10, 10] == 255


def test_closing_shuts_narrow_leads_and_opening_removes_narrow_bridges(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    codes = np.full((40, 40), 2, np.uint8)
    codes[20] = 0  # a lead of one pixel
    codes[:, 30:] = 1
    closed = tidy(codes.copy(), Decision(closing=(0, 0, 1)), 255)
    assert (closed[20, :29] == 2).all()
    codes = np.zeros((40, 40), np.uint8)
    codes[5:15, 5:15] = codes[5:15, 25:35] = 2
    codes[9, 15:25] = 2  # a bridge
    opened = tidy(codes.copy(), Decision(opening=(0, 0, 1)), 255)
    assert (opened[9, 16:24] == 0).all()
    assert (opened[7:13, 7:13] == 2).all()


def test_what_nodata_cuts_off_is_not_narrow():
    codes = np.full((20, 20), 255, np.uint8)
    codes[:, 5] = 2
    codes[:, 6:10] = 0
    opened = tidy(codes.copy(), Decision(opening=(0, 0, 1)), 255)
    np.testing.assert_array_equal(opened, codes)


SIDE, CODES = st.integers(1, 40), st.sampled_from([0, 1, 2, 255])
MAPS = arrays(np.uint8, st.tuples(SIDE, SIDE), elements=CODES)
NUMBERS = st.tuples(*[st.integers(0, 5)] * 3)


@settings(max_examples=80, deadline=None)
@given(MAPS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_nodata_stays_and_no_class_is_invented(codes, closing, opening, least_hole, least_region):
    options = Decision(
        closing=closing, opening=opening, least_hole=least_hole, least_region=least_region
    )
    found = tidy(codes.copy(), options, 255)
    np.testing.assert_array_equal(found == 255, codes == 255)
    assert set(np.unique(found)) <= set(np.unique(codes))


@settings(max_examples=20, deadline=None)
@given(NUMBERS, NUMBERS, st.integers(1, 30))
def test_blocks_of_rows_make_no_difference(closing, opening, rows):
    known = np.uint8([0, 1, 2, 255])
    codes = np.random.default_rng(rows).choice(known, (60, 30), p=[0.4, 0.3, 0.25, 0.05])
    options = Decision(closing=closing, opening=opening)
    whole = tidy(codes.copy(), options, 255)
    before, module._BLOCK_ROWS = module._BLOCK_ROWS, rows
    try:
        np.testing.assert_array_equal(tidy(codes.copy(), options, 255), whole)
    finally:
        module._BLOCK_ROWS = before


def test_a_decision_is_kept_in_the_models_folder(tmp_path):
    assert read_decision(tmp_path, Recipe(classes=SEA_ICE)) == Decision()
    kept = Decision(tta="flips", weights=(1.0, 1.2, 1.0), least_region=(0, 9, 0))
    write_decision(tmp_path, kept)
    assert read_decision(tmp_path, Recipe(classes=SEA_ICE)) == kept
    with pytest.raises(ModelError, match=r"3 values for 'weights' but the model has 2 classes"):
        read_decision(tmp_path, Recipe(classes=OTHER))
    # What the recipe or a command says comes first; the rest is as it was tuned.
    said = {"tta": "none", "merge": "vote"}
    recipe = Recipe.model_validate({"inference": said})
    assert read_decision(tmp_path, recipe) == kept.model_copy(update=said)
    (tmp_path / DECISION_FILE).write_text("turns: dihedral")
    assert read_decision(tmp_path, Recipe()) == Decision(tta="dihedral")
    (tmp_path / DECISION_FILE).write_text("threshold: otsu")
    with pytest.raises(ModelError, match="divides in two, but the model has 3 classes"):
        read_decision(tmp_path, Recipe())
    (tmp_path / DECISION_FILE).write_text("smooth: -1")
    with pytest.raises(ModelError, match="wrong value for 'smooth'"):
        read_decision(tmp_path, Recipe(classes=SEA_ICE))
    for text in ("a: [", "[" * 20_000, "\0", "smooth: 2001-99-99"):
        (tmp_path / DECISION_FILE).write_text(text)
        with pytest.raises(ModelError, match="can't be read as YAML"):
            read_decision(tmp_path, Recipe(classes=SEA_ICE))
    (tmp_path / DECISION_FILE).write_text("- 1")
    with pytest.raises(ModelError, match="must be a mapping"):
        read_decision(tmp_path, Recipe(classes=SEA_ICE))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", "[1, .inf, 1]"),
        ("weights", "[1, .nan, 1]"),
        ("weights", "[1, -1, 1]"),
        ("weights", "[0, 0, 0]"),
        ("weights", "[1.0e-50, 1.0e-50, 1.0e-50]"),
        ("weights", "[1.0e+300, 1, 1]"),
        ("smooth", ".nan"),
        ("smooth", ".inf"),
        ("closing", "[0, 1000000, 0]"),
        ("connectivity", "6"),
        ("least_region", "[0, 99999999999999999999, 0]"),
    ],
)
def test_numbers_that_decide_nothing_are_refused(tmp_path, key, value):
    (tmp_path / DECISION_FILE).write_text(f"{key}: {value}")
    with pytest.raises(ModelError, match=f"wrong value for '{key}"):
        read_decision(tmp_path, Recipe(classes=SEA_ICE))
