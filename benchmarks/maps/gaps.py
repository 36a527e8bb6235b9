"""Effect of pixels without data on the classes beside them, in clear scenes with artificial holes.

In place of a gap, a model sees the colours beside the gap (`inference.predict.missing`). This is
compared with a black gap and with the scene without the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from autolabel import label_image
from benchmarks.common.cli import ModelOption
from benchmarks.common.models import DEMO
from benchmarks.common.report import Report
from benchmarks.common.scenes import write_image
from data_samples import make_scene
from data_samples.blobs import make_blobs
from data_samples.mosaic import make_mosaic
from inference.predict.decision import read_decision
from inference.predict.predict import open_decided, open_model, scene_windows
from inference.predict.rows import row_reader
from inference.predict.windows import blend_bands
from polynya.progress import track
from polynya.report.tables import Table
from polynya.scenes.reading import open_scene, read_scene
from polynya.scenes.scene import Scene
from polynya.storage.files import output_folder
from training.model_folder.folder import TrainedModel

SEED = 9901
"""Seed of the first scene; no other benchmark uses it."""

DISTANCES = (2, 4, 8, 16)
"""Upper ends of the distances from the nearest gap, in pixels."""

_WAYS = ("no gap", "gap black", "gap filled")
_HOLES = 6

Codes = NDArray[np.uint8]
Counts = NDArray[np.int64]


def gaps(
    report: Report,
    model: ModelOption = DEMO / "model",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each generator.")] = 20,
    size: Annotated[int, typer.Option(min=256, help="Height and width of a scene.")] = 512,
    picture: Annotated[
        list[str] | None, typer.Option(help="Real pictures without gaps, to cut holes into.")
    ] = None,
) -> None:
    """Count wrong pixels beside gaps, for filled gaps and for gaps left black."""
    work = output_folder(report.folder / "work/gaps")
    opened = open_model(model.absolute())
    counts = measure_gaps(opened, picture or [], work, scenes=scenes, size=size)
    table = gaps_table(counts, "Pixels that are wrong, in %, by distance from the nearest gap")
    about = f"Model: {model}. Of pictures, what differs from the map of the picture without gaps."
    report.write("gaps", "Maps: beside gaps", about, {"gaps": table})


def measure_gaps(
    model: TrainedModel, pictures: Sequence[str], folder: Path, *, scenes: int, size: int
) -> dict[str, Counts]:
    """Count wrong pixels near gaps.

    Args:
        model: Trained model.
        pictures: Files without gaps; the map of the unchanged picture serves as truth.
        folder: Folder for the scenes.
        scenes: Number of scenes of each generator.
        size: Height and width of a scene in pixels.

    Returns:
        By set of scenes, int64 (3, 4, 2): for "no gap", "gap black" and "gap filled", and for each
        of `DISTANCES`, the number of wrong pixels and the number of all pixels.
    """
    counts: dict[str, Counts] = {}
    images = chain(_generated(scenes, size), _read(pictures, model))
    total = 3 * scenes + len(pictures)
    title = "Predicting scenes with gaps"
    for number, (name, image, truth) in enumerate(track(images, title, total=total)):
        found = _count(model, image, truth, folder / f"{name}-{number}.tif", SEED + number)
        counts[name] = counts.get(name, np.zeros_like(found)) + found
    return counts


def gaps_table(counts: dict[str, Counts], title: str) -> Table:
    """One row per set of scenes and way to treat gaps."""
    lows = (0, *DISTANCES)
    columns = tuple(f"{low} to {high} px" for low, high in zip(lows, DISTANCES, strict=False))
    rows = tuple(
        (name, way, *(f"{100 * wrong / max(of, 1):.2f}" for wrong, of in found))
        for name, ways in counts.items()
        for way, found in zip(_WAYS, ways, strict=True)
    )
    return Table(title, ("scenes", "seen", *columns), rows)


def _generated(scenes: int, size: int) -> Iterator[tuple[str, Codes, Codes | None]]:
    """Yield name of the set, clear image, truth."""
    shape = (size, size)
    for seed in range(SEED, SEED + scenes):
        sample = make_scene(seed, 0, shape, "clear")
        yield "standard", sample.clear, sample.truth
        image, truth, _ = make_blobs(seed, shape, "clear")
        yield "blobs", image, truth
        image = make_mosaic(seed, shape)
        yield "mosaic", image, label_image(image, method="none")


def _read(pictures: Sequence[str], model: TrainedModel) -> Iterator[tuple[str, Codes, None]]:
    for path in pictures:
        image, _ = read_scene(open_scene(path, model.recipe.scene))
        yield "pictures", image, None


def _count(model: TrainedModel, image: Codes, truth: Codes | None, path: Path, seed: int) -> Counts:
    write_image(path, image)
    whole = open_scene(str(path), model.recipe.scene)
    maps = [_map(model, whole, filled=True)]
    truth = maps[0] if truth is None else truth
    gaps = _cut_holes(image.shape[:2], np.random.default_rng(seed))
    write_image(path, np.where(gaps[..., None], np.uint8(0), image))
    holed = open_scene(str(path), model.recipe.scene)
    maps += [_map(model, holed, filled=False), _map(model, holed, filled=True)]

    distance = cv2.distanceTransform((~gaps).astype(np.uint8), cv2.DIST_L2, 5)
    known = ~gaps & (truth != model.recipe.classes.nodata)
    bins = np.searchsorted(DISTANCES, distance[known])
    return np.array(
        [
            [(int(wrong[bins == i].sum()), int((bins == i).sum())) for i in range(len(DISTANCES))]
            for wrong in ((codes != truth)[known] for codes in maps)
        ]
    )


def _map(model: TrainedModel, scene: Scene, *, filled: bool) -> Codes:
    """Map a scene; gaps are filled as usual, or shown to the model unchanged."""
    recipe = model.recipe
    decision = read_decision(model.folder, recipe)
    read_rows = row_reader(scene, recipe)

    def all_valid(start: int, stop: int) -> tuple[Codes, NDArray[np.bool_]]:
        image, valid = read_rows(start, stop)
        return image, np.ones_like(valid)

    bands = blend_bands(
        read_rows if filled else all_valid,
        open_decided(model, decision),
        scene_windows(model, scene),
        n_classes=recipe.classes.n_classes,
    )
    return np.concatenate([decision.labels(band, recipe.classes) for band in bands])


def _cut_holes(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw rectangles, ellipses and lines without data: bool (H, W)."""
    height, width = shape
    holes = np.zeros((height, width), np.uint8)
    for _ in range(_HOLES):
        x, y, x2, y2 = (int(n) for n in rng.integers(0, (width, height, width, height)))
        long, wide = (int(n) for n in rng.integers(8, 80, 2))
        shape_of_hole = rng.integers(3)
        if shape_of_hole == 0:
            cv2.rectangle(holes, (x, y), (x + long, y + wide), 1, cv2.FILLED)
        elif shape_of_hole == 1:
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(holes, (x, y), (long // 2, wide // 2), angle, 0, 360, 1, cv2.FILLED)
        else:
            cv2.line(holes, (x, y), (x2, y2), 1, int(rng.integers(1, 6)))
    return holes.astype(np.bool_)
