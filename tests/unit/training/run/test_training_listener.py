"""What follows a training is told of all of it, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ModelError
from polynya.recipe.recipe import parse_recipe
from training.model_folder.checkpoints import Position
from training.model_folder.training_log import EpochRecord, StepRecord
from training.ranks.port import SingleProcess
from training.run.listener import Listener
from training.run.start import start_run

RECIPE = parse_recipe(
    {
        "seed": 1,
        "tiles": {"size": 32},
        "split": {"validation": 0.25},
        "model": {"filters": [2, 2], "dropout": [0, 0]},
        "training": {"epochs": 2, "batch_size": 6, "checkpoints": {"every_epochs": 1}},
    },
    "test",
)


class Heard(Listener):
    """Keeps what it is told, and raises at an epoch if it is asked to."""

    def __init__(self, raises_at: int = 0) -> None:
        self.words: list[str] = []
        self._raises_at = raises_at

    def start(self, position: Position) -> None:
        self.words.append(f"start after {len(position.steps)}")

    def resume(self, position: Position) -> None:
        self.words.append(f"resume, best is {position.best_metrics['epoch']}")

    def step(self, record: StepRecord) -> None:
        self.words.append(f"step {record.step}")

    def epoch(self, position: Position, record: EpochRecord, is_best: bool, metrics: Any) -> None:
        self.words.append(f"epoch {record.epoch} of {len(position.history)}")
        if record.epoch == self._raises_at:
            raise ModelError("That is enough; take another.")

    def checkpoint(self, position: Position) -> None:
        self.words.append("checkpoint")

    def leave(self, position: Position, state: str) -> None:
        self.words.append(state)

    def end(self, position: Position, best_weights: Any, about: Any) -> None:
        self.words.append(f"end on {about['ranks']}, {len(best_weights)} arrays")


@pytest.mark.slow
def test_a_listener_is_told_of_all_and_can_end_a_training_that_goes_on_later(
    tmp_path: Path,
) -> None:
    shards = write_tiny_shards(tmp_path / "shards", RECIPE)

    def heard(raises_at: int = 0, **options: Any) -> list[str]:
        listener = Heard(raises_at)
        run = start_run(
            shards, tmp_path / "model", None, SingleProcess(), listeners=[listener], **options
        )
        if raises_at:
            with pytest.raises(ModelError, match="That is enough"):
                run.train()
        else:
            run.train()
        return listener.words

    first_epoch = ["step 1", "step 2", "epoch 1 of 1", "checkpoint"]
    second_epoch = ["step 3", "step 4", "epoch 2 of 2"]
    assert heard(raises_at=2) == ["start after 0", *first_epoch, *second_epoch, "failed"]
    (resumed, *words, end) = heard(resume=True)
    assert resumed.startswith("resume, best is 1")
    assert words == ["start after 2", *second_epoch, "checkpoint"]
    assert end.startswith("end on 1, ")
