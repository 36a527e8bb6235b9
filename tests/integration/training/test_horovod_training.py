"""Training on several ranks: real launchers, real Horovod, tiny models."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from helpers.programs.launch import launch
from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import ROOT, environment, launch_command, losses, model_arguments
from polynya.recipe.recipe import parse_recipe

# Tiles with very different shares of nodata: a mean of the ranks' means would differ.
NODATA_SHARES = (0.0, 0.9, 0.5, 0.0, 0.97, 0.2) * 3

RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.2},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {
        "epochs": 5,
        "batch_size": 8,
        "learning_rate": 0.005,
        "learning_rate_scaling": "none",
        "shuffle": False,
    },
}


def _launch(launcher: str, ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = launch_command(launcher, ranks, *arguments)
    return launch(command, cwd=ROOT, env=environment(), timeout=900)


def _train(
    folder: Path,
    launcher: str,
    ranks: int,
    name: str = "",
    model: dict[str, Any] = RECIPE["model"],
    **training: Any,
) -> Path:
    """Train on the shards of `folder` and return the model folder."""
    content = {**RECIPE, "model": model, "training": {**RECIPE["training"], **training}}
    out = folder / f"{launcher}-{ranks}{name}"
    result = _launch(launcher, ranks, *model_arguments(folder, out.name, content))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Weights identical on {ranks} rank" in result.stdout
    return out


def _weights(model: Path) -> list[np.ndarray]:
    return keras.saving.load_model(model / "model.keras", compile=False).get_weights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of eighteen scenes, four tiles each."""
    path = tmp_path_factory.mktemp("horovod")
    write_tiny_shards(
        path / "shards", parse_recipe(RECIPE, source="test"), nodata_shares=NODATA_SHARES
    )
    return path


@pytest.fixture(scope="module")
def one_rank(folder: Path) -> Path:
    """The model of one rank with the global batch of two."""
    return _train(folder, "alone", 1, batch_size=32)


def test_two_ranks_follow_the_loss_curve_of_one(folder: Path, one_rank: Path) -> None:
    two_ranks = _train(folder, "mpirun", 2, batch_size=8, accumulate=2, jit=True)
    provenance = json.loads((two_ranks / "provenance.json").read_text())
    assert provenance["ranks"] == "2"
    assert len(losses(one_rank)) == 10
    assert losses(two_ranks) == pytest.approx(losses(one_rank), abs=1e-5)
    for one, two in zip(_weights(one_rank), _weights(two_ranks), strict=True):
        assert two == pytest.approx(one, abs=1e-4)


def test_a_loss_of_sums_over_the_global_batch_is_that_of_one_rank(folder: Path) -> None:
    terms = [{"loss": "binary_crossentropy"}, {"loss": "dice"}]
    options = {"loss": {"name": "sum", "terms": terms}, "epochs": 3, "jit": True}
    one = _train(folder, "alone", 1, name="-dice", batch_size=32, **options)
    two = _train(folder, "mpirun", 2, name="-dice", batch_size=16, **options)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    for first, second in zip(_weights(one), _weights(two), strict=True):
        assert second == pytest.approx(first, abs=1e-4)


def test_synchronised_batch_normalisation_is_that_of_one_rank(folder: Path) -> None:
    model = {**RECIPE["model"], "batch_norm": "synchronised"}
    options: dict[str, Any] = {"epochs": 10, "model": model}
    one = _train(folder, "alone", 1, name="-norm", batch_size=32, **options)
    two = _train(folder, "mpirun", 2, name="-norm", batch_size=16, **options)
    assert len(losses(one)) == 20
    assert losses(two) == pytest.approx(losses(one), abs=1e-4)


def test_local_batch_normalisation_ends_with_the_same_statistics_on_all_ranks(folder: Path) -> None:
    # `_train` looks for the sentence that says so of all weights; a run compares those of a mean.
    model = {**RECIPE["model"], "batch_norm": "local"}
    options: dict[str, Any] = {"epochs": 3, "model": model, "jit": True}
    options |= {"averaging": {"start_epoch": 1}, "schedule": {"name": "plateau", "epochs": 1}}
    out = _train(folder, "gloo", 2, name="-local", **options)
    assert json.loads((out / "metrics.json").read_text())["averaged_moments"] == 2


ENCODER = {"name": "linknet", "encoder": "resnet18", "encoder_width": 0.1, "last_filters": 4}


def test_an_encoder_is_frozen_on_all_ranks_and_starts_from_weights_of_rank_0(folder: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "freeze_encoder_epochs": 1, "learning_rate": 0.0005}
    options["model"] = {**ENCODER, "batch_norm": "synchronised"}
    one = _train(folder, "alone", 1, name="-encoder", batch_size=32, **options)
    two = _train(folder, "mpirun", 2, name="-encoder", batch_size=16, **options)
    assert losses(two) == pytest.approx(losses(one), abs=1e-3)
    sent = [int(row["reduced_bytes"]) for row in csv.DictReader((two / "history.csv").open())]
    assert 0 < sent[0] < sent[1] / 2
    # `_train` looks for the sentence that the weights are the same on all ranks.
    options |= {"model": {**ENCODER, "batch_norm": "local"}, "start_from": str(one)}
    two = _train(folder, "gloo", 2, name="-encoder-local", **options)
    facts = json.loads((two / "provenance.json").read_text())
    assert facts["started_with"].startswith("71 of 71 layers from")


def test_three_ranks_give_the_same_bits_each_time(folder: Path) -> None:
    # What travels together decides in which order three numbers are added.
    digests = []
    for name in ("once", "again"):
        model = _train(folder, "gloo", 3, name=name, batch_size=4, shuffle=True)
        digests.append(json.loads((model / "provenance.json").read_text())["last_weights_digest"])
    assert digests[0] == digests[1]


def test_eight_oversubscribed_ranks_train(folder: Path) -> None:
    # Gloo: ranks that wait under MPI keep a core busy, and eight of them share two here.
    model = _train(
        folder,
        "gloo",
        8,
        batch_size=4,
        epochs=2,
        shuffle=True,
        learning_rate_scaling="sqrt",
        augment={"dihedral": True, "haze": 0.5, "shade": 0.5},
        horovod={"compression": "bf16"},
    )
    assert len(losses(model)) == 4
    with (model / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(0 < float(row["waiting_share"]) < 1 for row in rows)
    parameters = json.loads((model / "provenance.json").read_text())["parameters"]
    assert 2 * int(parameters) <= int(rows[0]["reduced_bytes"]) <= 4 * int(parameters)
    assert "- ranks: 8" in (model / "README.md").read_text()


def test_an_error_ends_all_ranks_with_one_sentence(folder: Path) -> None:
    classes = {
        "name": "kelp",
        "classes": [
            {"code": 0, "name": "sea", "title": "Sea", "color": [0, 0, 9]},
            {"code": 1, "name": "kelp", "title": "Kelp", "color": [0, 9, 0]},
        ],
    }
    recipe = folder / "kelp.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, "classes": classes}))
    out = folder / "refused"
    result = _launch(
        "mpirun", 2, "--shards", str(folder / "shards"), "--out", str(out), "--recipe", str(recipe)
    )
    assert result.returncode != 0
    assert result.stderr.count("Error: The shards in") == 1
    assert "Traceback" not in result.stderr
    assert not out.exists()
