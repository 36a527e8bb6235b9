"""What commands say: their own lines and nothing of the libraries, also where nothing is activated.

Programs are started by their path, in an environment that holds nothing but a home and the system's
programs.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import WriteScene, ice_image

from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from helpers.programs.launch import launch
from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import BIN, ROOT, model_arguments
from polynya.recipe.recipe import parse_recipe

TRAINING = {
    "tiles": {"size": 32},
    "split": {"validation": 0.5},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 1, "batch_size": 2, "augment": {"dihedral": True, "rotation": 10}},
}


def run(program: str, *words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program of `.venv/bin` in a shell where nothing is activated."""
    bare = {"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin"}
    return launch([str(BIN / program), *map(str, words)], cwd=cwd, env=bare, timeout=600)


def strange(text: str, *own: str) -> list[str]:
    """Lines that begin with none of these."""
    return [line for line in text.splitlines() if not re.match("|".join(own) or "$", line)]


def test_labelling_on_spark_says_only_its_own_lines(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    scene = write_scene("s.tif", ice_image(256, 256))
    job = ROOT / "autolabel/job.py"
    submitted = run("spark-submit", job, "--scenes", scene, "--out", "one", cwd=tmp_path)
    assert submitted.returncode == 0, submitted.stderr
    assert "1 scenes labelled, 0 failed" in submitted.stdout
    assert strange(submitted.stdout, "Opening", "Labelling", "1 scenes") == []
    assert submitted.stderr == ""

    words = ("label", "--engine", "spark", "--scenes", scene, "--out", "two")
    started = run("polynya", *words, cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    assert strange(started.stderr, "Opening", "Labelling") == []


def test_an_error_of_spark_is_still_seen(tmp_path: Path) -> None:
    done = run("spark-submit", "--master", "spark://localhost:1", tmp_path / "no.py")
    assert done.returncode != 0
    assert "no.py" in done.stderr + done.stdout


@pytest.mark.parametrize("backend", ["keras", "openvino"])
def test_maps_of_photographs_and_scenes_say_only_their_progress(
    tmp_path: Path, write_scene: WriteScene, backend: str
) -> None:
    write_scene("scenes/s.tif", ice_image(64, 80))
    cv2.imwrite(str(tmp_path / "scenes/photo.png"), ice_image(70, 64))
    save_unet(tmp_path / "model", make_recipe(32))
    words = ("model", "scenes", "--out", "maps", "--backend", backend)
    done = run("polynya", "predict", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 scenes mapped")
    assert strange(done.stderr, "Predicting (s|photo): ") == []


def test_an_ensemble_is_made_without_a_note(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_threshold_model(tmp_path / name, make_recipe())
    done = run("polynya", "ensemble", "a", "b", "--out", "both", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_ranks_say_only_their_own_lines_and_their_errors(tmp_path: Path) -> None:
    write_tiny_shards(tmp_path / "shards", parse_recipe(TRAINING, source="test"))
    start = ("--gloo", "-np", 2, "python", "training/train.py")
    done = run("horovodrun", *start, *model_arguments(tmp_path, "model", TRAINING))
    assert done.returncode == 0, done.stdout + done.stderr
    assert strange(done.stderr, r"\[0\]<stderr>:(Decoding|Epoch|Training|Look at this model)") == []
    assert strange(done.stdout, r"\[0\]<stdout>:") == []
    assert "horovodrun --gloo -np 2 python training/train.py" in done.stdout

    done = run("horovodrun", *start, "--shards", tmp_path / "none", "--out", tmp_path / "more")
    assert done.returncode != 0
    assert "[0]<stderr>:Error: " in done.stderr
    assert "exited with non-zero status" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_spark_starts_the_java_of_java_home(tmp_path: Path) -> None:
    java = tmp_path / "bin/java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\necho "this one: $*" >&2\nexit 3\n', encoding="utf-8")
    java.chmod(0o755)
    settings = (Path(np.__file__).parents[1] / "pyspark/conf/spark-env.sh").read_text()
    if "JAVA_HOME/bin/java" not in settings:
        pytest.skip("this machine had no Java at `make setup`, so that of the wheel is started")
    done = launch(
        [str(BIN / "spark-submit"), "--version"],
        cwd=tmp_path,
        env={"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin", "JAVA_HOME": str(tmp_path)},
        timeout=60,
    )
    assert "this one: " in done.stderr
