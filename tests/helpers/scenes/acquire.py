"""Running `polynya scenes` in tests, and comparing what came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import Result
from typer.testing import CliRunner

from polynya.cli import build_app
from polynya.rasters.opening import opened_raster
from polynya.scenes.reading import open_scene, read_scene


def write_recipe(folder: Path, **acquire: Any) -> Path:
    """A recipe with the section `acquire`."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"acquire": json.loads(json.dumps(acquire, default=str))}))
    return path


def run_scenes(recipe: Path, out: Path | None, *more: str) -> Result:
    """Run the command in this process."""
    to = [] if out is None else ["--out", str(out)]
    command = ["scenes", "--recipe", str(recipe), *to, *more]
    return CliRunner().invoke(build_app(), command, catch_exceptions=False)


def get_scenes(folder: Path, out: Path, *more: str, **acquire: Any) -> list[Path]:
    """Run the command, which must succeed; the scene files in order."""
    result = run_scenes(write_recipe(folder, **acquire), out, *more)
    assert result.exit_code == 0, result.output
    return scene_files(out)


def scene_files(out: Path) -> list[Path]:
    """Scene files of a folder in order."""
    return sorted(path for path in out.iterdir() if path.suffix in (".tif", ".vrt"))


def image_of(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """8-bit image and validity of a scene file, as labelling reads them, without a recipe."""
    return read_scene(open_scene(str(path)))


def interpolated(coarse: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear values between the centres of large pixels, and where all neighbours have data."""
    edge = len(coarse)
    place = (np.arange(edge * factor) + 0.5) / factor - 0.5
    first = np.floor(place).astype(int)
    weight = place - first
    first, second = np.clip(first, 0, edge - 1), np.clip(first + 1, 0, edge - 1)

    def along_rows(values: np.ndarray) -> np.ndarray:
        return values[first] * (1 - weight)[:, None] + values[second] * weight[:, None]

    def both(values: np.ndarray) -> np.ndarray:
        return along_rows(along_rows(values.astype(float)).T).T

    return both(coarse), both(coarse > 0) > 1 - 1e-9


def reflectance_of(path: Path | str) -> np.ndarray:
    """Reflectance of all bands, NaN where there is no data."""
    with opened_raster(str(path)) as source:
        numbers = source.read(masked=True)
        scales = np.array(source.scales)[:, None, None]
        offsets = np.array(source.offsets)[:, None, None]
    return np.ma.filled(numbers * scales + offsets, np.nan)
