"""Two ranks and a sweep that report to MLflow's own server, its page, and a server that dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import yaml
from mlflow.tracking import MlflowClient

from helpers.programs.browser import DESKTOP, find_chromium, open_browser
from helpers.servers.mlflow_server import MlflowServer, mlflow_server
from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import BIN, Job, launch_command, losses, model_arguments
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.yaml_files import write_yaml

TRACKER: dict[str, Any] = {"kind": "mlflow", "experiment": "ice", "tiles": 2, "wait": 300}
RECIPE: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.1, 0.1]},
    "training": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01},
}
STUDY: dict[str, Any] = {"about": "One.", "parameters": {"training.learning_rate": [0.01]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tracking")
    write_tiny_shards(path / "shards", parse_recipe(RECIPE, "test"))
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[MlflowServer]:
    with mlflow_server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def swept(folder: Path, server: MlflowServer) -> Path:
    """A sweep of one training on two ranks."""
    trackers = [{**TRACKER, "uri": server.url}]
    study = {**STUDY, "set": {"training.tracking": trackers}}
    (folder / "one.yaml").write_text(write_yaml(study))
    command = [str(BIN / "polynya"), "sweep", str(folder / "one.yaml"), "--out"]
    command += [str(folder / "sweep"), "--shards", str(folder / "shards")]
    command += ["--launcher", "horovodrun --gloo -np 2"]
    with Job(command, folder / "sweep.log") as job:
        assert job.end(600) == 0, job.log.read_text()
    return folder / "sweep"


def client(server: MlflowServer) -> MlflowClient:
    return MlflowClient(server.url)


def runs(server: MlflowServer) -> dict[str, Any]:
    """All runs by name."""
    found = client(server)
    experiment = found.get_experiment_by_name("ice")
    return {run.info.run_name: run for run in found.search_runs([experiment.experiment_id])}


def test_a_training_on_two_ranks_is_one_run_below_its_sweep(
    swept: Path, server: MlflowServer
) -> None:
    said = (swept.parent / "sweep.log").read_text() + (swept / "work/0000/log.txt").read_text()
    assert "Warning: MLflow" not in said
    assert "mlflow" not in said  # Its own messages.
    found = runs(server)
    assert sorted(found) == ["0000", "one"]
    run, parent, asked = found["0000"], found["one"], client(server)
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert [one.info.status for one in (run, parent)] == ["FINISHED"] * 2
    assert run.data.tags["environment.ranks"] == "2"
    assert run.data.params["training.batch_size"] == "2"
    history = asked.get_metric_history(run.info.run_id, "step/loss")
    assert [point.step for point in history] == [1, 2, 3, 4, 5, 6]
    assert [point.value for point in history] == losses(swept / "trials/0000")
    scores = json.loads((swept / "trials/0000/metrics.json").read_text())["validation"]
    metrics = run.data.metrics
    assert metrics["best/thin_ice/iou"] == pytest.approx(scores["classes"]["thin_ice"]["iou"])
    assert metrics["epoch/learning_rate"] > 0
    names = {file.path for file in asked.list_artifacts(run.info.run_id)}
    assert {"recipe.yaml", "environment.json", "metrics.json", "README.md", "images"} <= names
    pictures = [file.path for file in asked.list_artifacts(run.info.run_id, "images")]
    assert len([name for name in pictures if name.endswith(".png")]) == 2 * 2
    assert "sweep.html" in {file.path for file in asked.list_artifacts(parent.info.run_id)}


def test_the_model_has_its_signature_and_opens(swept: Path, server: MlflowServer) -> None:
    (output,) = runs(server)["0000"].outputs.model_outputs
    asked = client(server).get_logged_model(output.model_id)
    assert asked.status == "READY"
    # Where the server keeps what it was sent.
    inside = asked.artifact_location.removeprefix("mlflow-artifacts:/")
    place = swept.parent / "artifacts" / inside.strip("/")
    about = yaml.safe_load(Path(place, "MLmodel").read_text())
    (images,) = json.loads(about["signature"]["inputs"])
    (found,) = json.loads(about["signature"]["outputs"])
    assert images["tensor-spec"] == {"dtype": "float32", "shape": [-1, -1, -1, 3]}
    assert found["tensor-spec"] == {"dtype": "float32", "shape": [-1, -1, -1, 3]}
    weights = [
        keras.saving.load_model(path, compile=False).get_weights()
        for path in (Path(place, "data/model.keras"), swept / "trials/0000/model.keras")
    ]
    assert all((one == two).all() for one, two in zip(*weights, strict=True))


def test_mlflow_s_page_shows_the_run_and_ours_the_sweep(
    swept: Path, server: MlflowServer, tmp_path: Path
) -> None:
    find_chromium()
    info = runs(server)["0000"].info
    with open_browser(tmp_path / "chromium") as browser:
        page = f"{server.url}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
        browser.open(page, DESKTOP)
        for text in ("0000", "validation/mean_iou"):
            browser.wait(f"document.body.innerText.includes({text!r})", 120)
        browser.ask("location.hash += '/model-metrics'")  # Within the page: it isn't loaded again.
        browser.wait("document.body.textContent.includes('0000 (best/accuracy)')", 120)
        browser.screenshot(tmp_path / "mlflow.png")
        browser.open(swept / "sweep.html", DESKTOP)
        assert "learning_rate" in browser.ask("document.body.innerText")
        browser.screenshot(tmp_path / "sweep.png")
    assert (tmp_path / "mlflow.png").stat().st_size > 20_000


def test_a_server_that_dies_costs_one_warning(folder: Path, server: MlflowServer) -> None:
    training = {**RECIPE["training"], "epochs": 40}
    training["tracking"] = [{**TRACKER, "uri": server.url, "wait": 60}]
    arguments = model_arguments(folder, "orphan", {**RECIPE, "training": training})

    def has_epoch() -> bool:
        run = runs(server).get("orphan")
        return run is not None and "validation/loss" in run.data.metrics

    with Job(launch_command("alone", 1, *arguments), folder / "orphan.log") as job:
        job.wait_for(has_epoch)
        server.kill()
        assert job.end(600) == 0, job.log.read_text()
    said = job.log.read_text()
    assert said.count("Warning:") == said.count("Warning: MLflow at http") == 1
    assert "Traceback" not in said
    out = folder / "orphan"
    assert (out / "README.md").is_file()
    assert len(losses(out)) == 40 * 6
    keras.saving.load_model(out / "model.keras")
