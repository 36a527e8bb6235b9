"""Overview pictures: a scene, the filtered scene and its labels, reduced in size."""

from __future__ import annotations

import hashlib
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.registry import filter_of, light_steps, needs_whole, uses_layers
from autolabel.plan import shown_id
from autolabel.scene_tiles import filter_scene
from autolabel.tasks import Job
from polynya.attempt import Failure, attempt
from polynya.engines.engines import Engine, run_all, worker_died
from polynya.grid import Tile
from polynya.progress import progress
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.report.blocks import Blocks
from polynya.report.pictures import draw_panels, thinning
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene
from polynya.scenes.shown_colors import tile_colors
from polynya.shards.dataset import ShardSet, StoredTile, open_shards
from polynya.shards.lifecycle import PICTURES_FOLDER
from polynya.shards.manifest import SceneResult, read_manifest

_STRIP_ROWS = 1024
"""About how many rows are read at once; rounded down to a multiple of the tile size."""

_LINE = 70
"""Most characters in a line of a picture's title."""

Panel = tuple[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Mosaic:
    """The tiles of a scene in the shards, put together and reduced in size."""

    image: NDArray[np.uint8]
    """(h, w, 3), 0 where there is no tile, or nodata."""
    label: NDArray[np.uint8]
    """(h, w), class codes."""
    tiles: int
    class_pixels: tuple[int, ...]
    """Pixels of each class, at full size."""
    labelled: int
    """Pixels with a label; pixels under no mask also count."""
    pixels: int
    """Pixels of all tiles, including nodata."""
    veiled_share: float | None
    """Mean over the tiles; None if the label source doesn't report it."""


def picture_name(scene_id: str) -> str:
    """Return the path of a scene's overview picture in the data set."""
    stem = shown_id(scene_id)
    if stem != scene_id:
        digest = hashlib.sha256(scene_id.encode(errors="backslashreplace")).hexdigest()[:8]
        stem = f"{stem}-{digest}"
    return f"{PICTURES_FOLDER}/{stem}.png"


def scene_mosaic(shards: ShardSet, row: SceneResult) -> Mosaic:
    """Put the tiles of a scene together.

    Args:
        shards: The data set.
        row: The scene's row in the manifest.

    Raises:
        ShardError: A shard is missing or damaged.
    """
    blocks = Blocks(row.height, row.width, thinning(row.height, row.width))
    counts = np.zeros(shards.classes.n_classes, np.int64)
    tiles, labelled, pixels = 0, 0, 0
    veiled: list[float] = []
    for tile in shards.tiles(shards.row_groups([row.scene_id])):
        blocks.add_image(tile.row, tile.col, tile_picture(tile, shards))
        blocks.add_codes(tile.row, tile.col, tile.label)
        counts += shards.classes.count(tile.label)
        labelled += int(np.count_nonzero(tile.label != shards.classes.nodata))
        tiles, pixels = tiles + 1, pixels + tile.label.size
        veiled += [] if tile.veiled_share is None else [tile.veiled_share]
    return Mosaic(
        blocks.image(),
        blocks.codes(shards.classes.nodata),
        tiles,
        tuple(counts.tolist()),
        labelled,
        pixels,
        sum(veiled) / len(veiled) if veiled else None,
    )


def tile_picture(tile: StoredTile, shards: ShardSet) -> NDArray[np.uint8]:
    """Return the colours of a tile for a picture: uint8 (H, W, 3), 0 where nodata."""
    return tile_colors(tile.image, shards.recipe.scene)


def describe(mosaic: Mosaic, classes: ClassScheme) -> str:
    """Return the counts of a scene in words."""
    total = max(mosaic.pixels, 1)
    shares = [
        f"{title} {count / total:.1%}"
        for title, count in zip(classes.titles, mosaic.class_pixels, strict=True)
    ]
    shares.append(f"no label {1 - mosaic.labelled / total:.1%}")
    if mosaic.veiled_share is not None:
        shares.append(f"veiled {mosaic.veiled_share:.1%}")
    return f"{mosaic.tiles} tiles; {', '.join(shares)}"


def title_of(scene_id: str, mosaic: Mosaic, classes: ClassScheme) -> str:
    """Return name and counts of a scene, in lines that also fit over narrow pictures."""
    return "\n".join([scene_id, *textwrap.wrap(describe(mosaic, classes), _LINE)])


def draw_overviews(scenes: Sequence[Scene], job: Job, engine: Engine) -> list[str]:
    """Draw a picture of each scene into the finished data set.

    Args:
        scenes: Scenes that have tiles in the data set.
        job: Recipe and data set.
        engine: Engine that runs the drawing tasks.

    Returns:
        One sentence for each picture that could not be drawn, with the reason.
    """
    with progress("Drawing overview pictures", len(scenes)) as advance:
        task = partial(draw_overview, job=job)
        made = run_all(engine, task, scenes, lambda scene: None, advance)
    said = [
        worker_died(scene.uri) if reason is None else reason
        for scene, reason in zip(scenes, made, strict=True)
    ]
    return [reason for reason in said if reason]


def draw_overview(scene: Scene, job: Job) -> str:
    """Draw the picture of one scene; return why that failed, or ''."""

    def draw() -> None:
        shards = open_shards(job.folder, with_dropped=True)
        row = next(row for row in read_manifest(job.folder) if row.scene_id == scene.id)
        mosaic = scene_mosaic(shards, row)
        panels = [*_scene_panels(scene, job.recipe), ("Label", mosaic.label)]
        with tempfile.TemporaryDirectory() as place:
            picture = Path(place, "picture.png")
            draw_panels(picture, panels, shards.classes, title_of(scene.id, mosaic, shards.classes))
            job.folder.write(picture_name(scene.id), picture.read_bytes())

    done = attempt(draw, scene.uri, "drawn")
    return done.reason if isinstance(done, Failure) else ""


def _scene_panels(scene: Scene, recipe: Recipe) -> list[Panel]:
    step = thinning(scene.height, scene.width)
    seen, left = (Blocks(scene.height, scene.width, step) for _ in range(2))
    for row, image, filtered in _strips(scene, recipe):
        seen.add_image(row, 0, image)
        left.add_image(row, 0, filtered)
    panels = [("Scene", seen.image())]
    if filter_of(recipe.label).changes_images:
        panels.append((f"Filtered ({recipe.label.method})", left.image()))
    return panels


def _strips(
    scene: Scene, recipe: Recipe, most_rows: int = _STRIP_ROWS
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield strips of a scene: first row, pixels, filtered pixels.

    There is only one strip if the filter needs the whole scene at once.
    """
    steps = light_steps(recipe.label)
    rows = max(most_rows // recipe.tiles.size, 1) * recipe.tiles.size
    if needs_whole(recipe.label):
        rows = scene.height
    whole = None if steps is None else steps.find(scene, recipe)
    for row in range(0, scene.height, rows):
        window = Tile(row, 0, min(rows, scene.height - row), scene.width)
        image, valid = read_scene(scene, window)
        layers = read_layers(scene, window) if uses_layers(recipe.label) else None
        sky = None
        if steps is not None:
            sky = steps.over_rows(whole, row, image, layers, recipe.scene.stretch)
        yield row, image, filter_scene(image, valid, recipe, layers, sky)
