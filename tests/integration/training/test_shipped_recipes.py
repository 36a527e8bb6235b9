"""Each recipe that ships trains on two ranks, on a small generated set of its own kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.transform import from_origin

from data_samples.clouds import TABLE, write_clouds
from data_samples.kelp import write_kelp
from helpers.maps.inference_commands import run
from helpers.programs.launch import launch
from helpers.shards.gym_sets import write_gym_set
from helpers.shards.import_sets import landcover, loveda
from helpers.training.ranks import ROOT, environment
from polynya.recipe.recipe import load_recipe
from polynya.recipe.shipped import shipped_recipes
from training.model_folder.folder import load_model

WITHOUT_STUDY = ("after_filter", "ross_sea_2019", "through_cloud")
"""Recipes of Polynya's own models, and one that only gets scenes."""


def _sea_ice(folder: Path) -> list[str]:
    for number in range(5):
        with rasterio.open(
            folder / f"s{number}.tif", "w", driver="GTiff", height=64, width=64, count=3,
            dtype="uint8", crs="EPSG:3031", transform=from_origin(640 * number, 0, 10, 10),
        ) as file:  # fmt: skip
            file.write(np.moveaxis(ice_image(64, 64, seed=number), -1, 0))
    return ["label", "--scenes", str(folder)]


def _coast_train(folder: Path) -> list[str]:
    return ["import", "gym", str(write_gym_set(folder / "set", bands=5))]


def _kelp(folder: Path) -> list[str]:
    write_kelp(folder, 0, 8, size=64, each=0)
    return ["import", "kelp", str(folder)]


def _cloud_structures(folder: Path) -> list[str]:
    write_clouds(folder, 0, 6, (70, 105))
    return ["import", "rle", str(folder / TABLE), "--set", "imports.size=[32, 32]"]


def _land_cover(folder: Path) -> list[str]:
    landcover(folder)
    return ["import", "landcover", str(folder)]


def _loveda(folder: Path) -> list[str]:
    return ["import", "loveda", str(loveda(folder).source)]


_SKINNY = ["model.filters=[4, 4, 4, 4, 4, 4, 4]"]
RECIPES: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "sea_ice": (_sea_ice, ["model.filters=[4, 4, 4]", "model.dropout=[0.1, 0.2, 0.3]"]),
    "coast_train": (_coast_train, ["model.filters=2", "inference.size=[32, 32]"]),
    "kelp": (
        _kelp,
        ["model.encoder=resnet18", "model.encoder_width=0.125", "training.sampling.samples=8"],
    ),
    "cloud_structures": (_cloud_structures, ["model.filters=2", "inference.size=[32, 32]"]),
    "land_cover": (_land_cover, _SKINNY),
    "loveda": (_loveda, _SKINNY),
}  # fmt: skip
"""How the shards of a recipe are made, and its keys that make it small."""
SMALL = ["tiles.size=32", "inference.window=32", "training.epochs=1", "training.batch_size=2"]


def test_each_recipe_trains_on_two_ranks(tmp_path: Path) -> None:
    assert set(RECIPES) == set(shipped_recipes()) - set(WITHOUT_STUDY)
    for name, (make, smaller) in RECIPES.items():
        source = tmp_path / name / "data"
        source.mkdir(parents=True)
        settings = [word for text in (*SMALL, *smaller) for word in ("--set", text)]
        words = [*make(source), "--out", tmp_path / name / "shards", "--engine", "here"]
        run(*words, "--recipe", name, *settings)
    command = [sys.executable, "tests/helpers/training/several_runs.py"]
    done = launch(
        ["horovodrun", "--gloo", "-np", "2", *command, *(str(tmp_path / name) for name in RECIPES)],
        cwd=ROOT,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in RECIPES:
        trained = load_model(tmp_path / name / "model")
        shipped = load_recipe(name)
        assert trained.recipe.model.name == shipped.model.name
        assert trained.recipe.training.loss == shipped.training.loss
        history = (tmp_path / name / "model" / "history.csv").read_text().splitlines()
        assert len(history) == 2
        assert float(history[1].split(",")[2]) == pytest.approx(1.0, abs=5.0)
