"""Checkpoints: everything that a training needs to go on as if nothing had happened.

    _checkpoints/step-00000120.npz      arrays and, as JSON, where the training is
    _checkpoints/step-00000120.sha256   its checksum, as `sha256sum --check` reads it

The checksum is written last: a checkpoint without one, or with another one, doesn't count, and the
one before it is taken.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ModelError
from polynya.files import output_folder, whole_file, write_text
from polynya.progress import console
from training.records import EpochRecord, StepRecord

FOLDER = "_checkpoints"
_ABOUT = "about"
_STEPS = "steps"
_FORMAT = 1

Arrays = list[NDArray[Any]]


@dataclass
class Position:
    """How far a training has come; plain values only."""

    epoch: int = 0
    """Epochs that are finished."""
    epoch_steps: int = 0
    """Steps of the epoch that has begun."""
    epoch_share: float = 0.0
    """Share of that epoch's steps which they are, 0..1."""
    epoch_tiles: int = 0
    """Tiles of that epoch's order which they took."""
    learning_rate: float = 0.0
    """Of that epoch's first step."""
    steps: list[StepRecord] = field(default_factory=list)
    history: list[EpochRecord] = field(default_factory=list)
    best_metrics: dict[str, Any] = field(default_factory=dict)
    """Of the best epoch so far, as in metrics.json; empty before the first."""
    started_from: str = ""
    """Digest of the model whose weights were the first; empty for random ones."""


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps."""

    position: Position
    data_digest: str
    """Of what it trains on; another one can't go on."""
    state: Arrays
    """Weights, optimizer and loss scale, in the order of `Trainer.state`."""
    best_weights: Arrays
    """Of the best epoch; empty before the first."""
    random_states: list[Arrays]
    """Of each rank, in the order of `Trainer.random_state`."""


def write(folder: Path, checkpoint: Checkpoint, *, keep: int) -> None:
    """Write a checkpoint into a model's folder; older ones go, all but the last `keep`.

    Raises:
        OutputError: It can't be written.
    """
    place = output_folder(folder / FOLDER)
    position = checkpoint.position
    about = {
        "position": asdict(replace(position, steps=[])),
        "data_digest": checkpoint.data_digest,
        "ranks": len(checkpoint.random_states),
        "format": _FORMAT,
    }
    arrays = {
        _ABOUT: np.array(json.dumps(about)),
        # Apart, because there can be millions; every whole number in them fits.
        _STEPS: np.array([astuple(row) for row in position.steps], np.float64).reshape(-1, 4),
        **_named("state", checkpoint.state),
        **_named("best", checkpoint.best_weights),
    }
    for rank, states in enumerate(checkpoint.random_states):
        arrays |= _named(f"random-{rank}", states)
    path = place / f"step-{len(position.steps):08d}.npz"
    with whole_file(path) as partial:
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        digest = _digest(partial)
    write_text(path.with_suffix(".sha256"), f"{digest}  {path.name}\n")
    for old in _paths(folder)[:-keep]:
        old.with_suffix(".sha256").unlink(missing_ok=True)
        old.unlink()
    for partial in place.glob(".step-*"):  # Of a start that was killed.
        partial.unlink()


def latest(folder: Path) -> Checkpoint | None:
    """The last checkpoint of a model's folder that is whole; None if there is none.

    Raises:
        ModelError: Another version of Polynya has written it.
    """
    for path in reversed(_paths(folder)):
        checksum = path.with_suffix(".sha256")
        wanted = checksum.read_text(encoding="utf-8").split(" ")[0] if checksum.is_file() else ""
        if wanted == _digest(path):
            return _read(path)
        console.print(f"{path} is not whole; taking the checkpoint before it", soft_wrap=True)
    return None


def last_step(folder: Path) -> int:
    """Steps that the last checkpoint of a model's folder has, whole or not; 0 without one."""
    return max((int(path.stem.removeprefix("step-")) for path in _paths(folder)), default=0)


def any_in(folder: Path) -> bool:
    """Whether a model's folder has checkpoints, whole or not."""
    return bool(_paths(folder))


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a finished training."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file[_ABOUT]))
        if about["format"] != _FORMAT:
            raise ModelError(
                f"{path} was made by another version of Polynya; train anew with --overwrite."
            )
        position = about["position"]
        return Checkpoint(
            position=Position(
                **{
                    **position,
                    "steps": [
                        StepRecord(int(step), int(epoch), loss, int(pixels))
                        for step, epoch, loss, pixels in file[_STEPS].tolist()
                    ],
                    "history": [EpochRecord(**row) for row in position["history"]],
                }
            ),
            data_digest=about["data_digest"],
            state=_of_name(file, "state"),
            best_weights=_of_name(file, "best"),
            random_states=[_of_name(file, f"random-{r}") for r in range(about["ranks"])],
        )


def _named(name: str, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}/{index:05d}": array for index, array in enumerate(arrays)}


def _of_name(file: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    return [file[key] for key in sorted(file) if key.startswith(f"{name}/")]


def _paths(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("step-*.npz"))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
