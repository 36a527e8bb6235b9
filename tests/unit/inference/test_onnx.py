"""Networks as ONNX files: as Deepness feeds them they give the probabilities of Keras."""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import pytest

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, mask_model, save_unet
from helpers.maps.made_maps import MASKS, ONE_MASK
from helpers.training.small_families import SMALL
from inference.deepness import command
from inference.deepness.conversion import check_file, converted, of_tiles, output_names
from inference.predict.backends import in_precision
from inference.predict.decision import Decision, write_decision
from inference.predict.ensemble import combine
from inference.predict.predict import open_model
from polynya.recipe.recipe import Recipe
from training.model_folder.folder import save_model
from training.models import NETWORKS, build, build_from
from training.models.features import FeaturePlan, FeatureStatistics, make_features

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

BANDS = ("swir", "nir", "red", "qa")


def deepness(path, tiles):
    """Probabilities by the file, fed as the plugin does it: (N, H, W, bands) of any numbers."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    ours = {"polynya_version", "recipe_digest", "model_digest"}
    meta = {key: json.loads(text) for key, text in meta.items() if key not in ours}
    scaled = np.float32(tiles * 1.0 / 255.0)
    scaled = (scaled - meta["standardization_mean"]) / meta["standardization_std"]
    (given,) = session.get_inputs()
    assert given.shape[1:] == [tiles.shape[-1], *tiles.shape[1:3]]
    assert isinstance(given.shape[0], str)  # Any number of tiles.
    found = session.run(None, {given.name: np.float32(np.transpose(scaled, (0, 3, 1, 2)))})
    return np.moveaxis(np.concatenate(found, axis=1), 1, -1), meta, session


def colours(count, edge, seed=0):
    tiles = np.random.default_rng(seed).integers(0, 256, (count, edge, edge, 3), dtype=np.uint8)
    tiles[:, :5, :7] = 0  # The plugin's padding.
    return tiles


def test_a_file_gives_the_probabilities_of_the_model(tmp_path):
    folder = save_unet(tmp_path / "model", make_recipe(32, inference={"overlap": 0.125}))
    # Slower arithmetic of the training is none of the file.
    model = in_precision(open_model(folder).keras_model, "bfloat16")
    save_model(folder, model, open_model(folder).recipe)
    out = tmp_path / "new" / "model.onnx"
    said = run("onnx", folder, "--out", out, "--tile-size", 64, "--resolution", 10).output
    assert "tiles of 64 x 64 pixels; probabilities differ from the model's by at most" in said
    assert "Note" not in said
    tiles = colours(3, 64)
    found, meta, session = deepness(out, tiles)
    exact = in_precision(model, "float32")
    np.testing.assert_allclose(found, np.asarray(exact(tiles.astype(np.float32))), atol=1e-4)
    assert meta == {
        "model_type": "Segmentor",
        "class_names": {"0": "Open water", "1": "Thin/young ice", "2": "Thick/snow-covered ice"},
        "tile_size": 64,
        "tiles_overlap": 12,
        "seg_thresh": 0,
        "seg_small_segment": 0,
        "standardization_mean": [0, 0, 0],
        "standardization_std": [1, 1, 1],
        "resolution": 1000,
        "bands": ["red", "green", "blue"],
    }
    (output,) = session.get_outputs()
    assert (output.name, output.shape[1:]) == ("probabilities", [3, 64, 64])
    proto = onnx.load(out)
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [17]
    kept = {prop.key for prop in proto.metadata_props}
    assert {"polynya_version", "recipe_digest", "model_digest"} < kept


@pytest.mark.parametrize("classes", [MASKS, ONE_MASK], ids=["masks", "one mask"])
def test_each_mask_is_an_output_of_its_own(tmp_path, classes):
    recipe = make_recipe(32, classes=classes.model_dump())
    folder = mask_model(tmp_path / "model", make_recipe(32, classes=MASKS.model_dump())).folder
    model = open_model(folder).keras_model
    if classes is ONE_MASK:
        model = keras.Model(model.inputs[0], model.outputs[0][..., :1])
        save_model(folder, model, recipe)
    write_decision(folder, Decision(thresholds=(0.25,) * classes.n_classes))
    assert "Note" not in run("onnx", folder, "--out", tmp_path / "a.onnx", "--tile-size", 32).output
    tiles = colours(2, 32)
    found, meta, session = deepness(tmp_path / "a.onnx", tiles)
    np.testing.assert_allclose(found, np.asarray(model(tiles.astype(np.float32))), atol=1e-4)
    assert [output.shape[1] for output in session.get_outputs()] == [1] * classes.n_classes
    assert meta["seg_thresh"] == 0.25
    names = [{"0": title} for title in classes.titles]
    assert meta["class_names"] == (names if len(names) > 1 else names[0])


FEATURES = {
    "z_score": {"indices": ["NDVI"]},
    "min_max": {"scaling": "min_max", "fill": "minimum"},
    "quantile of the image": {"scaling": "quantile", "statistics": "image"},
    "z_score of the image": {"scaling": "z_score", "statistics": "image", "fill": "maximum"},
    "bad pixels": {"missing_where": {"qa": {"above": 0}}, "scaling": "none", "fill": 0.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_bands_and_indices_are_in_the_file(tmp_path, name):
    recipe = make_recipe(
        32,
        scene={"inputs": BANDS, "scale": 1e-4, "offset": -0.1},
        features=FEATURES[name],
        model={"filters": [4, 6], "dropout": [0, 0]},
    )
    plan = FeaturePlan.of(recipe)
    count = len(plan.names)
    statistics = FeatureStatistics(
        *(np.full(count, number) for number in (0.3, 0.2, -0.1, 1.0, 0.0, 0.8))
    )
    keras.utils.set_random_seed(1)
    features = make_features(plan, statistics)
    network = build(
        "unet",
        input_shape=(None, None, 4),
        n_classes=3,
        filters=(4, 6),
        dropout=(0, 0),
        features=features,
    )
    save_model(tmp_path / "model", network, recipe)
    run("onnx", tmp_path / "model", "--out", tmp_path / "a.onnx", "--tile-size", 32)
    numbers = np.random.default_rng(0).integers(1, 9000, (2, 32, 32, 4)).astype(np.float32)
    numbers[..., 3] = np.where(numbers[..., 3] > 8000, 5000, 1)
    numbers[:, 10:13, :9, 1] = np.nan
    numbers[1, 20:, 20:] = 0
    found, meta, _ = deepness(tmp_path / "a.onnx", numbers)
    values = numbers * np.float32(1e-4) - np.float32(0.1)
    values[1, 20:, 20:] = np.nan
    np.testing.assert_allclose(found, np.asarray(network(values)), atol=1e-4)
    assert meta["bands"] == list(BANDS)
    assert len(meta["standardization_mean"]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_of_models_can_be_written(tmp_path, name):
    recipe = Recipe.model_validate({"model": {"name": name, **SMALL.get(name, {})}})
    network = build_from(recipe.model, input_shape=(None, None, 3), n_classes=3)
    seen, edge = of_tiles(network, recipe), max(64, recipe.model.multiple)
    path = tmp_path / "a.onnx"
    onnx.save(converted(seen, edge, output_names(recipe.classes)), path)
    assert check_file(path, seen, edge) <= 1e-4


def test_an_ensemble_that_votes_and_what_the_file_lacks(tmp_path):
    options = {"inference": {"window": 96, "slice": 24}, "label": {"images": "filtered"}}
    folders = [save_unet(tmp_path / str(seed), make_recipe(32, **options), seed) for seed in (1, 2)]
    combine(folders, [2, 1], tmp_path / "both", merge="vote")
    write_decision(tmp_path / "both", Decision(tta="flips", weights=(1, 2, 1)))
    said = run("onnx", tmp_path / "both", "--out", tmp_path / "a.onnx", "--resolution", 10).output
    assert "(filter illumination), and the file has no filter" in said
    assert "tta, weights of its decision are steps of 'polynya predict'" in said
    tiles = colours(1, 96)
    found, meta, _ = deepness(tmp_path / "a.onnx", tiles)
    assert (meta["tile_size"], meta["resolution"]) == (96, 250)
    expected = np.asarray(open_model(tmp_path / "both").keras_model(tiles.astype(np.float32)))
    assert (np.abs(found - expected) < 1e-4).mean() > 0.999  # Ties may go either way.


def test_what_can_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    folder = save_unet(tmp_path / "model", make_recipe(32))
    words = ("onnx", folder, "--out", tmp_path / "a.onnx")
    found = run(*words, "--tile-size", 35, expect=1).output
    assert "a multiple of 32 pixels; give, for example, --tile-size 32" in found
    run("onnx", folder, "--out", tmp_path / "a.txt", expect=2)
    fixed = keras.Sequential([keras.Input((32, 64, 3)), keras.layers.Conv2D(3, 1)])
    fixed.add(keras.layers.Softmax())
    save_model(tmp_path / "fixed", fixed, make_recipe(32))
    found = run("onnx", tmp_path / "fixed", "--out", tmp_path / "a.onnx", expect=1).output
    assert "images of 32 x 64 pixels only" in found
    (tmp_path / "a.onnx").write_text("mine")
    assert "a.onnx" in run(*words, expect=1).output
    (tmp_path / "a.onnx").unlink()
    monkeypatch.setattr(command, "converted", lambda *_: onnx.ModelProto())
    assert "can't be run" in run(*words, expect=1).output
    assert not (tmp_path / "a.onnx").exists()
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert "[onnx]'" in run(*words, expect=1).output
