"""The tracker `tensorboard`: event files in a folder of each run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polynya.environment import install_command
from polynya.errors import MissingDependencyError
from polynya.recipe.tracking import TensorBoardOptions
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder
from training.tracking.sink import Picture, Point, RunFacts, Sent, Sink, State

_SENT = "sent.json"
"""File in the run's folder that says which steps and epochs are in its event files."""
_KEY_DIGITS = 8


def check_installed(options: TensorBoardOptions) -> None:
    """Raise MissingDependencyError if the package is missing."""
    if find_spec("tensorboard") is None:
        raise MissingDependencyError(
            "The tracker 'tensorboard' of the recipe key 'training.tracking' needs tensorboard;"
            f" install it with: {install_command('tensorboard')}"
        )


class TensorBoardRun(Sink):
    """A folder with event files, which TensorBoard shows as a run.

    Args:
        options: The tracker's options.
        facts: The run.
    """

    def __init__(self, options: TensorBoardOptions, facts: RunFacts) -> None:
        self.place = f"TensorBoard in {options.folder}"
        self._facts = facts
        # A training that begins again in the same folder is another run.
        name = f"{facts.title}-{facts.key[:_KEY_DIGITS]}"
        self._folder = Path(options.folder).absolute() / (facts.group or "") / name
        self._writer: Any = None

    def open(self) -> Sent:
        """Make the folder, or add an event file to it."""
        import tensorflow as tf

        make_folder(self._folder)
        sent = self._read_sent()
        self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=sent.epochs):
            for name, text in self._facts.texts.items():
                # TensorBoard reads texts as Markdown.
                tf.summary.text(name, "".join(f"    {line}\n" for line in text.splitlines()))
        self._writer.flush()
        return sent

    def write(self, points: Sequence[Point], sent: Sent | None = None) -> None:
        """Add points of curves."""
        import tensorflow as tf

        with self._writer.as_default():
            for point in points:
                tf.summary.scalar(point.name, point.value, point.step)
        self._writer.flush()
        if sent is not None:
            content = {"steps": sent.steps, "epochs": sent.epochs}
            write_text(self._folder / _SENT, json.dumps(content) + "\n")

    def draw(self, picture: Picture) -> None:
        """Add a picture; TensorBoard shows those of a name with a slider over epochs."""
        import tensorflow as tf

        with self._writer.as_default():
            tf.summary.image(f"tiles/{picture.name}", picture.image[None], picture.epoch)
        self._writer.flush()

    def attach(self, paths: Sequence[Path]) -> None:
        """Do nothing: TensorBoard has no files."""

    def take_model(self, folder: Path) -> None:
        """Do nothing: TensorBoard has no models."""

    def close(self, state: State) -> None:
        """Close the event file."""
        self._writer.close()

    def _read_sent(self) -> Sent:
        try:
            content = json.loads((self._folder / _SENT).read_text(encoding="utf-8"))
            return Sent(int(content["steps"]), int(content["epochs"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Sent()
