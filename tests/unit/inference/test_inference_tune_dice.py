"""The search by mean Dice: thresholds and least regions of masks together, at any size."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import MASKS, ONE_MASK
from inference.predict.decision import Decision, read_decision, tidy_labels
from inference.predict.predict import predict_scene
from inference.predict.windows import Band
from inference.tune.known import Known, known_samples
from inference.tune.masks import MaskImage, best_threshold_and_least
from inference.tune.metric_size import decision_in_scene_pixels
from inference.tune.search import find_decision
from polynya.errors import RecipeError, SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe
from polynya.run_length import csv_text, encode
from polynya.scenes.reading import open_scene
from training.metrics import confusion_of, image_dice
from training.model_folder.folder import write_json


def test_dice_is_one_where_truth_and_map_have_nothing():
    truth = np.uint8([[0b011, 0b001, 255, 0]])
    found = np.uint8([[0b001, 0b000, 7, 0]])
    # Ice: one of two found. Wet: not found. Thick ice: nowhere, as the unknown pixel doesn't count.
    dice = image_dice([confusion_of(truth, found, MASKS), confusion_of(truth, truth, MASKS)])
    np.testing.assert_allclose(dice, [[2 / 3, 0, 1], [1, 1, 1]])


def test_dice_of_classes_that_exclude_each_other_is_of_each_class():
    truth, found = np.uint8([0, 0, 1, 1]), np.uint8([0, 1, 1, 1])
    np.testing.assert_allclose(image_dice([confusion_of(truth, found, SEA_ICE)]), [[2 / 3, 0.8, 1]])


def random_image(seed: int) -> MaskImage:
    rng = np.random.default_rng(seed)
    probabilities = cv2.GaussianBlur(rng.random((40, 50), np.float32), (0, 0), 1.5)
    probabilities = (probabilities - probabilities.min()) / np.ptp(probabilities)
    valid = rng.random((40, 50)) < 0.97
    truth = (probabilities + rng.normal(0, 0.1, valid.shape) > 0.6) & (seed > 0) & valid
    return MaskImage(probabilities, valid, truth, valid & (rng.random(valid.shape) < 0.9))


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_pair_is_that_of_trying_all_decisions(connectivity):
    images = [random_image(seed) for seed in range(3)]
    thresholds, least = np.array([0.3, 0.5, 0.6, 0.7]), (0, 5, 20, 60)

    def dice_of(threshold, pixels):
        decision = Decision(
            thresholds=(threshold,), least_region=(pixels,), connectivity=connectivity
        )
        confusions = []
        for image in images:
            band = Band(0, image.valid, image.probabilities[..., None])
            codes = tidy_labels(decision.labels(band, ONE_MASK), decision, ONE_MASK)
            truth = np.where(image.counted, image.truth, 255).astype(np.uint8)
            confusions.append(confusion_of(truth, codes, ONE_MASK))
        return image_dice(confusions).mean()

    found = best_threshold_and_least(images, connectivity, thresholds, least)
    tried = {(t, n): dice_of(t, n) for t in thresholds for n in least}
    assert found.after == pytest.approx(max(tried.values()))
    assert tried[found.threshold, found.least] == pytest.approx(found.after)
    assert found.before == pytest.approx(tried[0.5, 0])


def test_of_equally_good_pairs_the_one_that_changes_least_is_taken():
    truth = np.zeros((8, 8), bool)
    truth[2:6, 2:6] = True
    image = MaskImage(truth.astype(np.float32), truth | True, truth, truth | True)
    found = best_threshold_and_least([image])
    assert (found.threshold, found.least, found.before, found.after) == (0.5, 0, 1, 1)


@pytest.fixture
def model(tmp_path):
    return mask_model(tmp_path / "model", make_recipe(64, classes=MASKS.model_dump(mode="json")))


def speckled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene with one large region of mask 0, faint at its border, and faint specks everywhere.

    `mask_model` says 0.5 at 99.5: at 0.5 the border is missing, and lower the specks come.
    """
    image = np.full((64, 96, 3), 60, np.uint8)
    specks = np.random.default_rng(seed).random((8, 12)) < 0.25
    image[:, :, 0][np.kron(specks, np.pad(np.ones((6, 6)), (2, 0))) > 0] = 98
    truth = np.zeros((64, 96), np.uint8)
    if seed:
        image[16:48, 16:64, 0] = 98
        image[24:40, 24:56, 0] = 140
        truth[16:48, 16:64] = 1
    return image, truth


@pytest.fixture
def known(write_scene):
    made = [(open_scene(str(write_scene(f"s{n}_clear.tif", speckled(n)[0]))), n) for n in range(3)]
    return [Known(scene, speckled(n)[1]) for scene, n in made]


def test_threshold_and_region_are_found_together(model, known):
    decision, trials = find_decision(model, known, "mean_dice")
    by_key = {trial.key: trial for trial in trials}
    ice = by_key["threshold and region of ice"]
    assert ice.kept
    assert ice.before < 0.9
    assert ice.after > 0.95
    assert np.isnan(by_key["threshold and region of wet"].before)
    assert decision.thresholds[0] < 0.5
    assert decision.thresholds[1:] == (0.5, 0.5)
    assert decision.least_region[0] >= 9
    assert decision.least_region[1:] == (0, 0)
    assert "least_region" not in by_key
    # Neither of them alone comes near.
    for one in ({"thresholds": decision.thresholds}, {"least_region": decision.least_region}):
        alone = [
            predict_scene(model, k.scene, decision=Decision.model_validate(one)).codes
            for k in known
        ]
        dice = image_dice(
            [confusion_of(k.truth, c, MASKS) for k, c in zip(known, alone, strict=True)]
        )
        assert dice[:, 0].mean() < 0.9
    found = [predict_scene(model, k.scene, decision=decision).codes for k in known]
    dice = image_dice([confusion_of(k.truth, c, MASKS) for k, c in zip(known, found, strict=True)])
    assert by_key["all of it, ice"].after == pytest.approx(dice[:, 0].mean())
    assert by_key["all of it, wet"].after == 1


def test_at_another_size_the_numbers_are_still_pixels_of_the_scenes(model, known):
    decision, trials = find_decision(model, known, "mean_dice", 4, (32, 48))
    (trial,) = [t for t in trials if t.key == "thresholds; least_region"]
    assert trial.kept
    assert decision.least_region[0] % 4 == 0
    assert f"; {decision.least_region[0]}, 0, 0" in trial.value
    found = [predict_scene(model, k.scene, decision=decision).codes for k in known]
    dice = image_dice([confusion_of(k.truth, c, MASKS) for k, c in zip(known, found, strict=True)])
    assert dice.mean() > 0.95


def test_radii_and_sizes_grow_with_the_size():
    small = Decision(closing=(1, 0), opening=(0, 40), least_hole=(0, 3), least_region=(10, 0))
    large = decision_in_scene_pixels(small, 16.0)
    assert large.model_dump(exclude_defaults=True) == {
        "closing": (4, 0), "opening": (0, 64), "least_hole": (0, 48), "least_region": (160, 0),
    }  # fmt: skip


def test_scenes_of_different_sizes_have_no_other_size(model, known, write_scene):
    other = open_scene(str(write_scene("b_clear.tif", np.full((32, 96, 3), 60, np.uint8))))
    with pytest.raises(SceneError, match="64 x 96 pixels and b_clear 32 x 96; with --size"):
        find_decision(
            model, [*known, Known(other, np.zeros((32, 96), np.uint8))], "mean_dice", 4, (32, 48)
        )


@pytest.fixture
def imported(tmp_path):
    """A model of a table of run-length codes, which was trained on the image s1."""
    (tmp_path / "train_images").mkdir()
    rows = []
    for number in range(3):
        image, truth = speckled(number)
        cv2.imwrite(str(tmp_path / "train_images" / f"s{number}.png"), image[..., ::-1])
        rows += [
            (f"s{number}.png", title, encode(MASKS.where(truth, code)))
            for code, title in enumerate(MASKS.titles)
        ]
    (tmp_path / "train.csv").write_text(csv_text(rows))
    imports = {"kind": "rle", "size": [32, 48], "fit": "stretch"}
    recipe = make_recipe(64, classes=MASKS.model_dump(mode="json"), imports=imports)
    model = mask_model(tmp_path / "model", recipe)
    write_json(model.folder / "split.json", {"training": ["s1"], "validation": ["s0", "s2"]})
    return model


def test_a_data_set_is_known_by_its_own_labels_in_full_size(imported, tmp_path):
    known, failed = known_samples(imported, [str(tmp_path / "train.csv")])
    assert failed == 0
    assert [one.scene.id for one in known] == ["s0", "s2"]
    for one, number in zip(known, (0, 2), strict=True):
        np.testing.assert_array_equal(one.truth, speckled(number)[1])


def test_tune_takes_the_table_of_labels(imported, tmp_path):
    labels = ["--labels", tmp_path / "train.csv"]
    run("tune", imported.folder, *labels, "--score", "mean_dice", "--size", "32x48")
    decision = read_decision(imported.folder, Recipe(classes=MASKS))
    assert decision.least_region[0] > 0
    with (imported.folder / "tuning.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    ice = rows["all of it, ice"]
    assert float(ice["with it"]) > float(ice["mean_dice before"]) + 0.1
    assert ice["kept"] == "yes"


def test_samples_that_can_not_be_used_are_named_and_the_others_searched(imported, tmp_path):
    (tmp_path / "train_images" / "s2.png").unlink()
    words = ["tune", imported.folder, "--labels", tmp_path / "train.csv", "--score", "mean_dice"]
    said = " ".join(run(*words, "--size", "32x48", expect=1).output.split())
    assert "s2.png" in said
    assert "1 of 2 samples can't be used" in said
    assert (imported.folder / "decision.yaml").is_file()
    for number in range(2):
        (tmp_path / "train_images" / f"s{number}.png").unlink()
    with pytest.raises(SceneError, match="No sample of .* can be used"):
        known_samples(imported, [str(tmp_path / "train.csv")])


def test_what_is_wrong_with_the_labels_is_one_sentence(imported, model, tmp_path):
    with pytest.raises(RecipeError, match="has no section 'imports'"):
        known_samples(model, [str(tmp_path / "train.csv")])
    write_json(imported.folder / "split.json", {"training": ["s0", "s1", "s2"]})
    with pytest.raises(SceneError, match="was trained on all 3 scenes"):
        known_samples(imported, [str(tmp_path / "train.csv")])
    both = run("tune", imported.folder, "--scenes", "a.tif", "--labels", "b.csv", expect=2)
    assert "give one of the two" in both.output


def test_exclusive_classes_have_mean_dice_too(tmp_path, write_scene):
    from conftest import ice_image

    from autolabel import label_image
    from helpers.maps.inference_models import save_threshold_model
    from inference.predict.predict import open_model

    model = open_model(save_threshold_model(tmp_path / "model", make_recipe(32)))
    image = ice_image(64, 64)
    known = Known(
        open_scene(str(write_scene("a_clear.tif", image))), label_image(image, method="none")
    )
    decision, trials = find_decision(model, [known], "mean_dice")
    assert decision == Decision()
    assert [t.after for t in trials if t.key.startswith("all of it")] == [1, 1, 1]
