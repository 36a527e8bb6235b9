"""The search over decisions on masks: a threshold that a scene was made to need is found."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import MASKS
from inference.predict.decision import Decision, read_decision
from inference.predict.predict import predict_scene
from inference.tune import command
from inference.tune.known import Known
from inference.tune.search import default_score, find_decision
from inference.tune.thresholds import best_threshold
from polynya.cli import build_app
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene

PROBABILITIES = np.float32([0.1, 0.3, 0.4, 0.6, 0.9])
TRUTH = np.array([False, True, False, True, True])


@pytest.mark.parametrize(
    ("score", "best", "before", "after"),
    [
        # At 0.5 two of three are found; at 0.3 all of them and one too many.
        ("mean_f1", 0.3, 4 / 5, 6 / 7),
        ("mean_iou", 0.3, 2 / 3, 3 / 4),
        # One of five is wrong either way, so 0.5 stays.
        ("accuracy", 0.5, 4 / 5, 4 / 5),
    ],
)
def test_the_best_threshold_of_five_pixels(score, best, before, after):
    found = best_threshold(PROBABILITIES, TRUTH, score)
    assert (found.best, found.before, found.after) == pytest.approx((best, before, after))


def test_a_mask_that_the_truth_has_not_stays_as_it_is():
    found = best_threshold(PROBABILITIES, np.zeros(5, np.bool_), "mean_f1")
    assert found.best == 0.5
    assert np.isnan([found.before, found.after]).all()


def test_f1_decides_on_masks_and_iou_on_classes():
    assert (default_score(MASKS), default_score(SEA_ICE)) == ("mean_f1", "mean_iou")


@pytest.fixture
def model(tmp_path):
    return mask_model(tmp_path / "model", make_recipe(32, classes=MASKS.model_dump()))


@pytest.fixture
def known(write_scene):
    """A scene whose truth has mask 0 from 104 on, where `mask_model` says 100; mask 1 as the model
    says; mask 2 nowhere; and unknown pixels."""
    image = np.random.default_rng(0).integers(90, 111, (64, 60, 3)).astype(np.uint8)
    image[..., 2] = 20
    truth = (image[..., 0] >= 104).astype(np.uint8) | (image[..., 1] >= 100).astype(np.uint8) << 1
    truth[:5] = 255
    return Known(open_scene(str(write_scene("a_clear.tif", image))), truth)


def test_a_planted_threshold_is_found(model, known):
    decision, trials = find_decision(model, [known])
    # The model gives 0.852 to the colour 103 and 0.905 to 104.
    assert decision.thresholds == (0.855, 0.5, 0.5)
    assert decision.model_dump(exclude_defaults=True) == {"thresholds": (0.855, 0.5, 0.5)}
    of_masks = {trial.key: trial for trial in trials if trial.key.startswith("threshold of")}
    assert list(of_masks) == ["threshold of ice", "threshold of wet", "threshold of thick_ice"]
    ice = of_masks["threshold of ice"]
    # Before: all with 104 and more are right, 100 to 103 too many.
    image_has = known.truth[5:] & 1
    before = predict_scene(model, known.scene, decision=Decision()).codes[5:] & 1
    right = int((image_has & before).sum())
    assert ice.before == pytest.approx(2 * right / (image_has.sum() + before.sum()))
    assert ice.after == 1
    assert ice.kept
    assert not of_masks["threshold of wet"].kept
    assert not of_masks["threshold of thick_ice"].kept
    overall = next(trial for trial in trials if trial.key == "thresholds")
    assert overall.after == 1
    assert overall.before == pytest.approx((ice.before + 1) / 2)
    codes = predict_scene(model, known.scene, decision=decision).codes
    np.testing.assert_array_equal(codes[5:], known.truth[5:])


def test_the_command_keeps_thresholds_and_says_what_they_gain(model, known, monkeypatch):
    monkeypatch.setattr(command, "open_model", lambda folder: model)
    monkeypatch.setattr(command, "known_scenes", lambda model, patterns: [known])
    words = ["tune", str(model.folder), "--scenes", "a_clear.tif"]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.output
    assert read_decision(model.folder, Recipe(classes=MASKS)).thresholds == (0.855, 0.5, 0.5)
    with (model.folder / "tuning.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    ice, absent = rows["threshold of ice"], rows["threshold of thick_ice"]
    assert (ice["best value"], ice["with it"], ice["kept"]) == ("0.855", "1.00000", "yes")
    assert (absent["best value"], absent["mean_f1 before"], absent["kept"]) == ("0.5", "", "no")
    assert "weights" not in rows
