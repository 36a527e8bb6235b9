"""Scores of finished models on further tiles: which tiles count, and what is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.maps.inference_models import save_unet
from helpers.shards.tiny_shards import write_tiny_shards
from inference.studies.sweep.comparison import compared, evaluations_table
from inference.studies.sweep.data_sets import Places, open_data
from inference.studies.sweep.evaluation import evaluate_models
from inference.studies.sweep.planning import make_plan
from inference.studies.sweep.scores import read_result
from inference.studies.sweep.study import load_study
from polynya.errors import ShardError
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.yaml_files import write_yaml

pytestmark = pytest.mark.slow  # TensorFlow's import.

RECIPE = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"augment": {"brightness": 0.3}},
}
STUDY = {
    "parameters": {"shards": ["one", "two"]},
    "evaluate": {
        "changed": {"augment": True},
        "unseen": {"shards": "far"},
        "again": {"shards": "one"},
    },
    "metrics": ["again.accuracy", "changed.accuracy", "unseen.accuracy"],
}


def test_models_are_scored_on_tiles_that_no_training_sees(tmp_path: Path) -> None:
    labels = {**RECIPE, "label": {"method": "published"}}
    for name, content, scenes in (("one", RECIPE, 4), ("two", labels, 4), ("far", RECIPE, 5)):
        made = parse_recipe(content, "test")
        write_tiny_shards(tmp_path / name / "shards", made, nodata_shares=(0,) * scenes)
    study = tmp_path / "study.yaml"
    study.write_text(write_yaml({**STUDY, "seeds": 2}))
    named = {name: str(tmp_path / name / "shards") for name in ("one", "two", "far")}
    plan = make_plan(load_study(study), Places(named["one"], named), tmp_path / "out")
    for number, training in enumerate(plan.trainings()):
        own = plan.recipe(training)
        assert own.label.method == ("published" if training.trial.number else "illumination")
        folder = save_unet(plan.folder.model(training), own, seed=number)
        (folder / "metrics.json").write_text('{"epoch": 1, "validation": {"mean_iou": 0.5}}')
        (folder / "provenance.json").write_text('{"parameters": "10", "pass_mb": "1.50"}')
        (folder / "README.md").write_text("A model.")
    evaluate_models(plan)
    tiles = 64 * 64
    for training in plan.trainings():
        found = plan.folder.evaluated(training)
        pixels = {name: np.sum(scores["confusion"]) for name, scores in found.items()}
        # One of four scenes validates; the fifth one of 'far' is in no split.
        assert pixels == {"changed": tiles, "unseen": 2 * tiles, "again": tiles}
        assert found["changed"]["confusion"] != found["again"]["confusion"]
    known = plan.folder.work(training) / "evaluated.json"
    before = known.stat().st_mtime_ns
    evaluate_models(plan)
    assert known.stat().st_mtime_ns == before
    results = [read_result(plan.folder, one, plan.scores) for one in plan.trainings()]
    assert results[0].scores[0] == plan.folder.evaluated(plan.trainings()[0])["again"]["accuracy"]
    assert results[0].pass_mb == 1.5
    table = evaluations_table(compared(results, plan.scores, 2), plan.scores)
    assert table is not None
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert len(rows) == 2 * 3
    assert rows[0]["score"] == "right on 'again', %"
    assert (rows[0]["verdict"], rows[0]["verdict of that"]) == ("first", "best")
    assert "±" in rows[1]["against the first tiles"]
    fewer = {**named, "one": named["two"], "two": named["far"]}
    with pytest.raises(
        ShardError, match="'two' in .* have one that those in .* lack: scene scene4"
    ):
        make_plan(load_study(study), Places(named["one"], fewer), tmp_path / "other")


def test_named_tiles_must_have_the_same_classes_and_sizes(tmp_path: Path) -> None:
    for name, size in (("one", 32), ("two", 16)):
        recipe = parse_recipe({**RECIPE, "tiles": {"size": size}}, "test")
        write_tiny_shards(tmp_path / name / "shards", recipe, nodata_shares=(0,))
    named = {name: str(tmp_path / name / "shards") for name in ("one", "two")}
    with pytest.raises(ShardError, match="another section 'tiles'"):
        open_data(Places(named["one"], named))
