"""An import on real engines, and a training of what it made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.programs.launch import launch
from helpers.shards.import_sets import classes, image, labels, write_raster
from helpers.shards.shard_files import checksums

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
JOB = str(ROOT / "autolabel" / "import_job.py")


def run(*command: str, cwd: Path) -> str:
    """Standard output of a command of the environment that ends well."""
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = launch(command, cwd=cwd, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_imported_shards_are_the_same_bytes_whoever_makes_them(tmp_path: Path) -> None:
    for n in range(4):
        write_raster(tmp_path / "data" / "images" / f"s{n}.tif", np.tile(image(n), (15, 12, 1)))
        write_raster(tmp_path / "data" / "masks" / f"s{n}.tif", np.tile(labels(n, 3), (15, 12)))
    recipe = {"tiles": {"size": 64}, "classes": classes("water", "ice", "land")}
    (tmp_path / "recipe.yaml").write_text(repr(recipe).replace("'", '"'))
    arguments = ["folder", "data", "--recipe", "recipe.yaml"]
    spark = ["spark-submit", "--master", "local[2]", "--conf", "spark.ui.enabled=false", JOB]
    ranks = ["mpirun", "-n", "2", "--oversubscribe", sys.executable, "-m", "mpi4py.futures", JOB]
    told = [
        run("polynya", "import", *arguments, "--out", "processes", cwd=tmp_path),
        run(*spark, *arguments, "--out", "spark", cwd=tmp_path),
        run(*ranks, "--engine", "mpi", *arguments, "--out", "mpi", cwd=tmp_path),
    ]
    assert all("4 samples imported, 0 failed; 440 tiles = 440 labelled" in text for text in told)
    expected = checksums(tmp_path / "processes")
    assert expected == checksums(tmp_path / "spark") == checksums(tmp_path / "mpi")


@pytest.mark.slow
def test_a_training_learns_from_imported_labels(tmp_path: Path) -> None:
    for n in range(5):
        part = "val" if n == 4 else "."
        grey = np.repeat((labels(n, 3) * 100 + 20)[..., None], 3, axis=2)
        write_raster(tmp_path / "data" / part / "images" / f"s{n}.png", grey)
        write_raster(tmp_path / "data" / part / "masks" / f"s{n}.png", labels(n, 3))
    recipe = f"""
classes: {classes("water", "ice", "land")}
tiles: {{size: 32}}
split: {{held_out: "^val-"}}
imports: {{kind: folder, validation: val}}
model: {{filters: [4, 8], dropout: [0, 0]}}
training: {{epochs: 1, batch_size: 4}}
"""
    (tmp_path / "recipe.yaml").write_text(recipe)
    words = ["--recipe", "recipe.yaml"]
    run("polynya", "import", "folder", "data", "--out", "shards", *words, cwd=tmp_path)
    run("polynya", "train", "--shards", "shards", "--out", "model", *words, cwd=tmp_path)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Labels were made elsewhere and imported: kind `folder`." in card
    assert '"val-s4"' in (tmp_path / "model" / "split.json").read_text()
