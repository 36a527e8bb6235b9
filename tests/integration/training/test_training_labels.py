"""Labels of each kind from rasters to shards, a model of two ranks, maps and scores, by commands.

What is expected is worked out here from the labels that the scenes were given, with NumPy alone.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import rasterio
import yaml
from conftest import label_here
from numpy.typing import NDArray
from rasterio.transform import from_origin

from helpers.programs.launch import launch
from helpers.schemes import scheme_of
from helpers.training.ranks import BIN, ROOT, environment, launch_command
from inference.products.class_map import read_map
from polynya.recipe.recipe import load_recipe
from polynya.shards.dataset import open_shards
from training.metrics.confusion import confusion_of

SIZE, TILE = 64, 32
NO_DATA_ROWS, UNKNOWN_COLUMNS = 3, 5

CASES: dict[str, dict[str, Any]] = {
    "two classes on colours": {
        "classes": (2, "exclusive"), "bands": ["red", "green", "blue"], "dtype": "uint8",
        "nodata": 0, "scene": {},
    },
    "eleven classes on thirteen bands of floats": {
        "classes": (11, "exclusive"), "bands": [f"b{n}" for n in range(1, 14)],
        "dtype": "float32", "nodata": math.nan,
        "scene": {"inputs": list(range(1, 14)), "bands": [1, 2, 3]},
    },
    "one mask on seven bands with gaps": {
        "classes": (1, "masks"), "dtype": "int16", "nodata": -32768,
        "bands": ["swir16", "nir", "red", "green", "blue", "qa", "elevation"],
        "scene": {"inputs": ["swir16", "nir", "red", "green", "blue", "elevation"],
                  "scale": 0.0001, "offset": 0},
    },
    "three masks on five bands": {
        "classes": (3, "masks"), "bands": ["B02", "B03", "B04", "B08", "B11"], "dtype": "uint16",
        "nodata": 0,
        "scene": {"inputs": ["blue", "green", "red", "nir", "swir16"], "scale": 0.0001,
                  "offset": 0},
    },
}  # fmt: skip


def _planes(n: int, kind: str, seed: int) -> NDArray[np.uint8]:
    """What a raster of labels holds, (bands, SIZE, SIZE): blocks of 8 pixels, 255 where unknown."""
    rng = np.random.default_rng(seed)
    bands, codes = (n, 2) if kind == "masks" else (1, n)
    blocks = rng.integers(0, codes, (bands, SIZE // 8, SIZE // 8))
    planes = np.kron(blocks, np.ones((1, 8, 8), int)).astype(np.uint8)
    planes[..., -UNKNOWN_COLUMNS:] = 255
    return planes


def _pixels(case: dict[str, Any], seed: int) -> NDArray[Any]:
    """Numbers of the scene's file, (bands, SIZE, SIZE)."""
    planes = _planes(*case["classes"], seed)
    # Each band is brighter where the labels say so, in another way than the band before it.
    weight = np.arange(1, len(case["bands"]) + 1)[:, None, None]
    number = sum((plane + k) * (k + 1) for k, plane in enumerate(planes % 255))
    pixels = (number * 17 * weight + 40) % 200 + 20.0
    if case["dtype"] != "uint8":
        pixels *= 40
    if case["dtype"] == "float32":
        pixels /= 8000
    pixels[:, :NO_DATA_ROWS] = case["nodata"]
    if len(pixels) > 3:
        pixels[1, 20:30, 20:30] = case["nodata"]
    return pixels.astype(case["dtype"])


def _write(path: Path, case: dict[str, Any], seed: int) -> None:
    pixels, planes = _pixels(case, seed), _planes(*case["classes"], seed)
    place = {
        "driver": "GTiff", "height": SIZE, "width": SIZE, "crs": "EPSG:3031",
        "transform": from_origin(0, 10 * SIZE * (seed + 1), 10, 10),
    }  # fmt: skip
    with rasterio.open(
        path, "w", count=len(pixels), dtype=case["dtype"], nodata=case["nodata"], **place
    ) as file:
        file.write(pixels)
        file.descriptions = case["bands"]
    for name in (f"{path.stem}_labels.tif", f"{path.stem.rpartition('_')[0]}_truth.tif"):
        with rasterio.open(
            path.with_name(name), "w", count=len(planes), dtype="uint8", **place
        ) as file:
            file.write(planes)


def _expected(case: dict[str, Any], seed: int) -> NDArray[np.uint8]:
    """Labels that shards must have: bits for masks, 255 where there is no data or no label."""
    n, kind = case["classes"]
    planes = _planes(n, kind, seed)
    bits = 2 ** np.arange(len(planes))[:, None, None] if kind == "masks" else 1
    labels = np.where(planes[0] == 255, 255, (planes * bits).sum(axis=0))
    labels[:NO_DATA_ROWS] = 255
    return labels.astype(np.uint8)


def _run(*words: object) -> str:
    command = [str(BIN / "polynya"), *map(str, words)]
    done = launch(command, cwd=ROOT, env=environment(), timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CASES)
def test_from_labels_of_any_kind_to_maps_and_scores(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    scheme = scheme_of(*case["classes"])
    content = {
        "seed": 2,
        "classes": scheme.model_dump(mode="json"),
        "tiles": {"size": TILE},
        "scene": case["scene"],
        "label": {"raster": "{stem}_labels.tif"},
        "split": {"validation": 0.25},
        "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
        "training": {"epochs": 2, "batch_size": 4, "augment": {"dihedral": True, "rotation": 20.0}},
        "inference": {
            "window": 32, "overlap": 0.25,
            "concentration": {"cell": 160, "ice": {"total": list(scheme.names[-2:])}},
        },
    }  # fmt: skip
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(content))
    scenes, shards, model, maps = (tmp_path / p for p in ("scenes", "shards", "model", "maps"))
    scenes.mkdir()
    for seed in range(4):
        _write(scenes / f"s{seed}_clear.tif", case, seed)
    expected = {f"s{seed}_clear": _expected(case, seed) for seed in range(4)}

    # === Shards ===
    label_here(load_recipe(recipe), shards, *sorted(scenes.glob("*_clear.tif")))
    data = open_shards(shards)
    for scene, wanted in expected.items():
        _, labels = data.load([scene], TILE)
        assert (labels.reshape(2, 2, TILE, TILE).swapaxes(1, 2).reshape(SIZE, SIZE) == wanted).all()
    known = sum(int((wanted != 255).sum()) for wanted in expected.values())
    counts, labelled = data.class_counts(data.scene_ids)
    assert labelled == known == 4 * (SIZE - NO_DATA_ROWS) * (SIZE - UNKNOWN_COLUMNS)
    assert counts.tolist() == [
        sum(
            int(((w >> code & 1 == 1) if scheme.has_masks else w == code)[w != 255].sum())
            for w in expected.values()
        )
        for code in scheme.codes
    ]
    if "inputs" in case["scene"]:
        table = ds.dataset(shards).to_table(["band_pixels", "band_means"]).to_pylist()
        pixels = np.sum([row["band_pixels"] for row in table], axis=0)
        all_there = 4 * (SIZE - NO_DATA_ROWS) * SIZE
        assert pixels.tolist() == [
            all_there - (400 if index == 1 else 0) for index in range(len(pixels))
        ]
        totals = sum(np.multiply(row["band_pixels"], row["band_means"]) for row in table)
        numbers = np.stack([_pixels(case, seed) for seed in range(4)], axis=1).astype(float)
        numbers[numbers == case["nodata"]] = np.nan
        seen = [index for index, name in enumerate(case["bands"]) if name != "qa"]
        means = np.nanmean(numbers, axis=(1, 2, 3))[seen] * case["scene"].get("scale", 1)
        assert totals / pixels == pytest.approx(means, rel=1e-5)

    # === Two ranks ===
    command = launch_command("gloo", 2, "--shards", str(shards), "--out", str(model))
    done = launch(command, cwd=ROOT, env=environment(), timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Weights identical on 2 ranks" in done.stdout
    metrics = json.loads((model / "metrics.json").read_text())["validation"]
    confusion = np.array(metrics["confusion"])
    (held,) = json.loads((model / "split.json").read_text())["validation"]
    wanted = expected[held]
    assert confusion.sum() == known // 4 * (scheme.n_classes if scheme.has_masks else 1)
    if scheme.has_masks:
        present = [int((wanted[wanted != 255] >> code & 1).sum()) for code in scheme.codes]
        assert confusion[:, 1].sum(axis=1).tolist() == present
    else:
        assert confusion.sum(axis=1).tolist() == [int((wanted == c).sum()) for c in scheme.codes]
    card = (model / "README.md").read_text()
    assert "Labels come from rasters beside the scenes: `{stem}_labels.tif`" in card

    # === Maps, products, scores ===
    path = scenes / f"{held}.tif"
    _run("predict", model, path, "--out", maps, "--products", "all")
    labels = read_map(maps / f"{held}.tif")
    assert ((labels == 255) == (np.arange(SIZE) < NO_DATA_ROWS)[:, None]).all()
    assert labels[NO_DATA_ROWS:].max() < scheme.n_labels
    with rasterio.open(maps / f"{held}.tif") as file:
        assert file.count == (scheme.n_classes if scheme.has_masks else 1)
    with rasterio.open(maps / f"{held}_probability.tif") as file:
        assert file.count >= scheme.n_classes
    (row,) = csv.DictReader((maps / "summary.csv").read_text().splitlines())
    valid = (SIZE - NO_DATA_ROWS) * SIZE
    for code, class_name in enumerate(scheme.names):
        inside = (labels >> code & 1 == 1) if scheme.has_masks else labels == code
        share = float(row[f"{class_name}_share"])
        assert share == pytest.approx((inside & (labels != 255)).sum() / valid, abs=1e-4)

    said = _run("evaluate", "--scenes", path, "--model", model, "--maps", maps, "--out",
                tmp_path / "scores")  # fmt: skip
    counted = confusion_of(wanted, labels, scheme)
    right = counted.trace(axis1=-2, axis2=-1).sum() / counted.sum()
    assert f"{100 * right:.2f}" in said
