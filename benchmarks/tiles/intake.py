"""Import and inspect many tiles: time, processor time and memory of the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.common.cli import JobsOption
from benchmarks.common.commands import CommandFailedError, run_measured
from benchmarks.common.meter import Cost
from benchmarks.common.report import Report, table_of
from polynya.progress import track
from polynya.report.tables import Table
from polynya.shards.dataset import open_shards
from polynya.storage.files import output_folder

_TILE = 256
_RECIPE = {"scene": {"zero_is_nodata": False}, "imports": {"kind": "folder"}}
_THICK, _THIN = 205, 30
"""Brightness from which made ice is thick, and up to which it is water, as in the recipe."""


def intake(
    report: Report,
    tiles: Annotated[int, typer.Option(min=1, help="Images of 256 x 256 pixels.")] = 10_000,
    jobs: JobsOption = None,
) -> None:
    """Import a folder of images with masks, import it again, and inspect the shards."""
    source = output_folder(report.folder / f"source-{tiles}")
    write_samples(source, tiles)
    recipe = report.folder / "recipe.yaml"
    recipe.write_text(json.dumps(_RECIPE), encoding="utf-8")  # JSON is YAML.
    runs = measure_intake(source, recipe, report.folder, tiles, jobs)
    about = (
        f"{tiles} images of {_TILE} x {_TILE} pixels in three bands of 8 bits, with masks; whole"
        " commands, from start to end."
    )
    report.write("intake", "Tiles: import and inspection", about, {"intake": cost_table(runs)})


@dataclass(frozen=True)
class Step:
    """One command over all tiles."""

    name: str
    tiles: int
    cost: Cost


def write_samples(folder: Path, tiles: int) -> None:
    """Write images and masks as PNG files; no two tiles resemble each other.

    Args:
        folder: Images are in `images`, masks in `masks`, as `folder` wants them.
        tiles: How many.
    """
    for name in ("images", "masks"):
        output_folder(folder / name)
    for number in track(range(tiles), "Making tiles"):
        image, labels = _sample(number)
        for name, pixels in (("images", image), ("masks", labels)):
            cv2.imwrite(str(folder / name / f"t{number:06d}.png"), pixels)


def _sample(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make blots of water and of two kinds of ice: uint8 (256, 256, 3) and uint8 (256, 256)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((_TILE // 16, _TILE // 16), np.float32)
    height = cv2.resize(coarse, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
    grey = np.select([height < 0.4, height < 0.6], [12, 120], 225)
    image = grey[..., None] + rng.integers(-8, 9, (_TILE, _TILE, 3))
    labels = np.select([grey > _THICK, grey > _THIN], [0, 1], 2)
    return image.clip(0, 255).astype(np.uint8), labels.astype(np.uint8)


def measure_intake(
    source: Path, recipe: Path, folder: Path, tiles: int, jobs: int | None
) -> list[Step]:
    """Give the commands and measure each.

    Args:
        source: Folder of `write_samples`.
        recipe: How the samples are read.
        folder: Folder for shards, the page and logs.
        tiles: How many samples there are.
        jobs: Worker processes; None for one per core.

    Raises:
        CommandFailedError: A command failed, or tiles are missing in the shards.
    """
    shards = folder / "shards"
    words = ["polynya", "import", "folder", str(source), "--out", str(shards)]
    words += ["--recipe", str(recipe), *(["--workers", str(jobs)] if jobs else [])]
    page = str(folder / "inspection.html")
    commands = {
        "import": [*words, "--overwrite"],
        "import again, nothing new": words,
        "inspect": ["polynya", "inspect", str(shards), "--out", page],
    }
    steps = [
        Step(name, tiles, run_measured(command, folder / "logs" / name.partition(",")[0]))
        for name, command in commands.items()
    ]
    data = open_shards(shards)
    found = sum(group.tiles for group in data.row_groups(data.scene_ids))
    if found != tiles:
        raise CommandFailedError(f"{shards} has {found} tiles and not {tiles}; look into the logs.")
    return steps


def cost_table(steps: Sequence[Step]) -> Table:
    """One row per command."""
    return table_of(
        "Whole commands",
        steps,
        {
            "command": lambda step: step.name,
            "wall s": lambda step: f"{step.cost.wall_s:.1f}",
            "tiles/s": lambda step: f"{step.tiles / step.cost.wall_s:.1f}",
            "CPU s": lambda step: f"{step.cost.cpu_s:.0f}",
            "memory of all processes, MB": lambda step: f"{step.cost.peak_together / 1e6:.0f}",
            "of the largest, MB": lambda step: f"{max(step.cost.peak_by_kind.values()) / 1e6:.0f}",
        },
    )
