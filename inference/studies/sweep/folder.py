"""The folder of a sweep, which any number of workers share.

study.yaml, recipe.yaml   the study and the recipe of all trials, as they ran; they repeat the sweep
split.json                tiles that validate, the same for all trials
sweep.json                what the sweep was made from
trials/0007               models, as of `polynya train`; 0007-seed-1 has the second seed
work/0007                 of the same training: recipe.yaml, trial.json (its combination), log.txt
                          (what it printed), evaluated.json (scores on further tiles) and, if it
                          failed or was pruned, ended.json
optuna.db                 trials as Optuna knows them, for a search that learns from them

A worker holds the lock of a training's folder in `work` while it trains, and that of the whole
folder while it plans or writes tables.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference.studies.sweep.trials import Level, Training, Trial
from polynya.errors import InUseError, OutputError
from polynya.progress import console
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.storage.files import write_text
from polynya.storage.locks import STALE, in_use
from polynya.storage.output_folder import make_folder, open_output
from polynya.storage.ownership import remove_file
from training.model_folder.folder import CARD_FILE, write_json

ABOUT_FILE = "sweep.json"
"""File that only the folder of a sweep has."""

State = Literal["waiting", "running", "finished", "pruned", "failed"]

_TRIAL, _RECIPE, _ENDED = "trial.json", "recipe.yaml", "ended.json"
_EVALUATED = "evaluated.json"
_LOOK = 0.5
"""Seconds between two looks at a lock that another worker holds."""
_SAY = 10.0
"""Seconds after which a worker says that it waits."""


@dataclass(frozen=True)
class SweepFolder:
    """Paths of a sweep."""

    path: Path

    def model(self, training: Training) -> Path:
        """Folder of the model."""
        return self.path / "trials" / training.name

    def work(self, training: Training) -> Path:
        """Folder with everything else of the training."""
        return self.path / "work" / training.name

    def recipe(self, training: Training) -> Path:
        """Recipe of the training."""
        return self.work(training) / _RECIPE

    def log(self, training: Training) -> Path:
        """What the training printed."""
        return self.work(training) / "log.txt"

    @property
    def split(self) -> Path:
        """Split of all trainings."""
        return self.path.absolute() / "split.json"

    def add(self, training: Training, recipe: Recipe) -> None:
        """Write the recipe of a training, unless it is there.

        Raises:
            OutputError: There is another one.
        """
        path = self.recipe(training)
        if path.is_file():
            if path.read_text("utf-8") != recipe.text() and (
                load_recipe(path).digest() != recipe.digest()
            ):
                raise OutputError(
                    f"{path} is of a sweep with another recipe or study; give another --out."
                )
            return
        self.note(training)
        write_text(path, recipe.text())

    def note(self, training: Training) -> None:
        """Write the combination of a training."""
        content = {
            "trial": training.trial.number,
            "repeat": training.repeat,
            "levels": dict(training.trial.levels),
        }
        work = make_folder(self.work(training))
        write_text(work / _TRIAL, json.dumps(content, indent=2) + "\n")

    def known(self) -> list[Training]:
        """List the trainings that were planned so far, in the order of trials and seeds.

        Raises:
            OutputError: A file is damaged.
        """
        found = []
        for path in sorted((self.path / "work").glob(f"*/{_TRIAL}")):
            try:
                content = json.loads(path.read_text("utf-8"))
                levels: dict[str, Level] = content["levels"]
                trial = Trial(int(content["trial"]), levels)
                found.append(Training(trial, int(content["repeat"])))
            except (OSError, ValueError, KeyError, TypeError):
                raise OutputError(
                    f"{path} is damaged; remove its folder to begin it again."
                ) from None
        return sorted(found, key=lambda one: (one.repeat, one.trial.number))

    def evaluated(self, training: Training, made_from: str | None = None) -> dict[str, Any]:
        """Scores of a training on further tiles, by name of the evaluation; empty if unknown.

        Args:
            training: The training.
            made_from: What they must have been made from; None for anything.
        """
        try:
            content = json.loads((self.work(training) / _EVALUATED).read_text("utf-8"))
            is_same = made_from in (None, content["made_from"])
            return dict(content["scores"]) if is_same else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def keep_evaluated(self, training: Training, scores: Any, made_from: str) -> None:
        """Write the scores of a training on further tiles, and what they were made from."""
        content = {"made_from": made_from, "scores": scores}
        write_json(self.work(training) / _EVALUATED, content)

    def over(self, training: Training) -> tuple[State, str] | None:
        """How a training ended, and the reason if it failed; None if it isn't over."""
        if (self.model(training) / CARD_FILE).is_file():
            return "finished", ""
        try:
            ended = json.loads((self.work(training) / _ENDED).read_text("utf-8"))
            return ended["state"], str(ended["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def state(self, training: Training) -> tuple[State, str]:
        """How far a training is, and the reason if it failed."""
        return self.over(training) or ("running" if self.is_taken(training) else "waiting", "")

    def is_taken(self, training: Training) -> bool:
        """Whether a worker trains it, or a training goes on whose worker was killed."""
        return in_use(self.work(training)) or in_use(self.model(training))

    def end(self, training: Training, state: Literal["pruned", "failed"], reason: str) -> None:
        """Note that a training is over without a finished model."""
        content = {"state": state, "reason": reason}
        write_text(self.work(training) / _ENDED, json.dumps(content, indent=2) + "\n")

    def forget_end(self, training: Training) -> None:
        """Remove that note, so that the training is taken again."""
        remove_file(self.work(training) / _ENDED)

    @contextmanager
    def claimed(self, training: Training) -> Iterator[None]:
        """Hold a training for this worker.

        Raises:
            InUseError: Another worker has it.
        """
        with open_output(self.work(training), "trainings"):
            if in_use(self.model(training)):
                raise InUseError(f"{self.model(training)} is still in training.")
            yield

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Hold the whole folder; wait for other workers, which hold it for a short time.

        Raises:
            OutputError: It can't be written, or its lock can't be read.
        """
        began = last = time.monotonic()
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(open_output(self.path, "trainings"))
                    break
                except InUseError:
                    now = time.monotonic()
                    last = now if in_use(self.path) else last
                    if now - last > STALE:
                        raise
                    if now - began > _SAY:
                        console.print("Waiting for another worker, which plans or writes tables.")
                        began = now + STALE
                    time.sleep(_LOOK)
            yield
