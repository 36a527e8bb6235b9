"""A search over decisions finds what a scene was made to need; an ensemble is a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ice_image
from typer.testing import CliRunner

from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from helpers.maps.made_maps import MASKS
from inference.predict.backends import open_forward
from inference.predict.decision import DECISION_FILE, Decision, read_decision
from inference.predict.ensemble import combine
from inference.predict.predict import open_model, predict_scene
from inference.studies.uncertainty import members_of
from inference.tune.known import known_scenes
from inference.tune.search import find_decision
from polynya.cli import build_app
from polynya.errors import ModelError, SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import open_scene
from training.model_folder.folder import save_model
from training.models import build


def run(*words):
    return CliRunner().invoke(build_app(), [str(word) for word in words])


@pytest.fixture
def specked(write_scene):
    """Two scenes of blocks with single wrong pixels in them, and their truth."""
    for seed in range(2):
        image = ice_image(96, 80, seed)
        truth = np.digitize(image[..., 2], [31, 205]).astype(np.uint8)
        specks = np.random.default_rng(seed).random(truth.shape) < 0.01
        image[specks] = 240
        write_scene(f"s{seed}_clear.tif", image)
        write_scene(f"s{seed}_truth.tif", truth, nodata=255)
    return image


def test_small_regions_are_removed_where_the_truth_has_none(tmp_path, specked):
    folder = save_threshold_model(tmp_path / "model", make_recipe(32))
    result = run("tune", folder, "--scenes", tmp_path / "s0_clear.tif", tmp_path / "s1_clear.tif")
    assert result.exit_code == 0, result.output
    assert run("tune", folder, "--scenes", tmp_path / "s0_clear.tif").exit_code == 0  # Its own.
    decision = read_decision(folder, Recipe(classes=SEA_ICE))
    assert decision != Decision()
    assert "least_region" in (folder / "tuning.csv").read_text()
    scene = open_scene(str(tmp_path / "s0_clear.tif"))
    model = open_model(folder)
    truth = np.digitize(ice_image(96, 80)[..., 2], [31, 205])
    tuned = predict_scene(model, scene).codes
    plain = predict_scene(model, scene, decision=Decision()).codes
    assert (tuned == truth).mean() > (plain == truth).mean() + 0.005


def test_the_connectivity_is_kept_with_what_was_found(tmp_path, specked):
    folder = save_threshold_model(tmp_path / "model", make_recipe(32))
    scene = tmp_path / "s0_clear.tif"
    assert run("tune", folder, "--scenes", scene, "--connectivity", 8).exit_code == 0
    assert read_decision(folder, Recipe(classes=SEA_ICE)).connectivity == 8
    wrong = run("tune", folder, "--scenes", scene, "--connectivity", 5)
    assert wrong.exit_code == 2
    assert "--connectivity" in wrong.output


def test_a_model_that_prefers_one_class_gets_weights(tmp_path, write_scene):
    # Its classes change at 45.5 and 205, those of the truth at 31 and 205.
    recipe = make_recipe(32)
    folder = save_threshold_model(tmp_path / "model", recipe)
    model = open_model(folder)
    convolution = model.keras_model.get_layer("probabilities")
    kernel, bias = convolution.get_weights()
    convolution.set_weights([kernel, bias - np.float32([0, 7.0, 7.0])])
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(20, 250, (64, 64, 1)), 3, axis=2).astype(np.uint8)
    write_scene("a_clear.tif", image)
    write_scene("a_truth.tif", np.digitize(image[..., 2], [31, 205]).astype(np.uint8))
    known = known_scenes(model, [str(tmp_path / "a_clear.tif")])
    decision, trials = find_decision(model, known, "accuracy")
    assert decision.weights[0] < min(decision.weights[1:])
    weights = next(trial for trial in trials if trial.key == "weights")
    assert weights.kept
    assert weights.after > weights.before + 0.01


def test_scenes_that_trained_the_model_are_left_out(tmp_path, specked):
    folder = save_threshold_model(tmp_path / "model", make_recipe(32))
    split = folder / "split.json"
    split.write_text(json.dumps({"training": ["s0_clear"], "validation": ["s1_clear"]}))
    model = open_model(folder)
    both = [str(tmp_path / "s0_clear.tif"), str(tmp_path / "s1_clear.tif")]
    assert [known.scene.id for known in known_scenes(model, both)] == ["s1_clear"]
    with pytest.raises(SceneError, match="was trained on all 1 scenes"):
        known_scenes(model, both[:1])
    # One of them under another name.
    digest = scene_digest(open_scene(both[0]))
    split.write_text(json.dumps({"training": ["other"], "training_digests": {"other": digest}}))
    assert [known.scene.id for known in known_scenes(model, both)] == ["s1_clear"]
    split.write_text("{}")
    with pytest.raises(ModelError, match=r"split\.json is damaged"):
        known_scenes(model, both)
    assert not (folder / DECISION_FILE).exists()


@pytest.mark.slow
def test_an_ensemble_gives_the_weighted_mean(tmp_path, specked):
    folders = [save_unet(tmp_path / str(seed), make_recipe(32), seed) for seed in range(2)]
    combine(folders, [3, 1], tmp_path / "both")
    scene = open_scene(str(tmp_path / "s0_clear.tif"))
    first, second, mean = (
        predict_scene(open_model(folder), scene, with_probabilities=True).probabilities
        for folder in (*folders, tmp_path / "both")
    )
    np.testing.assert_allclose(mean, (3 * first + second) / 4, atol=1e-4)
    about = json.loads((tmp_path / "both/provenance.json").read_text())
    assert about["weights"] == "3, 1"
    assert len(about["members"].split(", ")) == 2
    result = run("predict", tmp_path / "both", tmp_path / "s0_clear.tif", "--out", tmp_path / "m")
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.parametrize("merge", ["mean", "vote"])
@pytest.mark.parametrize("has_masks", [False, True])
def test_each_member_counts(tmp_path, merge, has_masks):
    """Not only the last: every member changes the answer by its own weight."""
    import keras

    kind = {"classes": MASKS.model_dump()} if has_masks else {}
    recipe, image = make_recipe(32, **kind), ice_image(32, 32)[None].astype(np.float32)
    folders, answers = [], []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = build(
            "unet",
            input_shape=(None, None, 3),
            n_classes=3,
            filters=(4, 6),
            dropout=(0, 0),
            activation="sigmoid" if has_masks else "softmax",
        )
        folders.append(tmp_path / str(seed))
        save_model(folders[-1], model, recipe)
        answers.append(np.asarray(model(image)))
    # Random networks are at places undecided between classes, which then share the vote.
    best = [a >= (0.5 if has_masks else a.max(axis=-1, keepdims=True)) for a in answers]
    votes = best if has_masks else [own / own.sum(axis=-1, keepdims=True) for own in best]
    for weights in ((0, 0, 1), (2, 1, 3)):
        out = tmp_path / f"out{weights}"
        words = ["--weights", ",".join(map(str, weights)), "--merge", merge]
        assert run("ensemble", *folders, "--out", out, *words).exit_code == 0
        both = open_model(out)
        found = open_forward(both.keras_model, InferenceOptions(), has_masks)(image)
        expected = np.average(answers if merge == "mean" else votes, axis=0, weights=weights)
        np.testing.assert_allclose(found, expected, atol=1e-5 if merge == "mean" else 1e-3)
        assert json.loads((out / "provenance.json").read_text())["merge"] == merge
        assert len(members_of(both)[0]) == 3  # It comes apart again.
    for backend, precision in (("openvino", "float32"), ("keras", "bfloat16")):
        options = InferenceOptions(backend=backend, precision=precision)
        again = open_forward(both.keras_model, options, has_masks)(image)
        assert (np.abs(again - found) < 0.05).mean() > 0.9  # A vote may turn by rounding.


def test_models_that_do_not_go_together_are_an_error(tmp_path):
    one = save_unet(tmp_path / "one", make_recipe(32))
    other = save_unet(tmp_path / "other", make_recipe(32, label={"images": "filtered"}))
    out = tmp_path / "out"
    assert "another section 'label'" in run("ensemble", one, other, "--out", out).output
    assert "as many weights" in run("ensemble", one, one, "--weights", "1", "--out", out).output
    assert "not numbers" in run("ensemble", one, one, "--weights", "a,b", "--out", out).output
    for weights in ("inf,1", "nan,1", "-1,2", "0,0", "1e308,1e308"):
        result = run("ensemble", one, one, "--weights", weights, "--out", out)
        assert result.exit_code == 1
        assert "all of them finite" in " ".join(result.output.split())
    # What labels are made of doesn't matter, as long as the images are the same.
    relabelled = save_unet(tmp_path / "l", make_recipe(32, label={"method": "none"}))
    assert run("ensemble", one, relabelled, "--out", tmp_path / "two labels").exit_code == 0
    filtered = save_unet(tmp_path / "f", make_recipe(32, inference={"filter": "illumination"}))
    assert "'inference.filter'" in run("ensemble", one, filtered, "--out", out).output
    assert not out.exists()


@pytest.mark.slow
def test_an_ensemble_may_take_the_place_of_a_member_and_of_nothing_else(tmp_path):
    one, two = (save_unet(tmp_path / str(seed), make_recipe(32), seed) for seed in range(2))
    project = tmp_path / "project"
    project.mkdir()
    (project / "recipe.yaml").write_text("mine")
    for extra in ([], ["--overwrite"]):
        result = run("ensemble", one, two, "--out", project, *extra)
        assert "holds other files (recipe.yaml)" in " ".join(result.output.split())
    assert [path.name for path in project.iterdir()] == ["recipe.yaml"]

    assert run("ensemble", one, two, "--out", tmp_path / "both").exit_code == 0
    (tmp_path / "both/notes.txt").write_text("mine")
    again = ["ensemble", one, tmp_path / "both", "--out", tmp_path / "both"]
    assert "add --overwrite" in run(*again).output
    assert run(*again, "--overwrite").exit_code == 0
    assert (tmp_path / "both/notes.txt").read_text() == "mine"
    assert open_model(tmp_path / "both").recipe == make_recipe(32)


@pytest.mark.parametrize("name", ["decision.yaml", "tuning.csv"])
def test_what_tune_did_not_write_stays(tmp_path, specked, name):
    folder = save_threshold_model(tmp_path / "model", make_recipe(32))
    (folder / name).write_text("# mine\n")
    result = run("tune", folder, "--scenes", tmp_path / "s0_clear.tif")
    assert result.exit_code == 1
    assert f"{name} is not a file that Polynya wrote" in " ".join(result.output.split())
    assert (folder / name).read_text() == "# mine\n"
    assert not any(path.name.startswith(".polynya.lock") for path in folder.iterdir())
