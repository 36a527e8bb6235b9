"""Large scenes over several workers: each predicts some bands, one puts them together.

What a worker makes of its bands has the bits that it has in a prediction of the whole scene
(`inference.predict.windows.blend_bands`), so maps don't depend on who made them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.predict.decision import read_decision
from inference.predict.predict import predict_bands, scene_windows
from inference.predict.rows import sees_whole
from inference.predict.windows import Band, Codes
from polynya.errors import OutputError
from polynya.scenes.scene import Scene
from polynya.storage.files import write_bytes
from polynya.storage.ownership import remove_file

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

WORK_FOLDER = "_work"
"""Parts that wait for the others, beside the products; gone when a scene is done."""

_PART_PIXELS = 16_000_000
"""Pixels of a part: minutes of work, so that what a lost worker had done is little."""
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Part:
    """Some bands of a scene. Small and picklable."""

    scene_id: str
    uri: str
    first: int
    """Number of the first band."""
    stop: int


@dataclass(frozen=True)
class CodedBand(Band):
    """Finished rows whose probabilities nobody needs any more: they have no channel."""

    known: Codes
    """uint8 (N, W), labels."""

    def codes(self, nodata: int, weights: object = (), thresholds: object = ()) -> Codes:
        return self.known


def scene_parts(model: TrainedModel, scene: Scene) -> list[Part]:
    """Parts of about the same size; one for scenes that aren't large."""
    bands = len(scene_windows(model, scene).spans())
    wanted = round(scene.height * scene.width / _PART_PIXELS)
    # Every part would filter the whole scene; and photographs may have to be turned first.
    if sees_whole(model.recipe) or scene.transform is None:
        wanted = 1
    count = max(1, min(wanted, bands))
    ends = [bands * index // count for index in range(count + 1)]
    return [Part(scene.id, scene.uri, first, stop) for first, stop in pairwise(ends)]


def part_file(folder: Path, part: Part, tags: dict[str, str]) -> Path:
    """Where a part waits; its name holds what decides its content."""
    digest = hashlib.sha256(repr(sorted(tags.items())).encode()).hexdigest()[:16]
    return folder / WORK_FOLDER / f"{part.scene_id}.{digest}.{part.first:05d}.npz"


def remove_parts(folder: Path, scenes: Collection[str], needed: Collection[Path]) -> None:
    """Delete the parts of some scenes.

    Args:
        folder: Folder of maps.
        scenes: Their ids.
        needed: Files that stay.
    """
    for file in sorted((folder / WORK_FOLDER).glob("*.npz")):
        if file not in needed and file.name.rsplit(".", 3)[0] in scenes:
            with suppress(OutputError):  # It isn't ours.
                remove_file(file)


def predict_part(
    model: TrainedModel,
    scene: Scene,
    part: Part,
    target: Path,
    *,
    with_probabilities: bool,
) -> None:
    """Predict the bands of a part and leave them in a file, whole or not at all.

    Args:
        model: From `training.model_folder.folder.load_model`.
        scene: What the part is of.
        part: Which bands.
        target: From `part_file`.
        with_probabilities: Keep the probabilities too; else labels, a byte a pixel in place of four
            a pixel and class.
    """
    classes = model.recipe.classes
    decision = read_decision(model.folder, classes)
    arrays = {}
    for number, band in enumerate(
        predict_bands(model, scene, decision=decision, part=range(part.first, part.stop))
    ):
        arrays[f"row{number}"] = np.array(band.row)
        arrays[f"codes{number}"] = decision.labels(band, classes)
        if with_probabilities:
            arrays[f"probabilities{number}"] = band.probabilities
    target.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(target, content.getbuffer())


def read_parts(files: Sequence[Path], nodata: int) -> Iterator[Band]:
    """The bands of a scene from the files of its parts, from the top.

    Raises:
        OutputError: A file is damaged.
    """
    for file in files:
        try:
            yield from _read_part(file, nodata)
        except _UNREADABLE:
            raise OutputError(
                f"{file} is damaged; run the same command again, which makes it again."
            ) from None


def _read_part(file: Path, nodata: int) -> Iterator[Band]:
    with np.load(file, allow_pickle=False) as stored:
        for number in range(sum(name.startswith("row") for name in stored)):
            codes = stored[f"codes{number}"]
            row, valid = int(stored[f"row{number}"]), codes != nodata
            name = f"probabilities{number}"
            if name in stored:
                found = stored[name]
            else:
                found = np.empty((*codes.shape, 0), np.float32)
            yield CodedBand(row, valid, found, codes)
