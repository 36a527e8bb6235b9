"""Key `training.tracking` of the recipe: which experiment trackers a training reports to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import typer
from pydantic import Field, field_validator

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.base import Options, Tagged, tags_of
from polynya.storage.uris import public_uri

_SERVER = re.compile(r"https?://[^/]", re.IGNORECASE)


class _TrackerOptions(Options):
    tiles: Annotated[int, Field(ge=0, le=64)] = 4
    """Number of validation tiles that are shown after each epoch: image, label, prediction."""
    wait: Annotated[float, Field(ge=0.0, le=3600.0)] = 60.0
    """Greatest number of seconds that the end of a training waits until everything has arrived."""


class MlflowOptions(_TrackerOptions):
    """MLflow: a SQLite file, or a server."""

    kind: Literal["mlflow"] = "mlflow"
    uri: str = "sqlite:///mlflow.db"
    """Where runs go: sqlite:///FILE, in the working folder unless FILE is an absolute path, or the
    address of a server, such as http://127.0.0.1:5000. Files of runs in SQLite go into the folder
    "mlruns" beside it."""
    experiment: Annotated[str, Field(min_length=1, max_length=200)] = "polynya"
    """Experiment of the runs; it is made if there is none."""
    model: bool = True
    """Hand over the finished model, with the shapes and types of its input and output."""

    @field_validator("uri")
    @classmethod
    def _uri_is_known_and_public(cls, value: str) -> str:
        if public_uri(value) != value:
            raise RecipeError(
                "The recipe key 'training.tracking.uri' holds a password or a token, and recipes"
                " are copied into model folders; leave it out, and set the variables"
                " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            )
        if not re.match(r"sqlite:///.", value) and not is_server(value):
            raise ValueError("must be sqlite:///FILE or an address http://... or https://...")
        return value


class TensorBoardOptions(_TrackerOptions):
    """TensorBoard: event files in a folder."""

    kind: Literal["tensorboard"] = "tensorboard"
    folder: Annotated[str, Field(min_length=1)] = "tensorboard"
    """Folder of the runs, each in a folder of its own."""


TrackerOptions = Annotated[MlflowOptions | TensorBoardOptions, Tagged("kind")]

Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Experiment tracker in place of the recipe's: mlflow (a file mlflow.db in the working"
        " folder), the address of an MLflow server, or tensorboard; may be repeated.",
    ),
]
"""The option --track of every command that trains models of a recipe."""


def is_server(uri: str) -> bool:
    """Whether a URI is the address of a server."""
    if not _SERVER.match(uri):
        return False
    try:
        return bool(urlsplit(uri).hostname)
    except ValueError:
        return False


def check_group(group: str | None) -> None:
    """Raise RecipeError unless the value of the option --group is a key that trackers take."""
    if group is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", group):
        raise RecipeError(
            f"--group {printable(group)} is no key; give letters, digits, dots, dashes and"
            " underscores, with a letter or digit first."
        )


def as_list(value: Any) -> Any:
    """Make a list of one tracker, so that `tracking: mlflow` is enough; null is none."""
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def track_settings(tracked: Sequence[str]) -> list[str]:
    """Turn values of the option --track into a text for `--set`.

    Args:
        tracked: Each the kind of a tracker, or the address of an MLflow server.

    Returns:
        One text, or none if the option wasn't given.

    Raises:
        RecipeError: There is no such tracker.
    """
    kinds = tags_of(TrackerOptions, "kind")
    trackers: list[Any] = []
    for value in tracked:
        if value not in kinds and not is_server(value):
            raise RecipeError(
                f"--track {printable(value)} is no tracker; give {' or '.join(kinds)}, or the"
                " address of an MLflow server, such as http://127.0.0.1:5000."
            )
        trackers.append(value if value in kinds else {"kind": "mlflow", "uri": value})
    # JSON is YAML, too.
    return [f"training.tracking={json.dumps(trackers)}"] if trackers else []
