"""What workers do: find the sky over a large scene, label a unit of the plan.

Tasks raise no error that a user can mend: what went wrong with a scene comes back as its reason.
Each leaves a note in the data set when it is done, so that a run that was cut goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.plan import Part, Unit, needs_sky
from autolabel.scene_tiles import LabelledScene, cut_tiles, label_pixels
from autolabel.skies import find_sky, pack_sky, sky_over_rows, unpack_sky
from autolabel.thresholds import get_profile
from polynya.errors import PolynyaError
from polynya.grid import tile_grid
from polynya.layers import read_layers
from polynya.recipe import Recipe
from polynya.scenes import Scene, read_scene
from polynya.shard_writer import WORK_FOLDER, ShardWriter, tile_row
from polynya.storage import Folder

_FIRST_WAIT = 0.5
"""Seconds before a scene is tried again; doubled each time."""

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What all tasks of a run have in common. Small and picklable."""

    recipe: Recipe
    folder: Folder
    retries: int
    """Times that a scene that fails is tried again."""


@dataclass(frozen=True)
class PartResult:
    """What became of some rows of a scene."""

    scene_id: str
    row: int
    reason: str = ""
    """Why it failed, one sentence; empty if it is done."""
    tiles: int = 0
    labelled: int = 0
    files: tuple[str, ...] = ()
    valid_pixels: int = 0
    veiled_pixels: int | None = None
    thick_cloud_pixels: int | None = None
    uncertain_pixels: int | None = None
    class_pixels: tuple[int, ...] = ()
    """Pixels of each class in the written tiles."""


@dataclass(frozen=True)
class SkyTask:
    """A scene whose sky is wanted by the units of its bands."""

    scene: Scene

    @property
    def note(self) -> str:
        """Where the sky goes."""
        return f"{WORK_FOLDER}/{self.scene.id}.sky"


def unit_note(unit: Unit) -> str:
    """Where a unit's results go."""
    return f"{WORK_FOLDER}/{unit.name}.json"


def find_scene_sky(task: SkyTask, job: Job) -> str:
    """Find the sky over a scene, strip by strip, and leave it in the data set.

    Returns:
        Why it failed, one sentence; empty if it is there.
    """
    cv2.setNumThreads(1)
    sky = tried(partial(find_sky, task.scene, job.recipe), task.scene.uri, job.retries)
    if isinstance(sky, Failure):
        return sky.reason
    try:
        job.folder.write(task.note, pack_sky(sky))
    except (PolynyaError, OSError) as error:
        return str(error)
    return ""


def label_unit(unit: Unit, job: Job) -> list[PartResult]:
    """Label the scenes or rows of a unit and write their shards.

    Returns:
        One result a part, done or failed.
    """
    # One thread per worker: parallelism comes from the workers, and more threads only fight.
    cv2.setNumThreads(1)
    writer = ShardWriter(job.folder, unit.name)
    results: list[PartResult] = []
    try:
        for part in unit.parts:
            attempt = partial(_label_part, part, job, needs_sky(unit, job.recipe.label))
            labelled = tried(attempt, part.scene.uri, job.retries)
            if isinstance(labelled, Failure):
                results.append(PartResult(part.scene.id, part.row, labelled.reason))
            else:
                results.append(_write_part(part, *labelled, writer, job.recipe))
        writer.close()
        note = json.dumps([asdict(result) for result in results])
        job.folder.write(unit_note(unit), note.encode())
    except (PolynyaError, OSError) as error:
        reason = f"{unit.parts[0].scene.uri} could not be written: {error}"
        return [PartResult(part.scene.id, part.row, reason) for part in unit.parts]
    return results


def read_note(folder: Folder, unit: Unit) -> list[PartResult]:
    """Results that a unit left in the data set."""
    rows = json.loads(folder.read(unit_note(unit)))
    sequences = ("files", "class_pixels")
    return [PartResult(**row | {key: tuple(row[key]) for key in sequences}) for row in rows]


def _label_part(part: Part, job: Job, with_sky: bool) -> tuple[LabelledScene, NDArray[np.bool_]]:
    image, valid = read_scene(part.scene, part.window)
    layers = read_layers(part.scene, part.window)
    sky = None
    if with_sky:
        whole = unpack_sky(job.folder.read(SkyTask(part.scene).note))
        sky = sky_over_rows(whole, part.row, image, layers, job.recipe.scene.stretch)
    profile = get_profile(job.recipe.label.profile)
    return label_pixels(image, valid, job.recipe, profile, layers, sky), valid


def _write_part(
    part: Part,
    labelled: LabelledScene,
    valid: NDArray[np.bool_],
    writer: ShardWriter,
    recipe: Recipe,
) -> PartResult:
    source = f"{recipe.label.method}/{recipe.label.scope}/{recipe.label.profile_name}"
    counts = np.zeros(recipe.classes.n_classes, np.int64)
    written, files = 0, []
    for tile in cut_tiles(labelled, valid, recipe):
        in_scene = replace(tile, tile=replace(tile.tile, row=tile.tile.row + part.row))
        row = tile_row(part.scene, in_scene, recipe, source)
        written += 1
        counts += row["class_counts"]
        file = writer.add(row)
        if file not in files:
            files.append(file)
    return PartResult(
        scene_id=part.scene.id,
        row=part.row,
        tiles=len(tile_grid(part.height, part.scene.width, recipe.tiles.size)),
        labelled=written,
        files=tuple(files),
        valid_pixels=int(valid.sum()),
        veiled_pixels=_count(labelled.veiled, valid),
        thick_cloud_pixels=_count(labelled.thick_cloud, valid),
        uncertain_pixels=_count(labelled.uncertain, valid),
        class_pixels=tuple(counts.tolist()),
    )


def _count(mask: NDArray[np.bool_] | None, valid: NDArray[np.bool_]) -> int | None:
    return None if mask is None else int((mask & valid).sum())


@dataclass(frozen=True)
class Failure:
    """What can't be done to a scene."""

    reason: str
    """Why, one sentence."""


def tried(attempt: Callable[[], T], uri: str, retries: int) -> T | Failure:
    """Do something to a scene, again if it fails: networks and file systems have bad moments.

    Args:
        attempt: What to do.
        uri: Of the scene.
        retries: Times to try again.

    Returns:
        What `attempt` gave, or why it failed in the end.
    """
    reason = ""
    for trial in range(retries + 1):
        if trial:
            time.sleep(_FIRST_WAIT * 2.0 ** (trial - 1))
        try:
            return attempt()
        except PolynyaError as error:
            reason = str(error)
        except OSError as error:
            why = error.strerror or error
            reason = f"{uri} could not be labelled: {why}; mend that and label again."
        except MemoryError:
            reason = f"{uri} could not be labelled: out of memory; use fewer workers a machine."
    return Failure(reason)
