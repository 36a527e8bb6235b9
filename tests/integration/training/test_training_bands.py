"""From scenes of any bands to maps: label, two ranks, products, by the commands."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from conftest import label_here
from rasterio.transform import from_origin

import polynya
from helpers.programs.launch import launch
from helpers.shards.tiny_shards import ice_pixels
from helpers.training.ranks import BIN, ROOT, environment, launch_command
from polynya.recipe.recipe import load_recipe
from polynya.shards.dataset import open_shards

SIZE = 64

CASES: dict[str, dict[str, Any]] = {
    # Bands of the file, its type, the number that means missing, and the recipe's section `scene`.
    "one band of bytes": {
        "names": ["grey"], "dtype": "uint8", "nodata": 0,
        "scene": {"inputs": ["grey"], "bands": ["grey", "grey", "grey"]},
        "features": {"scaling": "min_max"},
    },
    "five bands of Sentinel-2": {
        "names": ["B02", "B03", "B04", "B08", "B11"], "dtype": "uint16", "nodata": 0,
        "scene": {
            "inputs": ["red", "green", "nir", "swir16"], "scale": 0.004, "offset": -0.04,
        },
        "features": {"indices": ["NDVI", "NDSI"]},
    },
    "seven bands with gaps": {
        "names": ["swir16", "nir", "red", "green", "blue", "qa", "elevation"], "dtype": "int16",
        "nodata": -32768,
        "scene": {
            "inputs": ["swir16", "nir", "red", "green", "blue", "elevation"],
            "scale": 0.004, "offset": 0.0,
        },
        "features": {"scaling": "quantile", "fill": "minimum", "indices": ["NDWI"]},
    },
    "thirteen bands of floats": {
        "names": [f"b{n}" for n in range(1, 11)] + ["red", "green", "blue"], "dtype": "float32",
        "nodata": math.nan,
        "scene": {"inputs": list(range(1, 14)), "bands": ["red", "green", "blue"]},
        "features": {"statistics": "image"},
    },
}  # fmt: skip


def _write(path: Path, case: dict[str, Any], seed: int, order: list[int] | None = None) -> None:
    """A scene of ice whose colours are those of `ice_pixels`; the other bands are made of them."""
    grey = ice_pixels(SIZE, seed)[..., 0].astype(np.float32)
    pixels = np.stack([np.roll(grey, band, axis=0) for band in range(len(case["names"]))], axis=-1)
    is_color = [name in ("grey", "B02", "B03", "B04", "red", "green", "blue")
                for name in case["names"]]  # fmt: skip
    pixels[..., is_color] = grey[..., None]
    if case["dtype"] == "float32":
        pixels /= 255
    # Nothing of the first rows, and one band not of a patch.
    pixels[:3] = case["nodata"]
    if len(case["names"]) > 3:
        other = is_color.index(False)
        pixels[20:30, 20:30, other] = case["nodata"]
    order = order or list(range(len(case["names"])))
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE, width=SIZE, count=len(order),
        dtype=case["dtype"], nodata=case["nodata"], crs="EPSG:3031",
        transform=from_origin(0, 10 * SIZE * (seed + 1), 10, 10),
    ) as file:  # fmt: skip
        file.write(np.moveaxis(pixels[..., order], -1, 0).astype(case["dtype"]))
        file.descriptions = [case["names"][index] for index in order]


@pytest.mark.parametrize("name", CASES)
def test_from_scenes_of_any_bands_to_maps(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    recipe = tmp_path / "recipe.yaml"
    content = {
        "tiles": {"size": 32},
        "label": {"method": "none"},
        "scene": case["scene"],
        "features": case["features"],
        "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
        "training": {"epochs": 2, "batch_size": 4, "augment": {"dihedral": True, "rotation": 20.0}},
        "inference": {"window": 32, "overlap": 0.25},
    }
    recipe.write_text(yaml.safe_dump(content))
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for seed in range(4):
        _write(scenes / f"s{seed}.tif", case, seed)
    shards, model, maps = (tmp_path / part for part in ("shards", "model", "maps"))

    label_here(load_recipe(recipe), shards, *sorted(scenes.iterdir()))
    images, labels = open_shards(shards).load(["s0"], 32)
    assert images.shape[-1] == len(case["scene"]["inputs"])
    assert images.dtype == np.float32
    # Nothing of the first three rows: no value and no label.
    assert np.isnan(images[:2, :3]).all()
    assert (labels[:2, :3] == 255).all()
    assert (labels[:2, 3:] != 255).all()

    command = launch_command("gloo", 2, "--shards", str(shards), "--out", str(model))
    done = launch(command, cwd=ROOT, env=environment(), timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Weights identical on 2 ranks" in done.stdout

    trained = polynya.load_model(model)
    scene = polynya.open_scene(scenes / "s0.tif", trained.recipe.scene)
    codes = polynya.predict_scene(trained, scene).codes
    assert (codes[:3] == 255).all()
    assert (codes[3:] != 255).all()
    if name != "five bands of Sentinel-2":
        return
    # Bands in another order give the same map; a scene that lacks a band is one sentence.
    other = tmp_path / "other"
    other.mkdir()
    _write(other / "s0.tif", case, 0, [4, 2, 0, 1, 3])
    _write(other / "s1.tif", case, 1, [0, 1, 2, 4])
    done = launch(
        [
            *(str(BIN / "polynya"), "predict", str(model), str(other)),
            *("--out", str(maps), "--products", "all"),
        ],
        cwd=ROOT,
        env=environment(),
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "s1.tif has no band 'nir'" in said.replace("\n", " ")
    assert "Traceback" not in said
    with rasterio.open(maps / "s0.tif") as file:
        assert (file.read(1) == codes).all()
    item = json.loads(next(maps.glob("model_*.json")).read_text())
    bands = ["red", "green", "nir", "swir16"]
    assert item["properties"]["mlm:input"][0]["bands"] == bands
    assert item["properties"]["mlm:input"][0]["input"]["shape"] == [-1, -1, -1, 4]
    card = (model / "README.md").read_text()
    assert "of the bands red, green, nir, swir16" in card
    assert "Indices: NDVI, NDSI." in card
