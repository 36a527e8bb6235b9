"""The accuracy benchmark: scenes to train on, what is kept, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autolabel import label_image
from benchmarks.accuracy import models
from benchmarks.accuracy.__main__ import list_specs
from benchmarks.accuracy.models import (
    AFTER_FILTER,
    MODELS,
    PUBLISHED,
    THROUGH_CLOUD,
    Training,
    Workplace,
    quick_recipe,
    read_training,
)
from benchmarks.accuracy.report import f1_rows, goal_table, training_table, write_report
from benchmarks.accuracy.scoring import score_all
from benchmarks.accuracy.training_scenes import (
    FIRST_SEEDS,
    Kind,
    TrainingSpec,
    write_training_scene,
    write_training_scenes,
)
from benchmarks.common.commands import CommandFailedError
from benchmarks.common.report import Report
from benchmarks.labels.scoring import SceneResult
from benchmarks.labels.sets import SETS, SceneSpec, Split, choose_sets
from data_samples.mosaic import make_mosaic
from polynya.recipe.recipe import load_recipe
from polynya.recipe.scene import SceneOptions
from polynya.scenes.reading import open_scene, read_scene
from training.model_folder.folder import HISTORY_FILE

SKIES = ("clear", "shadow", "cloud", "both")


def _result(name: str, sky: str, right: int, *, seed: int = 1) -> SceneResult:
    """A scene of 100 pixels, half water and half thick ice, of which a model gets some right."""
    good = np.array([[50, 0, 0, 0], [0, 0, 0, 0], [0, 0, 50, 0]])
    bad = np.array([[right - 50, 100 - right, 0, 0], [0, 0, 0, 0], [0, 0, 50, 0]])
    counts = {"none": good, "published": good, "illumination": good}
    counts |= {PUBLISHED.name: good, THROUGH_CLOUD.name: bad, AFTER_FILTER.name: good}
    return SceneResult(SceneSpec(name, seed, sky, 10), counts)


def test_mosaics_repeat_by_seed_and_differ_between_seeds() -> None:
    first, again, other = (make_mosaic(seed, (96, 64)) for seed in (4, 4, 5))
    assert first.shape == (96, 64, 3)
    assert (first == again).all()
    assert (first != other).any()
    assert first.min() >= 1


def test_mosaics_have_all_classes_over_their_whole_range() -> None:
    brightness = [np.unique(make_mosaic(seed, (128, 128)).max(axis=-1)) for seed in range(24)]
    seen = np.unique(np.concatenate(brightness))
    for low, high in ((2, 30), (31, 204), (205, 253)):
        assert np.isin(np.arange(low, high + 1), seen).mean() > 0.9


def test_in_mosaics_texture_says_nothing_of_the_class() -> None:
    # Relative texture of each class over many scenes: no class is the rougher one.
    rough: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for seed in range(40):
        image = make_mosaic(seed, (128, 128))
        value = image.max(axis=-1).astype(float)
        labels = label_image(image, method="none")
        step = np.abs(np.diff(value, axis=1))[:, 1:-1]
        inside = np.ones((128, 125), bool)
        for shift in range(4):
            inside &= labels[:, shift : shift + 125] == labels[:, 1:126]
        inside &= step < 8
        for code, steps in rough.items():
            chosen = inside & (labels[:, 1:126] == code)
            if code and chosen.sum() > 500:
                steps.append(float(step[chosen].mean()))
    medians = [np.median(rough[code]) for code in (1, 2)]
    assert max(medians) / min(medians) < 2


@pytest.mark.parametrize("kind", list(Kind))
def test_training_scenes_are_files_that_can_be_labelled(kind: Kind, tmp_path: Path) -> None:
    spec = TrainingSpec(kind, FIRST_SEEDS[kind], 64, tmp_path)
    write_training_scene(spec)
    image, valid = read_scene(open_scene(str(spec.path), SceneOptions()))
    assert image.shape == (64, 64, 3)
    assert valid.mean() > 0.5
    assert (valid == image.any(axis=-1)).all()


def test_scenes_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    kinds = {Kind.MOSAIC: 2}
    write_training_scenes(tmp_path, kinds, 32, jobs=1)
    files = sorted(tmp_path.glob("*.tif"))
    assert len(files) == 2
    files[0].write_bytes(b"mine")
    files[1].unlink()
    write_training_scenes(tmp_path, kinds, 32, jobs=1)
    assert files[0].read_bytes() == b"mine"
    assert files[1].stat().st_size > 100


def test_scenes_to_train_on_are_none_of_those_that_are_scored() -> None:
    scored = {
        spec.seed
        for split in Split
        for spec in list_specs(list(SETS.values()), split, 100, False, all_sets=False)
    }
    for model in MODELS:
        for kind, count in model.scenes.items():
            assert not scored & set(range(FIRST_SEEDS[kind], FIRST_SEEDS[kind] + count))


def test_by_default_large_scenes_are_left_out_and_goals_get_more_sites() -> None:
    specs = list_specs(choose_sets(""), Split.HELDOUT, None, False, all_sets=True)
    names = [spec.set_name for spec in specs]
    assert names.count("standard") == names.count("blobs") == 24
    assert names.count("fine") == 8
    assert "size-4096" not in names
    quick = list_specs(choose_sets(""), Split.DEV, None, True, all_sets=True)
    assert {spec.set_name for spec in quick} == {"standard", "blobs"}
    assert {spec.size for spec in quick} == {128}
    asked = list_specs(choose_sets("size-4096"), Split.DEV, 1, False, all_sets=False)
    assert [spec.sky for spec in asked] == list(SKIES)


def test_recipes_of_the_benchmark_are_recipes_also_when_made_small(tmp_path: Path) -> None:
    for model in MODELS:
        recipe = load_recipe(model.recipe_file)
        small = quick_recipe(recipe)
        assert small.training.epochs == 1
        small.save(tmp_path / "small.yaml")
        assert load_recipe(tmp_path / "small.yaml") == small
    assert load_recipe(THROUGH_CLOUD.recipe_file).label.method == "none"


def test_a_command_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models.sys, "executable", str(tmp_path / "python"))
    (tmp_path / "polynya").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "polynya").chmod(0o755)
    monkeypatch.setattr(models, "write_training_scenes", lambda *_: None)
    with pytest.raises(CommandFailedError, match="ended with code 3: .*label --scenes"):
        models.train(PUBLISHED, Workplace(tmp_path, quick=True))


def test_the_history_says_what_a_training_took(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE).write_text(
        "epoch,val_loss,val_accuracy,images_per_second,seconds\n"
        "1,0.9,0.5,1.0,60\n2,0.3,0.8,12.0,30\n3,0.4,0.9,10.0,30\n"
    )
    assert read_training(tmp_path) == Training(3, 120.0, 12.0, 0.8)


def test_the_goal_table_says_by_how_much_a_goal_is_missed() -> None:
    results = [_result("standard", "clear", 99), _result("standard", "cloud", 97)]
    rows = goal_table([*results, _result("standard", "cloud", 96, seed=2)]).rows
    assert rows == (
        ("standard", "clear", "98.5", "99.00", "reached", "100.00", "reached"),
        ("standard", "cloud", "98.0", "96.50", "missed by 1.50", "100.00", "reached"),
    )


def test_f1_is_of_all_pixels_and_empty_for_a_class_that_is_not_there() -> None:
    rows = f1_rows([_result("blobs", "clear", 75)]).rows
    by_method = {row[1]: row[2:] for row in rows}
    assert by_method["thresholds"] == ("clear", "100.00", "", "100.00")
    assert by_method[THROUGH_CLOUD.name] == ("clear", "66.67", "0.00", "100.00")


def test_the_report_is_markdown_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [_result(name, sky, 98) for name in ("standard", "blobs") for sky in SKIES]
    trainings = dict.fromkeys(MODELS, Training(3, 90.0, 12.5, 0.91))
    write_report(results, trainings, Report(tmp_path, "python -m benchmarks.accuracy --quick"))
    text = (tmp_path / "accuracy.md").read_text()
    assert "Command: `python -m benchmarks.accuracy --quick`" in text
    assert "Machine:" in text
    assert "| blobs | clear | 98.5 | 98.00 | missed by 0.50 | 100.00 | reached |" in text
    assert training_table(trainings).rows[0][2:4] == ("1.5", "12.5")
    assert {path.name for path in tmp_path.glob("[a-z]*.csv")} == {
        *("goals.csv", "training.csv", "accuracy.csv", "f1.csv", "confusion.csv", "scenes.csv")
    }
    assert "missed by 0.50" in capsys.readouterr().out


def test_scores_of_scenes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SceneSpec("standard", 501, "both", 64)
    place = Workplace(tmp_path, quick=True)
    first = score_all([spec], [], place, jobs=1)
    monkeypatch.setattr("benchmarks.accuracy.scoring.for_each_scene", _no_scene_left)
    again = score_all([spec], [], place, jobs=1)
    assert {m: c.tolist() for m, c in again[0].counts.items()} == {
        m: c.tolist() for m, c in first[0].counts.items()
    }


def _no_scene_left(_: object, specs: list[SceneSpec], *__: object) -> None:
    assert not specs
