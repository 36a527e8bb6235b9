"""From bands of a sensor and masks that people drew to shards, by the commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import yaml

from helpers.programs.launch import launch
from helpers.shards.shard_files import manifest
from polynya.shards.dataset import open_shards

POLYNYA = str(Path(sys.executable).parent / "polynya")
BANDS = ("blue", "green", "red", "nir", "swir16")
NODATA = -32768
RECIPE = {
    "classes": {
        "name": "surface",
        "kind": "masks",
        "classes": [
            {"code": 0, "name": "water", "title": "Water", "color": [0, 0, 255]},
            {"code": 1, "name": "pond", "title": "Melt pond", "color": [0, 255, 0]},
            {"code": 2, "name": "cloud", "title": "Cloud", "color": [255, 0, 0]},
        ],
    },
    "scene": {"inputs": ["red", "nir", "swir16", "green", "blue"], "scale": 0.0001},
    "tiles": {"size": 64},
    "label": {"raster": "{stem}_labels.tif"},
}


def test_masks_and_five_bands_become_shards(tmp_path, write_scene):
    pixels = np.random.default_rng(5).integers(1, 9000, (64, 96, 5)).astype(np.int16)
    pixels[0, :10] = NODATA
    masks = np.zeros((64, 96, 3), np.uint8)
    masks[:32, :, 0] = 1
    masks[:, :16, 1] = 1
    masks[16:48, 48:, 2] = 1
    masks[60:, :, 2] = 255
    for name in ("a", "b"):
        write_scene(f"scenes/{name}.tif", pixels, descriptions=BANDS, nodata=NODATA)
    write_scene("scenes/a_labels.tif", masks)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))

    def run(*command: str):
        return launch([POLYNYA, *command], cwd=tmp_path, env=dict(os.environ), timeout=300)

    label = ["label", "--scenes", "scenes", "--recipe", "recipe.yaml", "--out", "out",
             "--pictures"]  # fmt: skip
    done = run(*label, "--retries", "0")
    assert done.returncode == 1
    assert "b.tif has no labels" in done.stderr
    rows = manifest(tmp_path / "out")
    assert {name: row["status"] for name, row in rows.items()} == {"a": "done", "b": "failed"}
    assert rows["a"]["class_pixels"] == "water=3062 pond=950 cloud=1536"
    assert rows["a"]["valid_pixels"] == str(64 * 96 - 10)
    assert rows["a"]["veiled_pixels"] == ""

    left, right = ds.dataset(tmp_path / "out").to_table().sort_by("col").to_pylist()
    assert left["label_source"] == "raster/{stem}_labels.tif"
    assert left["veiled_share"] is None
    # Water has 32 rows, ponds 60 known ones; 10 pixels of both have no data.
    assert left["class_counts"] == [32 * 64 - 10, 60 * 16 - 10, 32 * 16]
    assert left["valid_share"] == (64 * 64 - 4 * 64 - 10) / (64 * 64)
    assert right["class_counts"] == [32 * 32, 0, 32 * 32]
    assert right["valid_share"] == 60 / 64
    assert left["dtype"] == "int16"

    _, labels = open_shards(tmp_path / "out").load(["a"], 64)
    places = {(20, 5): 3, (20, 50): 5, (40, 50): 4, (40, 5): 2, (50, 30): 0, (61, 5): 255,
              (0, 3): 255, (5, 30): 1}  # fmt: skip
    assert {place: int(labels[0][place]) for place in places} == places
    assert labels[1][20, :32].tolist() == [5] * 32
    assert (labels[1][:, 32:] == 255).all()

    write_scene("scenes/b_labels.tif", np.zeros((64, 96, 3), np.uint8))
    done = run(*label)
    assert done.returncode == 0, done.stderr
    assert "2 scenes labelled (1 of them before), 0 failed" in done.stdout
    assert {path.name for path in (tmp_path / "out/_pictures").glob("*.png")} == {"a.png", "b.png"}
    done = run("look", "out")
    assert done.returncode == 0, done.stderr
    assert "a: 2 tiles; Water 49.8%, Melt pond 15.5%, Cloud 25.0%, no label 6.4%" in done.stdout
    assert "b: 2 tiles; Water 0.0%, Melt pond 0.0%, Cloud 0.0%, no label 0.2%" in done.stdout
    # Of 5750 + 6134 labelled pixels.
    assert "under: Water 25.8%, Melt pond 8.0%, Cloud 12.9%" in done.stdout
