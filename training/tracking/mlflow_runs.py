"""The tracker `mlflow`: a run in a SQLite file or on a server, by MLflow's light client."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from polynya.environment import install_command
from polynya.errors import MissingDependencyError
from polynya.recipe.model import PIXEL_MODELS
from polynya.recipe.tracking import MlflowOptions, is_server
from training.model_folder import folder as model_folder
from training.tracking.sink import Picture, Point, RunFacts, Sent, Sink, State

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
_KEY, _STEPS, _EPOCHS = "polynya.run", "polynya.steps", "polynya.epochs"
_CHANGED = "polynya.changed"
"""Tags of a run: its key, what it has, and parameters that are others since it went on."""
_LONGEST = 6000
"""Longest value of a parameter that MLflow takes."""
_AT_ONCE = 100
"""Greatest number of parameters in a request."""
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}

_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment that lets MLflow's pages begin with curves."""

_SETTINGS = {
    # What fails is tried again with the next checkpoint.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's own settings, unless the user has set others."""
_SILENCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""What keeps MLflow from reporting its use over the network."""


def check_installed(options: MlflowOptions) -> None:
    """Raise MissingDependencyError if a package is missing."""
    needed = ["mlflow", *(["pandas"] if options.model else [])]
    needed += [] if is_server(options.uri) else ["sqlalchemy", "alembic"]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"The tracker 'mlflow' of the recipe key 'training.tracking' needs {missing[0]};"
            f" install it with: {install_command('tracking')}"
        )


class MlflowRun(Sink):
    """A run of MLflow.

    Args:
        options: The tracker's options.
        facts: The run.
    """

    def __init__(self, options: MlflowOptions, facts: RunFacts) -> None:
        self._options = options
        self._facts = facts
        self._uri = options.uri
        self._artifacts: str | None = None
        if not is_server(options.uri):
            path = Path(options.uri.removeprefix(_SQLITE)).absolute()
            self._uri = f"{_SQLITE}{path}"
            self._artifacts = (path.parent / "mlruns").as_uri()
        self.place = f"MLflow at {options.uri}"
        self._client: MlflowClient | None = None
        self._experiment = self._run = ""

    def open(self) -> Sent:
        """Find the run by its key, or begin it; say how many steps and epochs it has."""
        client = self._connect()
        facts = self._facts
        self._experiment = self._find_experiment(client)
        run = self._find(client, facts.key)
        if run is None:
            tags = {_KEY: facts.key, "mlflow.source.name": "polynya", "mlflow.source.type": "LOCAL"}
            if revision := facts.tags.get("polynya_revision"):
                tags["mlflow.source.git.commit"] = revision.removesuffix("-dirty")
            run = client.create_run(self._experiment, tags=tags, run_name=facts.title)
        self._run = run.info.run_id
        client.update_run(self._run, status="RUNNING")
        self._write_facts(client, run)
        for name, text in facts.texts.items():
            client.log_text(self._run, text, name)
        tags = run.data.tags
        return Sent(int(tags.get(_STEPS, 0)), int(tags.get(_EPOCHS, 0)))

    def write(self, points: Sequence[Point], sent: Sent | None = None) -> None:
        """Send points in one request, which also says what the run has then."""
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(p.name, p.value, p.time_ms, p.step) for p in points]
        tags = []
        if sent is not None:
            tags = [RunTag(_STEPS, str(sent.steps)), RunTag(_EPOCHS, str(sent.epochs))]
        self._open_client.log_batch(self._run, metrics=metrics, tags=tags)

    def draw(self, picture: Picture) -> None:
        """Send a picture; MLflow shows those of a name with a slider over epochs."""
        self._open_client.log_image(
            self._run, picture.image, key=f"tile {picture.name}", step=picture.epoch
        )

    def attach(self, paths: Sequence[Path]) -> None:
        """Send files."""
        for path in paths:
            self._open_client.log_artifact(self._run, str(path))

    def take_model(self, folder: Path) -> None:
        """Send the model as one that `mlflow.keras.load_model` opens; trees as they are."""
        if not self._options.model:
            return
        from mlflow.entities import LoggedModelOutput

        client = self._open_client
        made = client.create_logged_model(self._experiment, "model", source_run_id=self._run)
        with tempfile.TemporaryDirectory(prefix="polynya-model-") as place:
            write_mlflow_model(folder, Path(place, "model"), self._run, made.model_id)
            client.log_model_artifacts(made.model_id, str(Path(place, "model")))
        client.finalize_logged_model(made.model_id, "READY")
        client.log_outputs(self._run, [LoggedModelOutput(made.model_id, 0)])

    def close(self, state: State) -> None:
        """End the run; one that was stopped goes on with the training."""
        self._open_client.set_terminated(self._run, _STATUS[state])

    @property
    def _open_client(self) -> MlflowClient:
        assert self._client is not None  # `open` has made it.
        return self._client

    def _connect(self) -> MlflowClient:
        if self._client is None:
            _settle()
            from mlflow.tracking import MlflowClient

            _be_quiet()
            if self._artifacts is not None:
                Path(self._uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(self._uri, registry_uri=self._uri)
        return self._client

    def _find_experiment(self, client: MlflowClient) -> str:
        name = self._options.experiment
        known = client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        from mlflow.exceptions import MlflowException

        try:
            made = client.create_experiment(name, artifact_location=self._artifacts, tags=_KIND)
            return str(made)
        except MlflowException:
            # Perhaps another training has made it since.
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
            return str(known.experiment_id)

    def _find(self, client: MlflowClient, key: str) -> Run | None:
        found = client.search_runs([self._experiment], f"tags.`{_KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _write_facts(self, client: MlflowClient, run: Run) -> None:
        """Send parameters and tags; parameters of a run can't be changed, so a tag names them."""
        from mlflow.entities import Param, RunTag

        facts, known = self._facts, run.data.params
        wanted = {name: value[:_LONGEST] for name, value in facts.parameters.items()}
        new = [Param(name, value) for name, value in wanted.items() if name not in known]
        for first in range(0, len(new), _AT_ONCE):
            client.log_batch(self._run, params=new[first : first + _AT_ONCE])
        changed = [
            f"{name}: {known[name]} -> {value}"
            for name, value in wanted.items()
            if name in known and known[name] != value
        ]
        tags = {f"environment.{name}": value for name, value in facts.tags.items()}
        if changed:
            tags[_CHANGED] = "\n".join(changed)[:_LONGEST]
        parent = None if facts.group is None else self._find(client, facts.group)
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        client.log_batch(self._run, tags=[RunTag(name, value) for name, value in tags.items()])


def write_mlflow_model(folder: Path, place: Path, run: str, model: str) -> None:
    """Write a finished model as MLflow has models, with a signature.

    Args:
        folder: Model folder.
        place: Folder to make.
        run: MLflow's id of the run.
        model: MLflow's id of the model.
    """
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    trained = model_folder.load_model(folder)
    bands = len(trained.recipe.scene.seen_bands)
    # Images of any number, height and width; probabilities of each pixel.
    images = TensorSpec(np.dtype(np.float32), (-1, -1, -1, bands), "images")
    shape = (-1, -1, -1, trained.classes.n_classes)
    probabilities = TensorSpec(np.dtype(np.float32), shape, "probabilities")
    about = Model(
        run_id=run,
        model_id=model,
        signature=ModelSignature(Schema([images]), Schema([probabilities])),
    )
    if trained.recipe.model.name in PIXEL_MODELS:
        place.mkdir()
        path = model_folder.model_path(folder)
        (place / path.name).write_bytes(path.read_bytes())
        about.save(str(place / "MLmodel"))
        return
    import keras
    import mlflow.keras
    import tensorflow as tf

    needed = [f"keras=={keras.__version__}", f"tensorflow=={tf.__version__}"]
    mlflow.keras.save_model(
        trained.keras_model, str(place), mlflow_model=about, signature=about.signature,
        pip_requirements=needed,
    )  # fmt: skip


def _settle() -> None:
    """Settle MLflow's environment before its import."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.update(_SILENCED)


def _be_quiet() -> None:
    """Keep MLflow's own messages out of the training's; errors are told in one sentence."""
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
