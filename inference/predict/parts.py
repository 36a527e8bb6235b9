"""Large scenes on several workers: each predicts some strips of rows, and one combines them.

The strips of a worker are equal, to the last bit, to the same strips in a prediction of the whole
scene (`inference.predict.windows.blend_bands`). So maps don't depend on the workers.
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
"""Folder beside the products for finished parts; they are deleted when the scene is done."""

_PART_PIXELS = 16_000_000
"""Pixels of a part. A part is some minutes of work, so the loss of a worker costs little."""
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Part:
    """Some strips of a scene. Small and picklable."""

    scene_id: str
    uri: str
    first: int
    """Number of the first strip."""
    stop: int


@dataclass(frozen=True)
class CodedBand(Band):
    """A finished strip without probabilities, when no product needs them."""

    known: Codes
    """uint8 (N, W), labels."""

    def codes(self, nodata: int, weights: object = (), thresholds: object = ()) -> Codes:
        return self.known


def scene_parts(model: TrainedModel, scene: Scene) -> list[Part]:
    """Divide a scene into parts of about the same size; a small scene is one part."""
    bands = len(scene_windows(model, scene).spans())
    wanted = round(scene.height * scene.width / _PART_PIXELS)
    # One part only: every part would filter or resize the whole scene, and photographs must be
    # turned first.
    resized = model.recipe.inference.size is not None
    if resized or sees_whole(model.recipe) or scene.transform is None:
        wanted = 1
    count = max(1, min(wanted, bands))
    ends = [bands * index // count for index in range(count + 1)]
    return [Part(scene.id, scene.uri, first, stop) for first, stop in pairwise(ends)]


def part_file(folder: Path, part: Part, tags: dict[str, str]) -> Path:
    """Path of a part's file; the name contains a digest of all that decides the content."""
    digest = hashlib.sha256(repr(sorted(tags.items())).encode()).hexdigest()[:16]
    return folder / WORK_FOLDER / f"{part.scene_id}.{digest}.{part.first:05d}.npz"


def remove_parts(folder: Path, scenes: Collection[str], needed: Collection[Path]) -> None:
    """Delete the parts of some scenes.

    Args:
        folder: Folder of maps.
        scenes: Ids of the scenes.
        needed: Files to keep.
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
    """Predict the strips of a part and write them into a file, complete or not at all.

    Args:
        model: Model from `training.model_folder.folder.load_model`.
        scene: Scene of the part.
        part: The part.
        target: Path from `part_file`.
        with_probabilities: Also keep probabilities (4 bytes per pixel and class); else only labels
            (1 byte per pixel).
    """
    classes = model.recipe.classes
    decision = read_decision(model.folder, model.recipe)
    finds_threshold = decision.threshold == "otsu"
    arrays = {}
    for number, band in enumerate(
        predict_bands(model, scene, decision=decision, part=range(part.first, part.stop))
    ):
        arrays[f"row{number}"] = np.array(band.row)
        if finds_threshold:  # The whole scene decides later. Until then: what has data.
            codes = np.where(band.valid, 0, classes.nodata).astype(np.uint8)
        else:
            codes = decision.labels(band, classes)
        arrays[f"codes{number}"] = codes
        if with_probabilities or finds_threshold:
            arrays[f"probabilities{number}"] = band.probabilities
    target.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(target, content.getbuffer())


def read_parts(files: Sequence[Path], nodata: int) -> Iterator[Band]:
    """Read the strips of a scene from the files of its parts, from the top.

    Raises:
        OutputError: A file is damaged.
    """
    for file in files:
        try:
            yield from _read_part(file, nodata)
        except _UNREADABLE:
            raise OutputError(
                f"{file} is damaged; run the same command again to replace it."
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
