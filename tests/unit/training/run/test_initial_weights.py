"""Weights to start from: which layers get them, where they come from, what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from helpers.servers.web_server import Answer, WebServer, serving
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ModelError, PolynyaError, RecipeError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.weights import WeightsOptions
from training.model_folder import folder as model_folder
from training.model_folder import weights_file
from training.model_folder.weights_file import read_weights
from training.models import build
from training.models.transfer import Transfer, named_layers, transfer
from training.ranks.port import SingleProcess
from training.run.initial_weights import read_initial
from training.run.start import start_run

SLIM = {"encoder": "resnet18", "encoder_width": 0.05, "decoder": [8, 8, 4, 4, 4]}


def network(bands: int = 3, seed: int = 0, family: str = "encoder_unet", **options: Any) -> Any:
    keras.utils.set_random_seed(seed)
    own = SLIM if family == "encoder_unet" else {}
    return build(family, input_shape=(None, None, bands), n_classes=3, **own | options)


def exact(bands: int = 3, seed: int = 0) -> Any:
    """A network whose first layer makes no rounding errors, whatever the order of its sums."""
    model = network(bands, seed, features=lambda x: x)
    first = model.get_layer("encoder_stem_conv")
    first.kernel.assign(np.round(64 * first.kernel.numpy()) / 64)
    return model


def image(bands: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 64, 64, bands)).astype(np.float32)


def recipe_of(start_from: Any, inputs: list[str] | None = None, **model: Any) -> Recipe:
    content: dict[str, Any] = {
        "model": {"name": "encoder_unet", **SLIM, **model},
        "training": {"start_from": start_from},
    }
    if inputs is not None:
        content["scene"] = {"inputs": inputs}
    return parse_recipe(content, "recipe.yaml")


def begin(model: Any, recipe: Recipe) -> str:
    weights = read_initial(recipe, None)
    assert weights is not None
    return weights.apply(model, recipe)


@pytest.fixture(scope="module")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network for three bands."""
    path = tmp_path_factory.mktemp("weights") / "rgb.keras"
    exact().save(path)
    return path


def test_further_bands_change_nothing_at_the_start(rgb: Path) -> None:
    old = keras.saving.load_model(rgb)
    x = image(5)
    # The bands of the file are the red, green and blue of the recipe, wherever they stand.
    x[..., [0, 2]] = 0.0
    expected = np.asarray(old(x[..., [4, 3, 1]]))
    recipe = recipe_of(str(rgb), ["swir16", "blue", "nir", "green", "red"])
    new = exact(5, seed=1)
    assert begin(new, recipe) == f"{count(new)} of {count(new)} layers from {rgb}"
    np.testing.assert_array_equal(np.asarray(new(x)), expected)
    x[..., [0, 2]] = 17.0
    np.testing.assert_array_equal(np.asarray(new(x)), expected)


def count(model: Any) -> int:
    return sum(bool(layer.weights) for _, layer in named_layers(model))


def test_bands_can_be_named_and_must_be_known(rgb: Path) -> None:
    inputs = ["nir", "swir16", "swir22", "coastal"]
    with pytest.raises(ModelError, match=r"has 3 channels.*sees nir, swir16.*start_from\.bands"):
        begin(network(4), recipe_of(str(rgb), inputs))
    bands = {"source": str(rgb), "bands": ["swir22", "nir", "coastal"]}
    new = exact(4, seed=1)
    begin(new, recipe_of(bands, inputs))
    x = image(4)
    expected = keras.saving.load_model(rgb)(x[..., [2, 0, 3]])
    np.testing.assert_array_equal(np.asarray(new(x)), np.asarray(expected))
    for wrong in (["nir", "swir16"], ["nir", "swir16", "red"]):
        with pytest.raises(ModelError, match="don't describe"):
            begin(network(4), recipe_of({"source": str(rgb), "bands": wrong}, inputs))


def test_every_kind_of_file_gives_the_same_arrays(tmp_path: Path) -> None:
    model = network(family="segformer", decoder_filters=8)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    for name in ("m.keras", "m.weights.h5"):
        new = network(seed=1, family="segformer", decoder_filters=8)
        arrays = read_weights(WeightsOptions(source=str(tmp_path / name))).arrays
        found = transfer(new, arrays, range)
        assert (found.left, found.unused) == ((), ())
        for one, other in zip(model.get_weights(), new.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_an_encoder_takes_the_files_of_keras_applications(tmp_path: Path) -> None:
    keras.utils.clear_session()  # So that layers without a name of their own get their first ones.
    keras.utils.set_random_seed(1)
    original = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    original.save(tmp_path / "b0.h5")  # Keras 2's format, as on the servers of Keras.
    original.save(tmp_path / "b0.keras")
    for name in ("b0.h5", "b0.keras"):
        new = network(4, encoder="efficientnet_b0", encoder_width=1.0)
        arrays = read_weights(WeightsOptions(source=str(tmp_path / name))).arrays
        found = transfer(new, arrays, lambda channels: [0, 1, 2, None][: channels + 1])
        assert found.unused == ("normalization",)
        assert all(layer.startswith(("decoder", "head")) for layer in found.left)
        kernel = new.get_layer("encoder_stem_conv").get_weights()[0]
        expected = original.get_layer("stem_conv").get_weights()[0]
        np.testing.assert_array_equal(kernel[:, :, :3], expected)
        assert not kernel[:, :, 3].any()
        for layer in ("block7a_bn", "top_conv"):
            ours = new.get_layer(f"encoder_{layer}").get_weights()
            for one, other in zip(ours, original.get_layer(layer).get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)


def with_nan(path: Path) -> None:
    model = network()
    model.get_layer("head_conv").bias.assign([np.nan, 0, 0])
    model.save_weights(path)


def without_names(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/b"] = np.zeros(3)


def from_elsewhere(path: Path) -> None:
    (path.parent / "secret").write_bytes(bytes(80))
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "head_conv"
        group.create_dataset("0", (10,), "f8", external=[(str(path.parent / "secret"), 0, 80)])


def bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (2**28,), "f4", chunks=(2**20,), compression="gzip", fillvalue=1)


def cut(path: Path) -> None:
    network().save(path)
    path.write_bytes(path.read_bytes()[:-500])


def cut_h5(path: Path) -> None:
    network().save_weights(path)
    path.write_bytes(path.read_bytes()[:-500])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (with_nan, "'head_conv' in .* not finite numbers"),
        (without_names, "has no weights with the names"),
        (from_elsewhere, "refers to other files"),
        (bomb, "would expand to"),
        (cut, "can't be read as weights of Keras"),
        (cut_h5, "can't be read as weights of Keras"),
        (lambda path: path.write_text("<html>"), "can't be read as weights of Keras"),
        (lambda path: path.mkdir(), "holds no model"),
        (lambda path: None, "There is no file"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_sentence(
    make: Any, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.weights.h5"
    make(path.with_suffix(".keras") if make is cut else path)
    path = path.with_suffix(".keras") if make is cut else path
    with pytest.raises(PolynyaError, match=problem) as error:
        read_weights(WeightsOptions(source=str(path)))
    assert str(error.value).count(". ") == 0


def test_a_file_with_another_checksum_is_refused(rgb: Path) -> None:
    digest = hashlib.sha256(rgb.read_bytes()).hexdigest()
    assert read_weights(WeightsOptions(source=str(rgb), sha256=digest.upper())).digest in digest
    with pytest.raises(ModelError, match=f"has the SHA-256 {digest}, and the recipe's"):
        read_weights(WeightsOptions(source=str(rgb), sha256="0" * 64))


@pytest.fixture
def server(rgb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("POLYNYA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights_file, "_RETRIES", 0)
    with serving(rgb.parent) as server:
        content = rgb.read_bytes()
        server.routes += [
            ("/cut.keras", lambda _: Answer(content, cut_after=1000)),
            ("/short.keras", lambda _: Answer(content[:-1])),
        ]
        yield server


def test_weights_come_from_a_server_once(rgb: Path, server: WebServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(rgb.read_bytes()).hexdigest()
    options = WeightsOptions(source=f"{server.url}/rgb.keras?token=secret", sha256=digest)
    for _ in range(2):
        found = read_weights(options)
        assert found.digest == digest[:16]
        assert "head_conv" in found.arrays
    assert server.count("rgb") == 1
    assert "secret" not in found.source
    (tmp_path / "cache/weights" / digest).write_bytes(b"spoilt")
    with pytest.raises(ModelError, match="was changed since .* was fetched; remove it"):
        read_weights(options)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("cut.keras", r"can't be fetched \(the connection to .* broke\)"),
        ("short.keras", r"bytes with the SHA-256 [0-9a-f]{64}, and the recipe's key"),
        ("none.keras", r"can't be fetched \(the server answers with status 404\)"),
    ],
)
def test_what_a_server_sends_wrongly_is_refused(
    name: str, problem: str, rgb: Path, server: WebServer
) -> None:
    digest = hashlib.sha256(rgb.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=problem):
        read_weights(WeightsOptions(source=f"{server.url}/{name}", sha256=digest))


@pytest.mark.parametrize(
    ("start_from", "problem"),
    [
        ("https://example.org/w.keras", r"is a URL.*set 'training\.start_from\.sha256'"),
        ("s3://bucket/w.keras", "come from files, http and https"),
        ({"source": "w.keras", "sha256": "12"}, r"training\.start_from\.sha256"),
        ({"sha256": "0" * 64}, r"training\.start_from\.source"),
    ],
)
def test_a_recipe_says_where_weights_are(start_from: Any, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        recipe_of(start_from)


def test_recipes_without_it_keep_their_digest() -> None:
    plain = parse_recipe({"training": {"epochs": 7}}, "r")
    assert plain.digest() == "372ae50f19ade75f"
    some = parse_recipe({"training": {"epochs": 7, "start_from": "x.keras"}}, "r")
    assert some.digest() != plain.digest()
    assert parse_recipe(some.model_dump(mode="json"), "r") == some


def test_a_training_begins_with_what_fits_of_a_folder(tmp_path: Path) -> None:
    content = {
        "tiles": {"size": 32},
        "model": {"name": "encoder_unet", **SLIM},
        "training": {"epochs": 1, "batch_size": 4},
    }
    recipe = parse_recipe(content, "recipe.yaml")
    write_tiny_shards(tmp_path / "shards", recipe)
    first = network()
    model_folder.save_model(tmp_path / "first", first, recipe)
    linknet = {"name": "linknet", "encoder": "resnet18", "encoder_width": 0.05}
    training = {"epochs": 1, "batch_size": 4, "start_from": str(tmp_path / "first")}
    parse_recipe(content | {"model": linknet, "training": training}, "r").save(tmp_path / "r.yaml")
    run = start_run(tmp_path / "shards", tmp_path / "out", tmp_path / "r.yaml", SingleProcess())
    for layer in ("encoder_stem_conv", "encoder_stage4_unit2_norm2"):
        for one, other in zip(
            first.get_layer(layer).get_weights(),
            run.trainer.model.get_layer(layer).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    run.train()
    facts = json.loads((tmp_path / "out/provenance.json").read_text())
    assert facts["started_with"].startswith("40 of 71 layers from ")
    assert "begin at random: decoder1_conv1, decoder1_norm1" in facts["started_with"]
    assert f"- started_with: {facts['started_with']}" in (tmp_path / "out/README.md").read_text()

    # What doesn't fit at all is refused before anything is removed.
    before = (tmp_path / "out/model.keras").read_bytes()
    parse_recipe(content | {"model": "unet", "training": training}, "r").save(tmp_path / "r.yaml")
    with pytest.raises(
        ModelError, match=r"Not one layer of the model 'unet'.*there: decoder1_conv1"
    ):
        start_run(
            tmp_path / "shards",
            tmp_path / "out",
            tmp_path / "r.yaml",
            SingleProcess(),
            overwrite=True,
        )
    assert (tmp_path / "out/model.keras").read_bytes() == before


def test_layers_of_other_shapes_are_left_out() -> None:
    model = network()
    arrays = {name: layer.get_weights() for name, layer in named_layers(network(seed=1))}
    arrays = {name: values for name, values in arrays.items() if values}
    arrays["head_conv"] = [np.zeros((1, 1, 4, 3)), np.zeros(3)]
    kept = model.get_layer("head_conv").get_weights()[0]
    found = transfer(model, arrays, range)
    assert found == Transfer(
        tuple(n for n in arrays if n != "head_conv"), ("head_conv",), ("head_conv",)
    )
    np.testing.assert_array_equal(model.get_layer("head_conv").get_weights()[0], kept)
