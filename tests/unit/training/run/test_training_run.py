"""A whole run on one rank."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.shards import tiny_shards
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ModelError, OutputError, PolynyaError, RecipeError, ShardError
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme, LabelClass
from polynya.recipe.recipe import Recipe, parse_recipe
from training.input.split import split_scenes
from training.model_folder.checkpoints import Position
from training.model_folder.folder import load_model
from training.model_folder.training_log import StepRecord, TrainingSummary
from training.ranks.agreement import together
from training.ranks.port import SingleProcess
from training.run.model_writer import doubts
from training.run.start import start_run

TINY: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.1, 0.1]},
    "training": {
        "epochs": 3,
        "batch_size": 5,
        "learning_rate": 0.01,
        "learning_rate_scaling": "none",
    },
}


def _recipe(**sections: dict[str, Any]) -> Recipe:
    content = dict(TINY)
    for section, values in sections.items():
        content[section] = {**content.get(section, {}), **values}
    return parse_recipe(content, source="test")


def _train(tmp_path: Path, recipe: Recipe, out: str = "model", **options: Any) -> TrainingSummary:
    shards = tmp_path / "shards"
    if not shards.exists():
        write_tiny_shards(shards, recipe)
    recipe.save(tmp_path / "recipe.yaml")
    return start_run(
        shards, tmp_path / out, tmp_path / "recipe.yaml", SingleProcess(), **options
    ).train()


@pytest.mark.slow
def test_a_run_from_the_stored_recipe_repeats_one_with_set_to_the_last_digit(
    tmp_path: Path,
) -> None:
    settings = ["training.epochs=2", "training.loss=dice", "training.augment.dihedral=true"]
    first = _train(tmp_path, _recipe(), "first", settings=settings)
    stored = first.folder / "recipe.yaml"
    changed = {"epochs": 2, "loss": "dice", "augment": {"dihedral": True}}
    assert stored.read_text() == _recipe(training=changed).text()
    second = start_run(tmp_path / "shards", tmp_path / "second", stored, SingleProcess()).train()
    assert second.weights_digest == first.weights_digest
    metrics = [(run.folder / "metrics.json").read_text() for run in (first, second)]
    assert metrics[0] == metrics[1]
    for one, other in zip(first.history, second.history, strict=True):
        assert (one.loss, one.val_loss, one.val_mean_iou) == (
            other.loss, other.val_loss, other.val_mean_iou,
        )  # fmt: skip
    with pytest.raises(RecipeError, match="perhaps 'epochs' is meant"):
        _train(tmp_path, _recipe(), "wrong", settings=["training.epoch=1"])


@pytest.mark.slow
def test_a_run_writes_a_model_folder_that_opens(tmp_path: Path) -> None:
    recipe = _recipe(training={"augment": {"dihedral": True, "haze": 0.5, "shade": 0.5}})
    summary = _train(tmp_path, recipe)
    folder = summary.folder
    assert {path.name for path in folder.iterdir()} == {
        "model.keras",
        "recipe.yaml",
        "classes.json",
        "split.json",
        "metrics.json",
        "history.csv",
        "steps.csv",
        "network.svg",
        "provenance.json",
        "README.md",
        "_polynya.csv",
    }
    assert load_model(folder).recipe == recipe
    history = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    assert all(float(row["images_per_second"]) > 0 for row in history)
    steps = list(csv.DictReader((folder / "steps.csv").read_text().splitlines()))
    assert len(steps) == 9
    assert sum(int(row["valid_pixels"]) for row in steps[:3]) == 12 * 32 * 32

    split = json.loads((folder / "split.json").read_text())
    assert (len(split["training"]), len(split["validation"])) == (3, 1)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epoch"] == summary.best_epoch
    # The validation scene as it is and once more under a simulated sky.
    assert np.sum(metrics["validation"]["confusion"]) == 2 * 64 * 64
    best = max(history, key=lambda row: float(row["val_mean_iou"]))
    assert int(best["epoch"]) == summary.best_epoch
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["last_weights_digest"] == summary.weights_digest
    card = (folder / "README.md").read_text()
    assert "dihedral, haze, shade" in card
    assert "It sees scenes as they are." in card
    assert "| Open water |" in card
    assert "For images of 32 x 32 pixels:" in card
    assert f"| parameters | {int(provenance['parameters']):,} |" in card
    assert "images/s in the last epoch |" in card
    assert (folder / "network.svg").read_text().startswith("<svg")


@pytest.mark.slow
def test_a_run_can_begin_with_the_weights_of_a_model(tmp_path: Path) -> None:
    first = _train(tmp_path, _recipe(), "first").folder
    recipe = _recipe(training={"epochs": 1, "learning_rate": 1e-12})
    second = _train(tmp_path, recipe, "second", start_from=first).folder
    weights, others = (load_model(f).keras_model.get_weights() for f in (first, second))
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    provenance = json.loads((second / "provenance.json").read_text())
    assert provenance["started_from"] == file_digest(first / "model.keras")
    assert "started_from" not in json.loads((first / "provenance.json").read_text())
    # It may also make way for what it becomes.
    digest = file_digest(first / "model.keras")
    again = _train(tmp_path, recipe, "first", start_from=first, overwrite=True).folder
    assert json.loads((again / "provenance.json").read_text())["started_from"] == digest


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused_before_anything_is_lost(
    tmp_path: Path,
) -> None:
    first = _train(tmp_path, _recipe(training={"epochs": 1}), "first").folder
    other = _recipe(model={"filters": [4, 4]}, training={"epochs": 1})
    _train(tmp_path, other, "model")
    with pytest.raises(ModelError, match="another section 'model'.*leave --start-from"):
        _train(tmp_path, other, "model", start_from=first, overwrite=True)
    with pytest.raises(ModelError, match="no model folder"):
        _train(tmp_path, other, "model", start_from=tmp_path / "nowhere", overwrite=True)
    scaled = _recipe(training={"epochs": 1}, features={"indices": ["RI4XS"]})
    with pytest.raises(ModelError, match="sees red, green, blue and the recipe's red, green, blue"):
        _train(tmp_path, scaled, "model", start_from=first, overwrite=True)
    assert load_model(tmp_path / "model").recipe == other


@pytest.mark.slow
def test_a_model_learns_from_filtered_tiles(tmp_path: Path) -> None:
    training = {"epochs": 1, "augment": {"haze": 1.0, "filter": "illumination"}}
    summary = _train(
        tmp_path, _recipe(training=training, inference={"filter": "illumination"}), "model"
    )
    assert np.isfinite(summary.history[0].loss)
    card = (summary.folder / "README.md").read_text()
    assert "It sees scenes after the filter `illumination`." in card
    with pytest.raises(RecipeError, match="set 'inference.filter' to 'illumination' too"):
        _recipe(training=training)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    recipe = _recipe(training={"augment": {"dihedral": True, "haze": 0.5}})
    one, two = (_train(tmp_path, recipe, out) for out in ("one", "two"))
    assert one.weights_digest == two.weights_digest
    other = _train(tmp_path, recipe.model_copy(update={"seed": 2}), "other")
    assert other.weights_digest != one.weights_digest


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "mean_iou"])
def test_the_best_epoch_is_kept(tmp_path: Path, monitor: str) -> None:
    summary = _train(tmp_path, _recipe(training={"monitor": monitor}))
    column = {"loss": "val_loss", "accuracy": "val_accuracy", "mean_iou": "val_mean_iou"}[monitor]
    values = [getattr(record, column) for record in summary.history]
    best = min(values) if monitor == "loss" else max(values)
    assert values[summary.best_epoch - 1] == best


def test_without_validation_the_training_loss_decides(tmp_path: Path) -> None:
    summary = _train(tmp_path, _recipe(split={"validation": 0.0}))
    losses = [record.loss for record in summary.history]
    assert losses[summary.best_epoch - 1] == min(losses)
    assert "No scene was held out" in (summary.folder / "README.md").read_text()


def test_without_a_recipe_that_of_the_shards_is_used(tmp_path: Path) -> None:
    recipe = _recipe(training={"epochs": 1})
    write_tiny_shards(tmp_path / "shards", recipe)
    summary = start_run(tmp_path / "shards", tmp_path / "model", None, SingleProcess()).train()
    assert load_model(summary.folder).recipe == recipe


def _refused(tmp_path: Path, recipe: Recipe) -> PolynyaError:
    write_tiny_shards(tmp_path / "shards", _recipe())
    with pytest.raises(PolynyaError) as error:
        _train(tmp_path, recipe)
    assert not (tmp_path / "model").exists()
    return error.value


def test_shards_of_other_classes_are_refused(tmp_path: Path) -> None:
    classes = ClassScheme(
        name="kelp",
        classes=(
            LabelClass(code=0, name="sea", title="Sea", color=(0, 0, 9)),
            LabelClass(code=1, name="kelp", title="Kelp", color=(0, 9, 0)),
        ),
    )
    error = _refused(tmp_path, _recipe().model_copy(update={"classes": classes}))
    assert isinstance(error, ShardError)
    assert "'sea-ice'" in str(error)
    assert "'kelp'" in str(error)


def test_shards_made_with_other_label_options_are_refused(tmp_path: Path) -> None:
    error = _refused(tmp_path, _recipe(label={"method": "published"}))
    assert isinstance(error, ShardError)
    assert "another section 'label'" in str(error)


@pytest.mark.slow
def test_tiles_of_a_size_that_the_model_cannot_halve_are_filled_up(tmp_path: Path) -> None:
    # Four levels need multiples of 8, so tiles of 36 pixels become 40, of which 4 are nodata.
    recipe = _recipe(
        tiles={"size": 36},
        model={"filters": [2] * 4, "dropout": [0.0] * 4},
        inference={"window": 99},
        training={"epochs": 1},
    )
    write_tiny_shards(tmp_path / "shards", recipe, size=72)
    summary = _train(tmp_path, recipe)
    steps = list(csv.DictReader((summary.folder / "steps.csv").read_text().splitlines()))
    assert sum(int(row["valid_pixels"]) for row in steps) == 12 * 36 * 36
    metrics = json.loads((summary.folder / "metrics.json").read_text())
    assert np.sum(metrics["validation"]["confusion"]) == 4 * 36 * 36


@pytest.mark.slow
def test_a_finished_model_is_replaced_on_request_only(tmp_path: Path) -> None:
    recipe = _recipe(training={"epochs": 1})
    _train(tmp_path, recipe)
    with pytest.raises(OutputError, match="--overwrite"):
        _train(tmp_path, recipe)
    _train(tmp_path, recipe, overwrite=True)


def _label_only(shares: dict[int, float], tmp_path: Path, recipe: Recipe) -> None:
    """Shards of four scenes, in which only so much of some scenes has labels."""
    nodata = [1 - shares.get(index, 0.0) for index in range(4)]
    write_tiny_shards(tmp_path / "shards", recipe, nodata_shares=nodata)


def _held_out(recipe: Recipe) -> int:
    """The one scene of the four that validates."""
    ids = [f"scene{index}" for index in range(4)]
    split = split_scenes(ids, validation=0.25, seed=recipe.seed)
    return ids.index(split.validation[0])


def test_tiles_without_a_label_teach_nothing(tmp_path: Path) -> None:
    recipe = _recipe()
    _label_only({}, tmp_path, recipe)
    with pytest.raises(
        ShardError, match=r"Not one pixel of the 3 training .*open_water 0.*'label.profile'"
    ):
        _train(tmp_path, recipe)
    assert not (tmp_path / "model").exists()


def test_labels_on_the_validation_side_only_teach_nothing(tmp_path: Path) -> None:
    recipe = _recipe()
    _label_only({_held_out(recipe): 1.0}, tmp_path, recipe)
    with pytest.raises(ShardError, match=r"the 1 validation scenes have some, so change .*'seed'"):
        _train(tmp_path, recipe)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_without_labels_to_validate_on_the_training_loss_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe(training={"epochs": 2})
    shares = {index: 0.5 for index in range(4) if index != _held_out(recipe)}
    _label_only(shares, tmp_path, recipe)
    summary = _train(tmp_path, recipe)
    assert "Not one pixel of the 1 validation scenes has a label" in capsys.readouterr().err
    losses = [record.loss for record in summary.history]
    assert losses[summary.best_epoch - 1] == min(losses)
    assert np.isnan(summary.history[0].val_mean_iou)
    metrics = json.loads((summary.folder / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] is None
    assert "Accuracy undefined" in (summary.folder / "README.md").read_text()


def test_a_class_that_does_not_occur_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thin ice becomes thick.
    plain = tiny_shards.ice_pixels
    monkeypatch.setattr(
        tiny_shards,
        "ice_pixels",
        lambda size, seed: np.where(plain(size, seed) > 50, 232, 12).astype(np.uint8),
    )
    _train(tmp_path, _recipe(training={"epochs": 2}))
    assert capsys.readouterr().err.count("has the class thin_ice, so the model won't find it") == 1


def test_a_model_that_has_hardly_learnt_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(tmp_path, _recipe(training={"epochs": 1}))
    said = capsys.readouterr().err
    assert "Look at this model before you use it: it was trained for" in said
    assert "a smaller batch_size" in said


def test_a_model_that_misses_a_class_says_which() -> None:
    classes = {"open_water": 0.9, "thin_ice": 0.004, "thick_ice": float("nan")}
    metrics = {"validation": {"classes": {name: {"recall": r} for name, r in classes.items()}}}
    steps = [StepRecord(n, 1, 0.5, 9) for n in range(100)]
    (said,) = doubts(Position(steps=steps, best_metrics=metrics), Recipe())
    assert said == "it finds 0.4 % of the validation pixels of 'Thin/young ice'"
    assert doubts(Position(steps=steps), Recipe()) == []


def test_weights_that_leave_nothing_to_learn_are_refused(tmp_path: Path) -> None:
    recipe = _recipe(training={"class_weights": [0, 0, 0]})
    with pytest.raises(RecipeError, match="'training.class_weights' is 0 for every class"):
        _train(tmp_path, recipe)


def test_an_error_of_any_rank_is_everyone_s() -> None:
    class OtherRankFailed(SingleProcess):
        def gather(self, value: object) -> list[object]:
            return [value, (None, ShardError("file of rank 1 is damaged"))]

    assert together(SingleProcess(), lambda: 3) == 3
    with pytest.raises(ShardError, match="rank 1"):
        together(OtherRankFailed(), lambda: 3)
