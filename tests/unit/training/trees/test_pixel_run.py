"""Training decision trees by the commands, and all that takes the model: maps, tuning, studies."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from helpers.maps.inference_commands import run
from helpers.schemes import scheme_of
from helpers.shards.tiny_shards import write_tiny_shards
from inference.predict.backends import open_forward
from polynya.errors import ModelError, PolynyaError, RecipeError
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.recipe import Recipe, parse_recipe
from training.errors import StoppedError
from training.model_folder.folder import load_model
from training.ranks.port import SingleProcess
from training.run.start import start_run

TINY: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"name": "xgboost", "rounds": 8, "depth": 3, "pixels": 3000},
}


def _recipe(**sections: Any) -> Recipe:
    return parse_recipe({**TINY, **sections}, source="test")


@pytest.fixture(scope="module", autouse=True)
def threads_as_they_are() -> Iterator[None]:
    """TensorFlow takes its number of threads once a process, and other tests have been here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.run.session.configure_devices", lambda collective: 1)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards, a recipe and a trained model."""
    folder = tmp_path_factory.mktemp("trees")
    write_tiny_shards(folder / "shards", _recipe())
    _recipe().save(folder / "recipe.yaml")
    run("train", "--shards", folder / "shards", "--out", folder / "model")
    return folder


def _train(place: Path, out: Path, **sections: Any) -> Path:
    _recipe(**sections).save(out.with_suffix(".yaml"))
    start_run(place / "shards", out, out.with_suffix(".yaml"), SingleProcess()).train()
    return out


def test_the_folder_has_all_that_other_models_have(place: Path) -> None:
    model = place / "model"
    assert {path.name for path in model.iterdir()} == {
        "trees.json", "recipe.yaml", "classes.json", "split.json", "metrics.json", "history.csv",
        "importances.csv", "importances.png", "provenance.json", "README.md", "_polynya.csv",
    }  # fmt: skip
    metrics = json.loads((model / "metrics.json").read_text())
    assert np.sum(metrics["validation"]["confusion"]) == 64 * 64
    assert metrics["validation"]["mean_iou"] > 0.99  # The labels are thresholds of brightness.
    rows = list(csv.DictReader((model / "importances.csv").read_text().splitlines()))
    assert {row["feature"] for row in rows} == {"red", "green", "blue"}
    assert sum(float(row["gain_share"]) for row in rows) == pytest.approx(1)
    card = (model / "README.md").read_text()
    assert "It learnt from 3000 pixels" in card
    assert f"| {rows[0]['feature']} | " in card
    assert load_model(model).recipe.inference.backend == "xgboost"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_however_tiles_are_read(
    place: Path, tmp_path: Path
) -> None:
    for name, sections in (
        ("again", {}),
        ("streamed", {"training": {"input": {"cache": "none"}}}),
        ("other", {"seed": 5}),
    ):
        _train(place, tmp_path / name, **sections)
    files = {n: (tmp_path / n / "trees.json").read_bytes() for n in ("again", "streamed", "other")}
    first = (place / "model" / "trees.json").read_bytes()
    assert files["again"] == files["streamed"] == first
    assert files["other"] != first
    for name in ("README.md", "importances.png", "importances.csv", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (place / "model" / name).read_bytes()


@pytest.mark.slow
def test_maps_and_label_next_take_it_as_any_model(place: Path, tmp_path: Path) -> None:
    scene, maps = place / "scene0.tif", tmp_path / "maps"
    model = shutil.copytree(place / "model", tmp_path / "model")
    run("predict", model, scene, "--out", maps, "--products", "all")
    with rasterio.open(scene) as file, rasterio.open(maps / "scene0.tif") as found:
        expected = np.digitize(file.read().max(axis=0), [31, 205])
        assert (found.read(1) == expected).mean() > 0.99
        assert found.tags()["backend"] == "xgboost, float32"
    item = json.loads(next(maps.glob("model_*.json")).read_text())["properties"]
    assert item["mlm:framework"] == "XGBoost"
    assert item["mlm:total_parameters"] == load_model(model).predictor.count_params()
    said = run("predict", model, scene, "--out", maps, "--backend", "openvino", expect=1).output
    assert "The model is of decision trees" in said.replace("\n", " ")
    run("label-next", model, scene, "--out", tmp_path / "next")


def test_a_network_does_not_run_with_xgboost() -> None:
    import keras

    model = keras.Sequential([keras.layers.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    with pytest.raises(ModelError, match="The model is a network, which the back end xgboost"):
        open_forward(model, InferenceOptions(backend="xgboost"))


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"training": {"augment": {"haze": 0.5}}}, "training.augment.haze"),
        ({"inference": {"backend": "keras"}}, "inference.backend"),
        ({"inference": {"precision": "bfloat16"}}, "inference.precision"),
        ({"classes": scheme_of(2, "masks").model_dump(), "training": {
            "loss": "binary_crossentropy", "class_weights": "balanced"}}, "training.class_weights"),
    ],
)  # fmt: skip
def test_what_trees_cannot_use_is_said(sections: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=f"'{key}' is for networks, and 'model.name'"):
        _recipe(**sections)


class _TwoRanks(SingleProcess):
    size = 2


def test_several_ranks_another_model_to_begin_with_and_a_missing_package_are_said(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, out = place / "shards", tmp_path / "model"
    with pytest.raises(PolynyaError, match="by one process, and there are 2 ranks"):
        start_run(shards, out, None, _TwoRanks())
    with pytest.raises(RecipeError, match="leave --start-from out"):
        start_run(shards, out, None, SingleProcess(), start_from=place / "model")
    monkeypatch.setitem(sys.modules, "xgboost", None)
    said = run("train", "--shards", shards, "--out", out, expect=1).output
    assert "[baseline]" in said
    assert not out.exists()


@pytest.mark.parametrize("after", [0, 3, 8])
def test_a_stopped_training_leaves_no_model_and_begins_again(
    place: Path, tmp_path: Path, after: int
) -> None:
    run_of_trees = start_run(place / "shards", tmp_path / "model", None, SingleProcess())
    answers = iter([False] * after)
    with pytest.raises(StoppedError, match="with --resume begins"):
        run_of_trees.train(lambda: next(answers, True))
    assert not (tmp_path / "model" / "README.md").exists()
    run("train", "--shards", place / "shards", "--out", tmp_path / "model", "--resume")
    first = (place / "model" / "trees.json").read_bytes()
    assert (tmp_path / "model" / "trees.json").read_bytes() == first


def test_masks_that_overlap_have_a_tree_each(place: Path, tmp_path: Path) -> None:
    classes = scheme_of(2, "masks")
    training = {"loss": "binary_crossentropy"}
    recipe = _recipe(classes=classes.model_dump(), training=training)
    write_tiny_shards(tmp_path / "shards", recipe)
    run("train", "--shards", tmp_path / "shards", "--out", tmp_path / "model")
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())["validation"]
    assert metrics["accuracy"] > 0.99
    assert np.shape(metrics["confusion"]) == (2, 2, 2)
    image = np.full((1, 4, 4, 3), 110, np.uint8)  # Code 1: the first mask alone.
    found = load_model(tmp_path / "model").predictor.predict_on_batch(image)
    assert (found[..., 0] > 0.5).all()
    assert (found[..., 1] < 0.5).all()


def test_indices_and_statistics_travel_with_the_model(place: Path, tmp_path: Path) -> None:
    features = {"indices": ["NGRDI"], "scaling": "quantile"}
    model = _train(place, tmp_path / "model", features=features)
    trained = load_model(model)
    rows = (model / "importances.csv").read_text()
    assert "NGRDI" in rows
    image = np.full((1, 4, 4, 3), 110, np.uint8)
    assert (trained.predictor.predict_on_batch(image).argmax(axis=-1) == 1).all()
    shutil.copy(place / "model" / "trees.json", model / "trees.json")
    with pytest.raises(ModelError, match="it has 3 features and its recipe 4 bands"):
        load_model(model)


def test_a_recipe_of_another_family_is_said(place: Path, tmp_path: Path) -> None:
    model = shutil.copytree(place / "model", tmp_path / "model")
    Recipe().save(model / "recipe.yaml")
    with pytest.raises(ModelError, match=r"is no model 'unet'.*restore the recipe.yaml"):
        load_model(model)
    with pytest.raises(ModelError, match="is of decision trees, and this needs a network"):
        _ = load_model(place / "model").keras_model


@pytest.mark.slow
def test_cross_validation_makes_folds_and_their_ensemble(place: Path, tmp_path: Path) -> None:
    split, out = tmp_path / "folds.json", tmp_path / "cv"
    run("split", place / "shards", "--by", "random", "--folds", 2, "--out", split)
    run("cross-validate", place / "shards", "--split", split, "--out", out)
    image = np.random.default_rng(0).integers(1, 256, (1, 8, 8, 3)).astype(np.uint8)
    folds = [load_model(out / f"fold-{n}").predictor.predict_on_batch(image) for n in range(2)]
    weights = json.loads((out / "ensemble" / "provenance.json").read_text())["weights"].split(", ")
    shares = np.array(weights, float) / np.sum(np.array(weights, float))
    found = load_model(out / "ensemble").predictor.predict_on_batch(image)
    np.testing.assert_allclose(found, shares[0] * folds[0] + shares[1] * folds[1], atol=1e-6)
    run("label-next", out / "ensemble", place / "scene1.tif", "--out", tmp_path / "next")
    said = run("ensemble", out / "fold-0", place / "model", "--out", tmp_path / "both").output
    assert "Model:" in said


def test_a_signal_ends_the_command_with_the_code_of_a_stop(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os._exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    monkeypatch.setattr(
        "training.run.pixel_run.grow",
        lambda *args, after_round, **options: (
            signal.raise_signal(signal.SIGTERM), after_round(1)
        ),
    )  # fmt: skip
    said = run("train", "--shards", place / "shards", "--out", tmp_path / "model", expect=75).output
    assert "decision trees have no checkpoints" in said.replace("\n", " ")
