"""The recipe file."""

from pathlib import Path

import pytest

import polynya
from polynya.errors import RecipeError
from polynya.recipe.explained import commented
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.shipped import shipped_as, shipped_recipes
from polynya.recipe.yaml_files import parse_yaml

SHIPPED = Path(polynya.__file__).with_name("recipes")


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_defaults_are_the_papers():
    recipe = load_recipe(None)
    assert recipe.model.filters == (16, 32, 64, 128, 256, 512)
    assert recipe.training.batch_size == 32
    assert recipe.training.epochs == 50
    assert recipe.tiles.size == 256


def test_the_illumination_filter_is_the_default_and_nothing_becomes_nodata_unasked():
    label = load_recipe(None).label
    assert (label.method, label.scope, label.images) == ("illumination", "scene", "original")
    assert (label.thick_cloud, label.uncertain) == ("label", "label")


def test_an_empty_file_is_the_defaults(tmp_path):
    assert load_recipe(write(tmp_path, "# nothing\n")) == Recipe()


def test_a_saved_recipe_is_the_same_recipe(tmp_path):
    recipe = load_recipe(write(tmp_path, "seed: 3\nscene: {bands: [4, 3, 2]}\n"))
    recipe.save(tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe
    assert load_recipe(tmp_path / "saved.yaml").digest() == recipe.digest()


def test_digest_changes_with_any_key_and_labels_digest_only_with_label_keys():
    base = Recipe()
    other_epochs = Recipe.model_validate({"training": {"epochs": 3}})
    other_method = Recipe.model_validate({"label": {"method": "published"}})
    assert base.digest() != other_epochs.digest()
    assert base.labels_digest() == other_epochs.labels_digest()
    assert base.labels_digest() != other_method.labels_digest()


def test_the_name_of_an_option_stands_for_it_with_its_defaults(tmp_path):
    short = load_recipe(write(tmp_path, "training: {loss: dice}\n"))
    assert short == load_recipe(write(tmp_path, "training: {loss: {name: dice}}\n"))
    assert short.training.loss.smoothing == 1e-5
    plain = load_recipe(write(tmp_path, "training: {schedule: cosine}\nmodel: unet\n"))
    named = "training: {schedule: {name: cosine}, optimizer: {beta_1: 0.9}}\n"
    assert load_recipe(write(tmp_path, named)) == plain
    assert plain.model_dump()["training"]["schedule"] == "cosine"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "2a48f1e2d44c2c04"),
        (
            "training: {schedule: cosine, learning_rate: 0.01, class_weights: [1, 2, 3]}\n",
            "b791e648129be881",
        ),
        ("training: {schedule: plateau, plateau_epochs: 3}\n", "3b94eb2d7b7d4be3"),
        ("model: {filters: [4, 8], dropout: [0, 0]}\n", "811a99a1c0f589b8"),
    ],
)
def test_recipes_without_later_keys_keep_the_digests_that_they_had(tmp_path, text, digest):
    # A complete recipe of that time says that all black is nodata and that there are no layers.
    # These are no longer the defaults.
    older = "scene: {zero_is_nodata: true, layers: null}\n"
    recipe = load_recipe(write(tmp_path, older + text))
    assert recipe.digest() == digest
    recipe.save(tmp_path / "complete.yaml")
    assert load_recipe(tmp_path / "complete.yaml").digest() == digest
    for later in ({"loss": "dice"}, {"optimizer": "sgd"}, {"schedule": "step"}):
        training = {**recipe.training.model_dump(), **later}
        other = Recipe.model_validate({**recipe.model_dump(), "training": training})
        assert other.digest() != digest
    normalised = {**recipe.model.model_dump(), "batch_norm": "local"}
    other = Recipe.model_validate({**recipe.model_dump(), "model": normalised})
    assert other.digest() != digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sed: 1\n", "unknown key 'sed'; known there: acquire, classes"),
        ("tiles: {sise: 64}\n", "unknown key 'tiles.sise'; known there: min_valid, size"),
        ("tiles: {size: 0}\n", r"wrong value for 'tiles.size': .*greater than or equal to 1"),
        ("scene: {stretch: [1, 0]}\n", "wrong value for 'scene.stretch'"),
        ("label: {method: magic}\n", "wrong value for 'label.method'"),
        (
            "label: {method: none, thick_cloud: nodata}\n",
            "key 'label.thick_cloud' is 'nodata'.*set 'label.method' and 'label.scope' to these, or"
            " 'label.thick_cloud' to 'label'",
        ),
        (
            "label: {scope: tile, uncertain: nodata}\n",
            "key 'label.uncertain' is 'nodata'.*the method 'illumination' with the scope 'scene'",
        ),
        ("split: {group: 'no-group'}\n", "needs one"),
        ("split: {group: '('}\n", "not a regular expression"),
        (
            "training: {class_weights: [1, 2]}\n",
            "training.class_weights must have as many values as there are classes .3.",
        ),
        (
            "training: {horovod: {reduction: adasum}}\n",
            "wrong value for 'training': .*'adasum' needs learning_rate_scaling 'none'",
        ),
        (
            "training: {horovod: {reduction: adasum, compression: bf16}}\n",
            "wrong value for 'training.horovod': compression 'bf16' is for reduction 'sum'",
        ),
        (
            "training: {loss: dise}\n",
            "value for 'training.loss': needs the key 'name' with one of .*dice, jaccard, .*sum",
        ),
        ("training: {loss: {smoothing: 1}}\n", "'training.loss': needs the key 'name' with one of"),
        (
            "training: {loss: {name: dice, smooth: 1}}\n",
            "unknown key 'training.loss.smooth'; known there: classes, name, per_image, smoothing",
        ),
        ("training: {loss: {name: focal, gamma: 0.5}}\n", "wrong value for 'training.loss.gamma'"),
        (
            "training: {loss: {name: sum, terms: [{loss: sum}]}}\n",
            "wrong value for 'training.loss.terms.0.loss': needs the key 'name'",
        ),
        (
            "training: {loss: jaccard, accumulate: 4}\n",
            "key 'training.accumulate' is 4, but the loss 'jaccard' .*set 'training.accumulate' to",
        ),
        (
            "training: {schedule: saw}\n",
            "'training.schedule': needs the key 'name' with one of con",
        ),
        ("training: {schedule: {epochs: 3}}\n", "'training.schedule': needs the key 'name'"),
        (
            "training: {schedule: {name: cosine, epochs: 3}}\n",
            "unknown key 'training.schedule.epochs'; known there: name",
        ),
        (
            "training: {optimizer: {name: sgd, beta_1: 0.9}}\n",
            "unknown key 'training.optimizer.beta_1'; known there: decay, momentum, name, nest",
        ),
        ("training: {optimizer: lion}\n", "'training.optimizer': needs the key 'name' with one of"),
        (
            "training: {optimizer: {name: adamw, decay: coupled}}\n",
            "wrong value for 'training.optimizer.decay': Input should be 'decoupled'",
        ),
        ("model: {name: vnet}\n", "wrong value for 'model': needs the key 'name' with one of unet"),
        (
            "model: {batch_norm: synchronised}\ntraining: {jit: true}\n",
            "key 'model.batch_norm' is 'synchronised'.*set 'training.jit' to false, or",
        ),
        (
            "model: {batch_norm: synchronised}\ntraining: {learning_rate_scaling: none, horovod:"
            " {reduction: adasum}}\n",
            "set 'training.horovod.reduction' to sum, or 'model.batch_norm' to local",
        ),
        (
            "model: {filter: [4, 8]}\n",
            "unknown key 'model.filter'; known there: .*perhaps 'filters' is meant",
        ),
        ("- a list\n", "must be a mapping"),
        ("a: [\n", "not valid YAML at line 2"),
    ],
)
def test_a_wrong_recipe_is_one_sentence_with_file_and_key(tmp_path, text, problem):
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=problem) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_ships_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "after_filter").mkdir()  # a model's folder, for example
    recipe = load_recipe("after_filter")
    assert recipe == load_recipe(Path("after_filter")) == load_recipe(SHIPPED / "after_filter.yaml")
    assert recipe.inference.filter == "illumination"
    with pytest.raises(RecipeError) as error:
        load_recipe("after_filters")
    assert str(error.value) == (
        "There is neither a file after_filters nor a recipe of that name; give a YAML file or one"
        " of: after_filter, cloud_structures, coast_train, kelp, land_cover, loveda,"
        " ross_sea_2019, sea_ice, through_cloud."
    )


def test_a_recipe_that_ships_also_goes_by_the_kind_of_its_import():
    assert load_recipe("landcover") == load_recipe("land_cover")
    assert shipped_as("landcover") == shipped_as("land_cover") == "land_cover"
    assert shipped_as("rle") is None


def test_a_users_own_file_comes_before_a_recipe_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "after_filter").write_text("seed: 7\n")
    assert load_recipe("after_filter").seed == 7


@pytest.mark.parametrize("name", shipped_recipes())
def test_each_recipe_that_ships_can_be_used_and_completed(name):
    text = commented(load_recipe(name))
    assert parse_recipe(parse_yaml(text), name) == load_recipe(name)


def test_missing_and_binary_recipes_are_errors(tmp_path):
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a text file"):
        load_recipe(tmp_path / "binary.yaml")
