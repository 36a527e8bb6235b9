"""Reports a training to a tracker, on rank 0 only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from polynya.recipe.recipe import Recipe
from polynya.recipe.tracking import TrackerOptions
from polynya.storage.files import write_text
from polynya.storage.output_folder import make_folder
from training.input.validation import ValidationTiles
from training.model_folder import folder as model_folder
from training.model_folder.checkpoints import Arrays, Position
from training.model_folder.training_log import EpochRecord, StepRecord
from training.run.listener import Listener
from training.tracking.delivery import Delivery, Log, finite_points, flat_scores, now_ms
from training.tracking.facts import environment_facts, flat_parameters
from training.tracking.registry import make_sink
from training.tracking.sink import Picture, RunFacts
from training.tracking.tiles import Predict, ShownTiles, choose_tiles

_LEAVING = 5.0
"""Greatest number of seconds that a training waits that ends early."""


@dataclass(frozen=True)
class Subject:
    """The training that is reported."""

    folder: Path
    """Folder of the model."""
    recipe: Recipe
    ranks: int
    tiles: ValidationTiles
    tile_names: Callable[[Sequence[int]], list[str]]
    """Function from numbers of validation tiles to their names."""
    predict: Predict
    group: str | None = None
    """Key of the run above this one, such as a sweep's."""


class Tracking(Listener):
    """Reports a training to one tracker.

    What a checkpoint holds is sent when it is written: what comes after it would be there twice if
    the training were cut and went on from there.

    Args:
        subject: The training.
        options: The tracker's options.
    """

    def __init__(self, subject: Subject, options: TrackerOptions) -> None:
        self._subject = subject
        self._options = options
        checkpoints = subject.recipe.training.checkpoints
        self._goes_on = checkpoints.every_epochs is not None or checkpoints.every_steps is not None
        self._shown: ShownTiles | None = None

    def start(self, position: Position) -> None:
        """Begin the run, or go on with it.

        Raises:
            ShardError: A tile to show can't be read.
            OutputError: The key of the run can't be written.
        """
        subject = self._subject
        if self._options.tiles:
            self._shown = choose_tiles(
                subject.tiles, subject.tile_names, subject.recipe, self._options.tiles
            )
        environment = environment_facts(subject.ranks)
        facts = RunFacts(
            key=_run_key(subject.folder),
            title=subject.folder.resolve().name,
            group=subject.group,
            parameters=flat_parameters(subject.recipe),
            texts={
                model_folder.RECIPE_FILE: subject.recipe.text(),
                "environment.json": json.dumps(environment, indent=2) + "\n",
            },
            tags=environment,
        )
        self._log = Log(position)
        self._log.keep(position)
        self._delivery = Delivery(make_sink(self._options, facts), self._log)
        self._delivery.wake()

    def step(self, record: StepRecord) -> None:
        """Note a step."""
        self._log.add_step()

    def epoch(
        self,
        position: Position,
        record: EpochRecord,
        is_best: bool,
        metrics: Mapping[str, Any],
    ) -> None:
        """Note an epoch, and draw the shown tiles."""
        self._log.add_epoch(record.epoch, metrics)
        if self._shown is not None:
            drawn = self._shown.pictures(self._subject.predict, self._subject.recipe)
            for name, image in drawn:
                self._delivery.show(Picture(name, record.epoch, image))
        if not self._goes_on:
            self.checkpoint(position)

    def checkpoint(self, position: Position) -> None:
        """Send everything so far."""
        self._log.keep(position)
        self._delivery.wake()

    def end(self, position: Position, best_weights: Arrays, about: Mapping[str, str]) -> None:
        """Send everything with the files of the model, and wait until it has arrived."""
        folder = self._subject.folder
        self._log.keep(position)
        best = position.best_metrics
        scores = flat_scores({"validation": best.get("validation", {})})
        values = {name.replace("validation/", "best/", 1): v for name, v in scores.items()}
        self._delivery.end(
            "finished",
            self._options.wait,
            finite_points(values, int(best.get("epoch", position.epoch)), now_ms()),
            [path for path in model_folder.described_files(folder) if path.is_file()],
            folder,
        )

    def leave(self, position: Position, state: Literal["stopped", "failed"]) -> None:
        """End the run for now; the same run goes on if the training does."""
        self._delivery.end(state, min(_LEAVING, self._options.wait))


def make_listeners(subject: Subject) -> list[Listener]:
    """Make a listener for each tracker that the recipe names."""
    return [Tracking(subject, options) for options in subject.recipe.training.tracking]


def _run_key(folder: Path) -> str:
    """Read the key of the run beside the checkpoints, or make one."""
    path = folder / model_folder.TRACKING_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        key = uuid4().hex
        write_text(make_folder(folder) / path.name, json.dumps({"run": key}) + "\n")
        return key
