"""Tasks of workers: find the sky over a large scene, label a unit of the plan.

Tasks raise no errors. If a scene fails, its result has the reason (`polynya.attempt`). A task that
is done leaves a note in the data set, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import LightSteps
from autolabel.filters.registry import light_steps, uses_layers
from autolabel.importers.importer import ImportedScene
from autolabel.importers.samples import read_sample
from autolabel.plan import Part, Unit, needs_sky, sky_name
from autolabel.scene_tiles import (
    LabelledScene,
    cut_tiles,
    filter_scene,
    label_pixels,
    take_labels,
)
from autolabel.thresholds.profiles import get_profile
from autolabel.words import words_of
from polynya.attempt import Failure, attempt
from polynya.errors import OutputError
from polynya.grid import tile_grid
from polynya.recipe.recipe import Recipe
from polynya.scenes.band_set import BandPixels, read_inputs
from polynya.scenes.beside.label_raster import read_labels, read_shares
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.shards.lifecycle import WORK_FOLDER
from polynya.shards.soft_labels import encode
from polynya.shards.writer import ShardWriter, tile_row
from polynya.storage.folder import Folder


@dataclass(frozen=True)
class Job:
    """Settings that all tasks of a run share. Small and picklable."""

    recipe: Recipe
    folder: Folder
    retries: int
    """How often a failed scene is retried."""


@dataclass(frozen=True)
class PartResult:
    """Result of labelling some rows of a scene."""

    scene_id: str
    row: int
    reason: str = ""
    """Why the rows failed, one sentence; empty if they are done."""
    tiles: int = 0
    labelled: int = 0
    files: tuple[str, ...] = ()
    file_sums: tuple[str, ...] = ()
    """Size and checksum of each file, in the form of the manifest."""
    valid_pixels: int = 0
    veiled_pixels: int | None = None
    thick_cloud_pixels: int | None = None
    uncertain_pixels: int | None = None
    class_pixels: tuple[int, ...] = ()
    """Pixels of each class in the written tiles."""


@dataclass(frozen=True)
class SkyTask:
    """Task to find the sky over a scene; the units of the scene's strips need it."""

    scene: Scene
    note: str
    """Path of the file for the sky, in the data set."""

    @classmethod
    def of(cls, part: Part, recipe: Recipe) -> SkyTask:
        """Make the task for the scene of a part."""
        return cls(part.scene, f"{WORK_FOLDER}/{sky_name(part, recipe)}.sky")


def unit_note(unit: Unit) -> str:
    """Return the path of the note with a unit's results, in the data set."""
    return f"{WORK_FOLDER}/{unit.name}.json"


def find_scene_sky(task: SkyTask, job: Job) -> str:
    """Find the sky over a scene, strip by strip, and store it in the data set.

    Returns:
        Why it failed, one sentence; empty if the sky is stored.
    """
    cv2.setNumThreads(1)

    def find() -> None:
        steps = light_steps(job.recipe.label)
        assert steps is not None  # `needs_sky` says so.
        job.folder.write(task.note, steps.pack(steps.find(task.scene, job.recipe)))

    done = attempt(find, task.scene.uri, words_of(job.recipe).done, job.retries)
    return done.reason if isinstance(done, Failure) else ""


def label_unit(unit: Unit, job: Job) -> list[PartResult]:
    """Label the scenes or rows of a unit and write their shards.

    Returns:
        One result per part, done or failed.
    """
    # One thread per worker: all cores have workers already, so more threads would only compete.
    cv2.setNumThreads(1)
    first = unit.parts[0].scene.uri
    results = attempt(partial(_write_unit, unit, job), first, words_of(job.recipe).done)
    if isinstance(results, Failure):
        return [
            PartResult(
                part.scene.id,
                part.row,
                f"{part.scene.uri} could not be written: {results.reason}",
            )
            for part in unit.parts
        ]
    return results


def _write_unit(unit: Unit, job: Job) -> list[PartResult]:
    failed: dict[int, PartResult] = {}
    while True:
        writer = ShardWriter(job.folder, unit.name)
        results = _write_parts(unit, job, writer, failed)
        if results is not None:
            break
        # A part failed after some of its tiles were in the file: write the unit again without it.
    writer.close()
    results = [_with_sums(result, writer) for result in results]
    note = json.dumps([asdict(result) for result in results])
    job.folder.write(unit_note(unit), note.encode())
    return results


def _write_parts(
    unit: Unit, job: Job, writer: ShardWriter, failed: dict[int, PartResult]
) -> list[PartResult] | None:
    """Label and write all parts of a unit.

    Args:
        unit: Unit to label.
        job: Recipe and data set.
        writer: Writer of the tiles.
        failed: Parts to leave out, by their number; parts that fail here are added.

    Returns:
        Results of all parts. None if a part failed after some of its tiles were in the file.

    Raises:
        OutputError: The shards can't be written. No part is the cause.
    """
    steps = light_steps(job.recipe.label) if needs_sky(unit, job.recipe.label) else None
    results: list[PartResult] = []
    for number, part in enumerate(unit.parts):
        if number in failed:
            results.append(failed[number])
            continue
        work = partial(_label_part, part, job, steps)
        labelled = attempt(work, part.scene.uri, words_of(job.recipe).done, job.retries)
        if isinstance(labelled, Failure):
            failed[number] = PartResult(part.scene.id, part.row, labelled.reason)
            results.append(failed[number])
            continue
        write = partial(_write_part, part, *labelled, writer, job.recipe)
        written = attempt(write, part.scene.uri, words_of(job.recipe).done)
        if isinstance(written, Failure):
            failed[number] = PartResult(part.scene.id, part.row, written.reason)
            return None
        if isinstance(written, OutputError):
            raise written
        results.append(written)
    return results


def _with_sums(result: PartResult, writer: ShardWriter) -> PartResult:
    return replace(result, file_sums=tuple(writer.sums[name] for name in result.files))


def read_note(folder: Folder, unit: Unit) -> list[PartResult]:
    """Read the results that a unit left in the data set; empty if the note can't be read."""
    sequences = ("files", "file_sums", "class_pixels")
    try:
        rows = json.loads(folder.read(unit_note(unit)))
        return [PartResult(**row | {key: tuple(row[key]) for key in sequences}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _label_part(
    part: Part, job: Job, steps: LightSteps[Any] | None
) -> tuple[LabelledScene, NDArray[np.bool_], BandPixels | None]:
    if isinstance(part.scene, ImportedScene):
        return read_sample(part.scene, job.recipe, part.window)
    image, valid = read_scene(part.scene, part.window)
    inputs = None if part.scene.inputs is None else read_inputs(part.scene, part.window)
    layers = read_layers(part.scene, part.window) if uses_layers(job.recipe.label) else None
    sky = None
    if steps is not None:
        whole = steps.unpack(job.folder.read(SkyTask.of(part, job.recipe).note))
        sky = steps.over_rows(whole, part.row, image, layers, job.recipe.scene.stretch)
    if part.scene.labels is not None:
        classes = job.recipe.classes
        if inputs is not None:
            valid = inputs.seen  # Inputs decide which pixels are valid, not colours; as in maps.
        if job.recipe.label.soft:
            shares = read_shares(part.scene, classes, part.window)
            label = encode(shares, classes.nodata)
        else:
            label = read_labels(part.scene, classes, part.window)
        if job.recipe.label.runs_filter:
            image = filter_scene(image, valid, job.recipe, layers, sky)
        return take_labels(image, valid, label, classes), valid, inputs
    profile = get_profile(job.recipe.label.profile)
    return label_pixels(image, valid, job.recipe, profile, layers, sky), valid, inputs


def _write_part(
    part: Part,
    labelled: LabelledScene,
    valid: NDArray[np.bool_],
    inputs: BandPixels | None,
    writer: ShardWriter,
    recipe: Recipe,
) -> PartResult | OutputError:
    """Put the tiles of a part into the shards.

    Returns an OutputError of the folder instead of raising it, because the part is not its cause.
    """
    counts = np.zeros(recipe.classes.n_classes, np.int64)
    written, files = 0, []
    for tile in cut_tiles(labelled, valid, recipe, inputs):
        in_scene = replace(tile, tile=replace(tile.tile, row=tile.tile.row + part.row))
        row = tile_row(part.scene, in_scene, recipe, recipe.label_source)
        written += 1
        counts += row["class_counts"]
        try:
            file = writer.add(row)
        except OutputError as error:
            return error
        if file not in files:
            files.append(file)
    writer.end_group()
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
