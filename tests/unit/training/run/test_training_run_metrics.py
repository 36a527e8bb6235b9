"""What a run measures, and where a user finds it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.recipe.recipe import Recipe, parse_recipe
from training.ranks.port import SingleProcess
from training.run.start import start_run

RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.1, 0.1]},
    "training": {
        "epochs": 2,
        "batch_size": 5,
        "learning_rate": 0.01,
        "monitor": "mean_f1",
        "metrics": {"further": ["boundary_f1", "kullback_leibler", "ssim"], "training": True},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet", "xgboost"])
def test_metrics_are_in_the_files_of_a_model(tmp_path: Path, model: str) -> None:
    content = RECIPE
    if model == "xgboost":
        further = {"further": RECIPE["training"]["metrics"]["further"]}
        training = {**RECIPE["training"], "metrics": further}
        content = {**RECIPE, "model": {"name": "xgboost", "rounds": 2}, "training": training}
    recipe = parse_recipe(content, "test")
    write_tiny_shards(tmp_path / "shards", recipe)
    run = start_run(tmp_path / "shards", tmp_path / "model", None, SingleProcess())
    summary = run.train()
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    found = metrics["validation"]
    names = {"accuracy", "mean_f1", "mean_recall", "matthews", "ssim", "kullback_leibler"}
    assert names | {"mean_boundary_f1", "per_image", "classes", "confusion"} < set(found)
    assert {"precision", "boundary_f1"} < set(found["classes"]["open_water"])
    # The cross-entropy of labels without an entropy of their own.
    assert found["kullback_leibler"] == pytest.approx(found["loss"], rel=1e-4)
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| structural similarity | {found['ssim']:.4f} | " in card
    assert "| class | precision | recall | F1 | IoU | boundary F1 |" in card
    rows = list(csv.DictReader((tmp_path / "model" / "history.csv").open()))
    if model == "xgboost":
        assert math.isnan(float(rows[0]["training_mean_iou"]))
        return
    best = max(rows, key=lambda row: float(row["val_mean_f1"]))
    assert int(best["epoch"]) == summary.best_epoch
    assert metrics["training"]["mean_iou"] == pytest.approx(float(best["training_mean_iou"]))
    assert sum(map(sum, metrics["training"]["confusion"])) == 12 * 32 * 32
    assert "Of the training tiles: accuracy 0." in card


def test_what_a_later_version_measures_changes_no_digest() -> None:
    assert Recipe().digest() == parse_recipe({"training": {"metrics": {}}}, "test").digest()
    other = parse_recipe({"training": {"metrics": {"training": True}}}, "test")
    assert other.digest() != Recipe().digest()
