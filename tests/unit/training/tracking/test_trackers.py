"""Trainings that report to SQLite, to TensorBoard, and to a server that isn't there."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import free_port
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import MissingDependencyError, ModelError, RecipeError
from polynya.recipe.overrides import with_settings
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.tracking import track_settings
from training.model_folder.checkpoints import Position
from training.ranks.port import SingleProcess
from training.run.listener import Listener
from training.run.start import start_run
from training.tracking import mlflow_runs, tensorboard_files
from training.tracking.facts import flat_parameters, git_revision

ROOT = Path(__file__).parents[4]
RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [2, 2], "dropout": [0, 0]},
    "training": {"epochs": 3, "batch_size": 6},
}


class Cut(Listener):
    """Ends a training at an epoch, before its checkpoint."""

    def epoch(self, position: Position, *told: Any) -> None:
        if position.epoch == 2:
            raise ModelError("That is enough; take another.")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with shards."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "false")
    write_tiny_shards(tmp_path / "shards", parse_recipe(RECIPE, "test"))
    return tmp_path


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"tensors": 0}).Reload()


def curve(found: EventAccumulator, name: str) -> dict[int, float]:
    """Values of a curve by step; each step is there once."""
    told = found.Tensors(name)
    assert len({event.step for event in told}) == len(told)
    return {event.step: float(make_ndarray(event.tensor_proto)) for event in told}


@pytest.mark.slow
def test_a_training_that_was_cut_goes_on_in_the_same_run(
    place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.run.tracking._LEAVING", 300)
    away = {"kind": "mlflow", "uri": f"http://127.0.0.1:{free_port()}", "wait": 60}
    trackers = [{"kind": "mlflow", "tiles": 2, "wait": 300}, {"kind": "tensorboard"}, away]
    recipe = parse_recipe(RECIPE | {"training": RECIPE["training"] | {"tracking": trackers}}, "me")
    recipe.save(place / "recipe.yaml")

    def train(*listeners: Listener, **options: Any) -> None:
        arguments = (place / "shards", place / "model", place / "recipe.yaml", SingleProcess())
        start_run(*arguments, listeners=listeners, **options).train()

    with pytest.raises(ModelError, match="That is enough"):
        train(Cut())
    client = MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FAILED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "step/loss")] == [1, 2]
    assert capsys.readouterr().err.count("Warning: MLflow at http") == 1

    train(resume=True)
    said = capsys.readouterr().err
    assert said.count("Warning") == said.count("Warning: MLflow at http") == 1
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "true"
    assert {"README.md", "model.keras"} <= set(os.listdir(place / "model"))

    # The same run: what came after the checkpoint is there once.
    (again,) = client.search_runs(["1"])
    assert again.info.run_id == run.info.run_id
    assert again.info.status == "FINISHED"
    steps = client.get_metric_history(run.info.run_id, "step/loss")
    assert [point.step for point in steps] == [1, 2, 3, 4, 5, 6]
    epochs = client.get_metric_history(run.info.run_id, "validation/thick_ice/recall")
    assert [point.step for point in epochs] == [1, 2, 3]
    artifacts = place / "mlruns" / run.info.run_id / "artifacts"
    assert (artifacts / "metrics.json").read_bytes() == (place / "model/metrics.json").read_bytes()
    pictures = Counter(path.name.split("+")[0] for path in artifacts.glob("images/*.png"))
    assert list(pictures.values()) == [3, 3]
    assert again.outputs.model_outputs

    (folder,) = (place / "tensorboard").iterdir()
    found = events(folder)
    assert curve(found, "step/loss") == pytest.approx({p.step: p.value for p in steps})
    tiles = [name for name in found.Tags()["tensors"] if name.startswith("tiles/")]
    assert len(tiles) == 4
    shown = found.Tensors(tiles[0])
    assert [event.step for event in shown] == [1, 2, 3]
    # Image, label and prediction beside each other, with gaps.
    assert make_ndarray(shown[0].tensor_proto)[:2].tolist() == [b"104", b"32"]


@pytest.mark.slow
def test_decision_trees_are_tracked_too(place: Path) -> None:
    trees = {"model": {"name": "xgboost", "rounds": 2}, "training": {"tracking": "tensorboard"}}
    parse_recipe({**RECIPE, **trees}, "test").save(place / "trees.yaml")
    start_run(place / "shards", place / "model", place / "trees.yaml", SingleProcess()).train()
    (folder,) = (place / "tensorboard").iterdir()
    found = events(folder)
    assert curve(found, "best/mean_iou")[1] > 0
    assert len([name for name in found.Tags()["tensors"] if name.startswith("tiles/")]) == 4


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        (mlflow_runs, {"kind": "mlflow"}, "tracking"),
        (tensorboard_files, {"kind": "tensorboard"}, "tensorboard"),
    ],
)
def test_a_missing_package_is_one_sentence(
    module: Any, options: Any, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse_recipe({"training": {"tracking": options}}, "test")
    module.check_installed(recipe.training.tracking[0])
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=rf"install it with: .*\[{extra}\]"):
        module.check_installed(recipe.training.tracking[0])


def test_the_recipe_names_trackers_and_no_digest_knows_them() -> None:
    plain, tracked = Recipe(), parse_recipe({"training": {"tracking": "mlflow"}}, "test")
    assert plain.training.tracking == ()
    assert tracked.digest() == plain.digest()
    assert tracked.digest("training") == plain.digest("training")
    url = "https://mlflow.example.org/x"
    given = with_settings(tracked, track_settings([url, "tensorboard"])).training.tracking
    assert [one.kind for one in given] == ["mlflow", "tensorboard"]
    assert given[0].uri == url
    assert with_settings(tracked, track_settings([])) == tracked
    assert with_settings(tracked, ["training.tracking=[]"]).training.tracking == ()
    assert not [key for key in flat_parameters(tracked) if "tracking" in key]
    assert flat_parameters(tracked)["training.batch_size"] == "32"


@pytest.mark.parametrize(
    "uri", ["mlflow.db", "sqlite://", "file:///tmp/x", "http://", "databricks"]
)
def test_other_addresses_are_errors(uri: str) -> None:
    content = {"training": {"tracking": {"kind": "mlflow", "uri": uri}}}
    with pytest.raises(RecipeError, match="must be sqlite:///FILE or an address"):
        parse_recipe(content, "test")
    with pytest.raises(RecipeError, match="is no tracker; give mlflow or tensorboard"):
        track_settings([uri])


def test_passwords_are_kept_out_of_recipes() -> None:
    content = {"training": {"tracking": {"kind": "mlflow", "uri": "https://me:pw@host"}}}
    with pytest.raises(RecipeError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        parse_recipe(content, "test")
    assert "pw" not in str(caught.value)


def test_the_revision_of_a_clone_is_told(tmp_path: Path) -> None:
    assert git_revision(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *words], check=True)
    revision = git_revision(tmp_path)
    assert len(revision) == 40
    (tmp_path / "a").write_text("2")
    assert git_revision(tmp_path) == f"{revision}-dirty"


def test_shown_tiles_hold_image_label_and_prediction() -> None:
    from training.tracking.tiles import ShownTiles

    recipe = parse_recipe({"tiles": {"size": 32}}, "test")
    images = np.full((1, 64, 64, 3), 7, np.uint8)  # With a margin, as models see it.
    labels = np.full((1, 64, 64), 255, np.uint8)
    labels[:, :32, :32] = 2

    def predict(seen: Any) -> np.ndarray:
        return np.tile(np.float32([0.2, 0.7, 0.1]), (*seen.shape[:3], 1))

    ((name, picture),) = ShownTiles(("a 0",), images, labels).pictures(predict, recipe)
    assert (name, picture.shape) == ("a 0", (32, 3 * 32 + 8, 3))
    assert (picture[:, :32] == 7).all()
    assert (picture[:, 36:68] == (255, 0, 0)).all()
    assert (picture[:, 72:] == (0, 0, 255)).all()


def test_pages_are_of_the_version_that_writes() -> None:
    version = metadata.version("mlflow-skinny")
    assert f"\nmlflow=={version} " in (ROOT / "requirements/mlflow.txt").read_text()
    told = re.findall(r"mlflow@([\d.]+)", (ROOT / "docs/tracking.md").read_text())
    assert set(told) == {version}
