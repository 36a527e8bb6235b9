"""Labels of Segmentation Gym, all the way: import, copies, training, scores by site, export."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from autolabel.importers.gym import npz_content, npz_name
from helpers.maps.inference_commands import run
from helpers.programs.launch import launch
from helpers.shards.gym_loader import load_gym
from helpers.training.ranks import ROOT, environment, launch_command
from polynya.recipe.classes import ClassScheme
from polynya.shards.dataset import open_shards

SITES, IMAGES, SIZE = ("beach", "cliff", "marsh"), 4, 32
FINE, COARSE = 11, 4
"""Classes before and after the remap."""
OF_FINE = [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, None]
"""Coarse class of each fine one; the last becomes no data."""


def _scheme(count: int) -> dict[str, object]:
    classes = [
        {"code": n, "name": f"c{n}", "title": f"C{n}", "color": [20 * n, 9, 250 - 20 * n]}
        for n in range(count)
    ]
    return {"name": f"coast-{count}", "classes": classes}


def _write(folder: Path) -> dict[str, np.ndarray]:
    """Images of five bands that show the coarse class; returns the fine labels by name."""
    made = {}
    levels = np.array([30, 90, 150, 210, 5])
    for s, site in enumerate(SITES):
        for number in range(IMAGES):
            rng = np.random.default_rng([s, number])
            fine = np.kron(rng.integers(0, FINE, (4, 4)), np.ones((8, 8), int)).astype(np.uint8)
            coarse = np.array([4 if c is None else c for c in OF_FINE])[fine]
            image = levels[coarse][..., None] + rng.integers(-9, 10, (SIZE, SIZE, 5)) + 5 * s + 10
            part = "val" if number == IMAGES - 1 else "train"
            path = folder / f"{part}_data" / f"{part}_npzs" / npz_name(site, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            scheme = ClassScheme.model_validate(_scheme(FINE))
            path.write_bytes(npz_content(image.astype(np.uint8), fine, scheme, [f"{site}.jpg"]))
            made[path.stem] = fine
    return made


@pytest.mark.slow
def test_gym_labels_are_imported_copied_learnt_scored_by_site_and_exported(tmp_path: Path) -> None:
    fine = _write(tmp_path / "gym")
    recipe = tmp_path / "recipe.yaml"
    codes = {str(n): None if c is None else f"c{c}" for n, c in enumerate(OF_FINE)}
    content = {
        "classes": _scheme(COARSE),
        "scene": {"inputs": [1, 2, 3, 4, 5]},
        "tiles": {"size": SIZE},
        "imports": {"kind": "gym", "codes": codes},
        "split": {"held_out": "^val-"},
        "model": {"filters": [8, 16], "dropout": [0.0, 0.0]},
        "training": {
            "epochs": 6, "batch_size": 4, "learning_rate": 0.01,
            "learning_rate_scaling": "none", "augment": {"dihedral": True, "rotation": 10.0},
        },
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(content))
    shards, more, model = (tmp_path / name for name in ("shards", "more", "model"))

    run("import", "gym", tmp_path / "gym", "--out", shards, "--recipe", recipe, "--engine", "here")
    said = run("augment", shards, "--out", more, "--copies", 5).output
    train, validate = len(SITES) * (IMAGES - 1), len(SITES)
    assert f"{train + validate} tiles and {5 * train} copies of those that train" in said

    command = launch_command("gloo", 2, "--shards", str(more), "--out", str(model))
    done = launch(command, cwd=ROOT, env=environment(), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Weights identical on 2 ranks" in done.stdout

    words = ("--shards", more, "--model", model, "--out", tmp_path / "scores")
    run("evaluate", *words, "--site", "^val-([a-z]+)")
    with (tmp_path / "scores" / "sites.csv").open() as file:
        rows = {row["site"]: row for row in csv.DictReader(file)}
    assert set(rows) == {*SITES, "all"}
    assert {row["tiles"] for name, row in rows.items() if name != "all"} == {"1"}
    assert float(rows["all"]["mean Dice"]) > 70
    assert all(0 <= float(rows[site]["mean Dice"]) <= 100 for site in SITES)

    run("export", "gym", more, "--out", tmp_path / "out")
    learnt, copies = (load_gym(tmp_path / "out", "train", mode) for mode in ("noaug", "aug"))
    validating = load_gym(tmp_path / "out", "val")
    assert (len(learnt.names), len(copies.names), len(validating.names)) == (train, 45, validate)
    assert learnt.labels.shape[1:] == (SIZE, SIZE, COARSE)
    assert learnt.images.shape[1:] == copies.images.shape[1:] == (SIZE, SIZE, 5)
    # The labels are the old ones in the new classes, and the images what they were.
    before = {name: n for part in ("train", "val") for n in [load_gym(tmp_path / "gym", part)]
              for name in n.names}  # fmt: skip
    for found in (learnt, validating):
        for name, image, label in zip(found.names, found.images, found.labels, strict=True):
            for c in range(COARSE):
                wanted = np.isin(fine[name], [n for n, to in enumerate(OF_FINE) if to == c])
                np.testing.assert_array_equal(label[..., c], wanted)
            source = before[name]
            np.testing.assert_array_equal(image, source.images[source.names.index(name)])
    assert len(open_shards(more).scene_ids) == train + validate + 5 * train
