"""Every command that writes a folder, on small inputs, for tests of what they all must keep."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import yaml
from conftest import ice_image
from rasterio.transform import from_origin
from typer.testing import CliRunner

from autolabel import label_image
from helpers.maps.inference_models import make_recipe, save_threshold_model
from polynya.cli import build_app
from polynya.recipe.recipe import Recipe

SIZE = 96
_RECIPE = {
    "tiles": {"size": 32},
    "label": {"method": "none"},
    "split": {"validation": 0.4},
    "model": {"filters": [4, 8], "dropout": [0, 0]},
    "training": {"epochs": 2, "batch_size": 4},
}


@dataclass(frozen=True)
class Inputs:
    """What the commands read."""

    folder: Path

    @property
    def scenes(self) -> Path:
        return self.folder / "scenes"

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def acquire(self) -> Path:
        return self.folder / "acquire.yaml"

    @property
    def imports(self) -> Path:
        return self.folder / "imports.yaml"

    @property
    def copies(self) -> Path:
        return self.folder / "copies.yaml"

    @property
    def shards(self) -> Path:
        return self.folder / "shards"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def maps(self) -> Path:
        return self.folder / "maps"


@dataclass(frozen=True)
class WritingCommand:
    """A command line that writes a folder."""

    words: Callable[[Inputs, Path], list[str]]
    """Arguments of `polynya` that write into a folder."""
    overwrite: bool = True
    """Whether it knows --overwrite."""
    alone: bool = False
    """Whether it needs a process of its own (threads of TensorFlow are set once a process)."""
    prepare: Callable[[Inputs, Path], object] = lambda inputs, out: None
    """What must be in the folder before."""


PROGRAM = Path(sys.executable).with_name("polynya")


def run_command(
    name: str, inputs: Inputs, out: Path, *more: str, largest_file: int | None = None
) -> tuple[int, str]:
    """Run a command to its end: its exit code and what it printed.

    Args:
        name: Of `COMMANDS`.
        inputs: What it reads.
        out: Where it writes.
        more: Further arguments.
        largest_file: No file gets larger, in bytes: what a full disk or a quota does.
    """
    words = [*COMMANDS[name].words(inputs, out), *more]
    if COMMANDS[name].alone:
        command, environment = [PROGRAM, *words], dict(os.environ)
        if largest_file is not None:
            command = ["prlimit", f"--fsize={largest_file}", *command]
            # What the coverage tool keeps of the program is larger.
            environment.pop("COVERAGE_PROCESS_CONFIG", None)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, before[1]))
    try:
        result = CliRunner().invoke(build_app(), words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return result.exit_code, result.output


def make_inputs(folder: Path) -> Inputs:
    """Scenes with truth, recipes, shards, a model, maps."""
    from conftest import label_here

    inputs = Inputs(folder)
    inputs.scenes.mkdir(parents=True)
    for number in range(3):
        image = ice_image(SIZE, SIZE, seed=number)
        _write(inputs.scenes / f"s{number}_clear.tif", image, nodata=0)
        truth = label_image(image, method="none")
        _write(inputs.scenes / f"s{number}_truth.tif", truth[..., None], nodata=255)
    inputs.recipe.write_text(yaml.safe_dump(_RECIPE))
    acquire = {"acquire": {"source": "files", "paths": [str(inputs.scenes / "s*_clear.tif")]}}
    inputs.acquire.write_text(yaml.safe_dump(acquire))
    names = {"kind": "folder", "images": "{stem}_clear.tif", "masks": "{stem}_truth.tif"}
    inputs.imports.write_text(yaml.safe_dump(_RECIPE | {"imports": names}))
    training = _RECIPE["training"] | {"augment": {"dihedral": True}}
    inputs.copies.write_text(yaml.safe_dump(_RECIPE | {"training": training}))
    label_here(
        Recipe.model_validate(_RECIPE), inputs.shards, *sorted(inputs.scenes.glob("*_clear.tif"))
    )
    save_threshold_model(inputs.model, make_recipe(32))
    words = ["predict", str(inputs.model), _scenes(inputs), "--out", str(inputs.maps)]
    predicted = CliRunner().invoke(build_app(), words)
    assert predicted.exit_code == 0, predicted.output
    return inputs


def _write(path: Path, pixels: np.ndarray, nodata: int) -> None:
    height, width, count = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype="uint8",
        crs="EPSG:3031", transform=from_origin(-300_000, -1_200_000, 10, 10), nodata=nodata,
    ) as target:  # fmt: skip
        target.write(np.moveaxis(pixels, -1, 0))


def _scenes(inputs: Inputs) -> str:
    return str(inputs.scenes / "s*_clear.tif")


COMMANDS = {
    "import": WritingCommand(
        lambda inputs, out: [
            *("import", "folder", str(inputs.scenes), "--out", str(out)),
            *("--recipe", str(inputs.imports), "--engine", "here", "--retries", "0"),
        ]
    ),
    "label": WritingCommand(
        lambda inputs, out: [
            *("label", "--scenes", _scenes(inputs), "--recipe", str(inputs.recipe)),
            *("--engine", "here", "--out", str(out)),
        ]
    ),
    "augment": WritingCommand(
        lambda inputs, out: [
            *("augment", str(inputs.shards), "--out", str(out)),
            *("--recipe", str(inputs.copies), "--copies", "1"),
        ],
    ),
    "export": WritingCommand(
        lambda inputs, out: ["export", "gym", str(inputs.shards), "--out", str(out)],
        overwrite=False,
    ),
    "submission": WritingCommand(
        lambda inputs, out: [
            *("submission", str(inputs.model), str(inputs.maps)),
            *("--out", str(out / "masks.csv")),
        ],
        overwrite=False,
    ),
    "onnx": WritingCommand(
        lambda inputs, out: [
            *("onnx", str(inputs.model), "--tile-size", "32", "--out", str(out / "model.onnx")),
        ],
        overwrite=False,
    ),
    "train": WritingCommand(
        lambda inputs, out: ["train", "--shards", str(inputs.shards), "--out", str(out)],
        alone=True,
    ),
    "predict": WritingCommand(
        lambda inputs, out: [
            *("predict", str(inputs.model), _scenes(inputs), "--out", str(out)),
            *("--products", "all"),
        ]
    ),
    "evaluate": WritingCommand(
        lambda inputs, out: [
            *("evaluate", "--scenes", _scenes(inputs), "--model", str(inputs.model)),
            *("--out", str(out)),
        ],
        overwrite=False,
    ),
    "tune": WritingCommand(
        lambda inputs, out: ["tune", str(out), "--scenes", _scenes(inputs)],
        overwrite=False,
        prepare=lambda inputs, out: shutil.copytree(inputs.model, out, dirs_exist_ok=True),
    ),
    "ensemble": WritingCommand(
        lambda inputs, out: [
            *("ensemble", str(inputs.model), str(inputs.model), "--out", str(out)),
        ],
    ),
    "label-next": WritingCommand(
        lambda inputs, out: [
            *("label-next", str(inputs.model), _scenes(inputs), "--out", str(out / "next.csv")),
        ],
        overwrite=False,
    ),
    "scenes": WritingCommand(
        lambda inputs, out: ["scenes", "--recipe", str(inputs.acquire), "--out", str(out)]
    ),
}
