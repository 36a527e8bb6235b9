"""Checkpoints: everything that a training needs to go on as if it had not been interrupted.

    _checkpoints/step-00000120.npz      arrays and, as JSON, how far the training has come
    _checkpoints/step-00000120.sha256   its checksum, as `sha256sum --check` reads it

The checksum is written last. A checkpoint with no checksum or a wrong one is not used; the earlier
checkpoint is taken. A damaged checkpoint stays where it is, like every file that was changed after
we wrote it. When the training reaches that step again, it writes step-00000120.2.npz.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ModelError, OutputError, reason_of
from polynya.progress import console
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.storage.files import whole_file, write_text
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import is_ours, remove_file, remove_ours
from training.model_folder.training_log import EpochRecord, StepRecord

FOLDER = "_checkpoints"
_NAME = re.compile(r"step-(\d{8,})(?:\.\d+)?\.npz")
_ABOUT = "about"
_STEPS = "steps"
_FORMAT = 2

Arrays = list[NDArray[Any]]


@dataclass
class Position:
    """How far a training has come; plain values only."""

    epoch: int = 0
    """Number of finished epochs."""
    epoch_steps: int = 0
    """Finished steps of the current epoch."""
    epoch_share: float = 0.0
    """Share of the current epoch that is finished, 0..1."""
    epoch_tiles: int = 0
    """Number of tiles that the current epoch has used."""
    learning_rate: float = 0.0
    """Learning rate of the current epoch's first step."""
    steps: list[StepRecord] = field(default_factory=list)
    history: list[EpochRecord] = field(default_factory=list)
    best_metrics: dict[str, Any] = field(default_factory=dict)
    """Metrics of the best epoch so far, as in metrics.json; empty before the end of the first."""
    averaged: int = 0
    """Number of moments in the mean of the weights (the recipe's key 'training.averaging')."""
    averaging_steps: int = 0
    """Number of steps since averaging began."""
    started_from: str = ""
    """Digest of the file that gave the initial weights; empty for random weights."""
    started_with: str = ""
    """What that file gave, in words, if the recipe named it (`training.start_from`)."""

    def is_frozen(self, epochs: int) -> bool:
        """Whether the next step is prepared with an encoder that is frozen for so many epochs.

        That is so before the first step after them, too: there the encoder is thawed.
        """
        return epochs > 0 and self.epoch + (self.epoch_steps > 0) <= epochs


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two steps."""

    position: Position
    recipe: Recipe
    """Recipe of the training. To go on, most sections must be the same."""
    data_digest: str
    """Digest of the training data. To go on, it must be the same."""
    state: Arrays
    """Weights, optimizer and loss scale, in the order of `Trainer.state`."""
    best_weights: Arrays
    """Weights of the best epoch; empty before the end of the first epoch."""
    weight_sums: Arrays
    """Sums of the averaged weights (`training.optimisation.averaging`); empty before the first."""
    random_states: list[Arrays]
    """Random states of each rank, in the order of `Trainer.random_state`."""


def write(folder: Path, checkpoint: Checkpoint, *, keep: int) -> None:
    """Write a checkpoint into a model's folder, and delete all but the last `keep` checkpoints.

    Raises:
        OutputError: The checkpoint can't be written.
    """
    place = make_folder(checkpoint_folder(folder))
    position = checkpoint.position
    about = {
        "position": asdict(replace(position, steps=[])),
        "recipe": checkpoint.recipe.model_dump(mode="json"),
        "data_digest": checkpoint.data_digest,
        "ranks": len(checkpoint.random_states),
        "format": _FORMAT,
    }
    arrays = {
        _ABOUT: np.array(json.dumps(about)),
        # A separate array, because there can be millions of steps; float64 holds their integers
        # exactly.
        _STEPS: np.array([astuple(row) for row in position.steps], np.float64).reshape(-1, 4),
        **_named("state", checkpoint.state),
        **_named("best", checkpoint.best_weights),
        **_named("sums", checkpoint.weight_sums),
    }
    for rank, states in enumerate(checkpoint.random_states):
        arrays |= _named(f"random-{rank}", states)
    path = _free_path(place, len(position.steps))
    with whole_file(path) as partial:
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        digest = _digest(partial)
    write_text(_checksum_of(path), f"{digest}  {path.name}\n")
    older = [old for old in _paths(folder) if old != path and _step(old) <= len(position.steps)]
    for old in older[: max(len(older) - (keep - 1), 0)]:
        for part in (_checksum_of(old), old):
            if is_ours(part):
                remove_file(part)


def latest(folder: Path) -> Checkpoint | None:
    """Read the last complete checkpoint of a model's folder; None if there are no checkpoints.

    Raises:
        ModelError: No checkpoint is complete, or another version of Polynya has written it.
    """
    paths = _paths(folder)
    for path in reversed(paths):
        try:
            words = _checksum_of(path).read_text(encoding="utf-8", errors="replace").split()
            if words[:1] == [_digest(path)]:
                return _read(path)
            reason = "its checksum differs"
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            reason = reason_of(error)
        console.print(
            f"{path} is not whole ({reason}); taking the checkpoint before it", soft_wrap=True
        )
    if paths:
        raise ModelError(
            f"None of the {len(paths)} checkpoints in {folder / FOLDER} is whole, so the training"
            " can't go on; put a good copy of one and of its .sha256 there, or give another --out,"
            f" with --start-from {folder} if there is a model.keras, or add --overwrite to begin"
            " again and lose what is there."
        )
    return None


def last_step(folder: Path) -> int:
    """Number of steps of the last checkpoint, complete or not; 0 without checkpoints."""
    return max((_step(path) for path in _paths(folder)), default=0)


def any_in(folder: Path) -> bool:
    """Whether a model's folder has checkpoints, complete or not."""
    return bool(_paths(folder))


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a finished training; other files in their folder stay."""
    remove_ours(folder / FOLDER)


def checkpoint_folder(folder: Path) -> Path:
    """Path of the folder of checkpoints in a model's folder; it need not exist.

    Raises:
        OutputError: The path is a link, which might lead to the checkpoints of another training.
    """
    place = folder / FOLDER
    if place.is_symlink():
        raise OutputError(f"{place} is a link; remove it, or choose another --out folder.")
    return place


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file[_ABOUT]))
        if about["format"] != _FORMAT:
            raise ModelError(
                f"{path} was made by another version of Polynya; begin again with --overwrite."
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
            recipe=parse_recipe(about["recipe"], source=str(path)),
            data_digest=about["data_digest"],
            state=_of_name(file, "state"),
            best_weights=_of_name(file, "best"),
            weight_sums=_of_name(file, "sums"),
            random_states=[_of_name(file, f"random-{r}") for r in range(about["ranks"])],
        )


def _named(name: str, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}/{index:05d}": array for index, array in enumerate(arrays)}


def _of_name(file: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    return [file[key] for key in sorted(file) if key.startswith(f"{name}/")]


def _paths(folder: Path) -> list[Path]:
    """List all checkpoints, the latest at the end."""
    found = [p for p in (folder / FOLDER).glob("step-*.npz") if _NAME.fullmatch(p.name)]
    return sorted(found, key=lambda path: (_step(path), len(path.name), path.name))


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None  # `_paths` lists only names that match.
    return int(match[1])


def _checksum_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _free_path(place: Path, step: int) -> Path:
    """Find a free name for a new checkpoint; a file that was changed is never replaced."""
    for number in count(1):
        path = place / f"step-{step:08d}{'' if number == 1 else f'.{number}'}.npz"
        if all(is_ours(p) or not os.path.lexists(p) for p in (path, _checksum_of(path))):
            return path
    raise AssertionError  # There are more numbers than files.


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
