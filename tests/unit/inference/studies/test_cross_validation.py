"""Cross-validation on tiny shards: models, predictions, tables, ensemble; cut and gone on with."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from helpers.maps.inference_commands import run
from helpers.shards.tiny_shards import write_tiny_shards
from inference.studies.cross_validation import run_folds
from inference.studies.folds import FoldResult, fold_weights, mean_iou
from polynya.errors import ModelError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.dataset import open_shards
from polynya.shards.dropped import DroppedTile, write_dropped
from polynya.splits.split_file import read_split
from polynya.storage.files import whole_file
from training.metrics.confusion import confusion_of
from training.model_folder.folder import load_model, read_provenance
from training.ranks.port import SingleProcess
from training.run.pixel_run import PixelRun
from training.run.session import Session

TINY: dict[str, Any] = {
    "tiles": {"size": 48},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return parse_recipe(TINY, source="test")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """Four scenes of four tiles each; those at the edge are smaller than what the model sees."""
    place = tmp_path_factory.mktemp("cross_validation")
    folder = write_tiny_shards(place / "shards", recipe, nodata_shares=(0, 0.3, 0, 0))
    # Tiles of one scene are in both folds, so it matters which of them each model has seen.
    run("split", folder, "--by", "random", "--folds", 2, "--out", place / "folds.json")
    run("split", folder, "--out", place / "hold_out.json")
    return folder


@pytest.fixture(scope="module")
def whole(shards: Path) -> list[FoldResult]:
    """A cross-validation in the folder `whole`, done at once."""
    return _validate(shards, "whole")


def _validate(shards: Path, out: str, **options: Any) -> list[FoldResult]:
    place = shards.parent
    session = Session(SingleProcess(), trains_often=True)
    return run_folds(session, str(shards), place / "folds.json", place / out, None, **options)


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_tile_is_predicted_by_the_model_that_has_not_seen_it(
    shards: Path, recipe: Recipe, whole: list[FoldResult]
) -> None:
    out, data, results = shards.parent / "whole", open_shards(shards), whole
    folds = read_split(shards.parent / "folds.json").tiles
    tiles = {
        (tile.scene_id, tile.row, tile.col): tile
        for tile in data.tiles(data.row_groups(data.scene_ids))
    }
    table = pa.concat_tables(pq.read_table(path) for path in sorted(out.glob("*.parquet")))
    found = {(row["scene_id"], row["row"], row["col"]): row for row in table.to_pylist()}
    assert found.keys() == tiles.keys() == folds.keys()
    total = np.zeros((3, 3), np.int64)
    for fold in range(2):
        model = load_model(out / f"fold-{fold}")
        assert model.recipe.split.fold == fold
        own = [key for key in tiles if folds[key].fold == fold]
        for key in own:
            tile, row = tiles[key], found[key]
            height, width = tile.label.shape
            assert (row["fold"], row["height"], row["width"]) == (fold, height, width)
            image = np.zeros((1, 48, 48, 3), np.uint8)
            image[0, :height, :width] = tile.image
            answer = np.asarray(model.keras_model(image))[0, :height, :width].argmax(axis=-1)
            labels = np.frombuffer(row["prediction"], np.uint8).reshape(height, width)
            has_data = tile.image.any(axis=-1)
            assert (labels[has_data] == answer[has_data]).all()
            assert (labels[~has_data] == 255).all()
            assert 0 <= row["mean_entropy"] <= 1
            one = confusion_of(tile.label, labels, recipe.classes)
            assert (row["labelled"], row["right"]) == (one.sum(), np.trace(one))
            total += one
    assert (sum(result.confusion for result in results) == total).all()
    with (out / "folds.csv").open() as file:
        rows = {row["fold"]: row for row in csv.DictReader(file)}
    assert rows["together"]["mean IoU"] == f"{100 * mean_iou(total):.2f}"
    assert "| together | 16 |" in (out / "folds.md").read_text()

    weights = fold_weights([mean_iou(result.confusion) for result in results])
    assert min(weights) == 0.2
    assert max(weights) == 1
    said = read_provenance(out / "ensemble")["weights"]
    assert said == ", ".join(f"{weight:g}" for weight in weights)
    image = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3)).astype(np.float32)
    members = [load_model(out / f"fold-{fold}").keras_model(image) for fold in range(2)]
    mean = sum(w * np.asarray(m) for w, m in zip(weights, members, strict=True)) / sum(weights)
    ensemble = load_model(out / "ensemble").keras_model(image)
    np.testing.assert_allclose(np.asarray(ensemble), mean, atol=1e-6)


@pytest.mark.slow
def test_the_program_of_the_page_lists_the_worst_tiles_first(
    shards: Path,
    whole: list[FoldResult],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "cross-validation.md").read_text("utf-8")
    program = page.split("```python\n")[1].split("```")[0].replace('"cv"', '"whole"')
    monkeypatch.chdir(shards.parent)
    exec(compile(program, "program", "exec"), {})
    shares = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()[1:17]]
    assert len(shares) == 16
    assert shares == sorted(shares)


@pytest.mark.slow
def test_a_cut_run_goes_on_and_a_finished_one_changes_nothing(
    shards: Path,
    whole: list[FoldResult],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = shards.parent / "cut"
    fit, trained = Session.train, []

    def train(self: Session, shards: str, out: Path, *words: Any, **options: Any) -> Any:
        if len(trained) == 1 and not options["resume"]:
            from training.run.start import start_run

            # Told to stop in the second epoch, after a checkpoint.
            del options["resume"]
            run = start_run(shards, out, *words, SingleProcess(), **options)
            run.train(lambda: len(run.position.history) == 1)
        trained.append(out)
        return fit(self, shards, out, *words, **options)

    monkeypatch.setattr(Session, "train", train)
    with pytest.raises(typer.Exit):
        _validate(shards, "cut")
    assert trained == [cut / "fold-0"]
    assert (cut / "fold-1" / "_checkpoints").is_dir()
    with pytest.raises(typer.Exit):
        _validate(shards, "cut")
    assert "--resume" in capsys.readouterr().err
    results = _validate(shards, "cut", resume=True)
    for one, other in zip(results, whole, strict=True):
        assert (one.confusion == other.confusion).all()
    assert trained == [cut / "fold-0", cut / "fold-1"]
    for name in ("folds.csv", "out_of_fold_0.parquet", "out_of_fold_1.parquet"):
        one, other = (_without_metadata(folder / name) for folder in (shards.parent / "whole", cut))
        assert one == other

    before = _bytes(cut)
    _validate(shards, "cut", resume=True)
    assert len(trained) == 2
    after = _bytes(cut)
    assert {path: after[path] for path in before if path.name != "_polynya.csv"} == {
        path: content for path, content in before.items() if path.name != "_polynya.csv"
    }


def _without_metadata(path: Path) -> Any:
    return pq.read_table(path).to_pylist() if path.suffix == ".parquet" else path.read_text()


@pytest.mark.slow
def test_a_fold_is_an_ordinary_training(shards: Path, whole: list[FoldResult]) -> None:
    from training.run.start import start_run

    place = shards.parent
    own = parse_recipe(
        {**TINY, "split": {"file": str(place / "folds.json"), "fold": 1}}, source="test"
    )
    own.save(place / "recipe.yaml")
    keras.utils.clear_session()
    start_run(shards, place / "alone", place / "recipe.yaml", SingleProcess()).train()
    one, other = (read_provenance(place / name) for name in ("alone", "whole/fold-1"))
    assert one == other


@pytest.mark.slow
def test_beginning_again_removes_what_is_ours_or_nothing(
    shards: Path,
    whole: list[FoldResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(*words: Any, **options: Any) -> None:
        raise RuntimeError("a training begins")

    monkeypatch.setattr(Session, "train", train)
    out = tmp_path / "out"
    shutil.copytree(shards.parent / "whole", out)
    laid = [out / name for name in ("mine.txt", "fold-0/mine.txt", "ensemble/mine.txt")]
    for path in laid:
        path.write_text("mine")
    changed = out / "fold-1" / "recipe.yaml"
    recipe = changed.read_bytes()
    changed.write_bytes(recipe + b"# mine")
    before = _bytes(out)
    session = Session(SingleProcess(), trains_often=True)
    arguments = (session, str(shards), shards.parent / "folds.json", out, None)
    with pytest.raises(typer.Exit):
        run_folds(*arguments, overwrite=True)
    assert "fold-1/recipe.yaml is not a file that Polynya wrote" in capsys.readouterr().err
    assert [path for path, content in before.items() if path.read_bytes() != content] in (
        [],
        [out / "_polynya.csv"],
    )

    changed.write_bytes(recipe)
    with pytest.raises(RuntimeError, match="a training begins"):
        run_folds(*arguments, overwrite=True)
    assert [path.read_text() for path in laid] == ["mine"] * 3
    assert not list(out.rglob("model.keras"))


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (lambda out: None, {"split": "hold_out.json"}, "has no folds"),
        (lambda out: None, {"split": "none.json"}, "none.json can't be read"),
        (lambda out: out.write_text("mine"), {}, "out is a file"),
        (
            lambda out: _lay(out / "fold-1" / "mine.txt"),
            {"overwrite": True},
            "fold-1 holds other files (mine.txt)",
        ),
        (lambda out: _lay(out / "fold-1" / "mine.txt"), {}, "holds other files (mine.txt)"),
        (lambda out: _lay(out / "folds.csv"), {}, "folds.csv is not a file that Polynya wrote"),
        (lambda out: _lay(out / "out_of_fold_1.parquet"), {}, "not a file that Polynya wrote"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_the_first_training(
    shards: Path,
    prepare: Any,
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    prepare(out)
    before = _bytes(out)
    options = {"split": "folds.json"} | options
    split = shards.parent / options.pop("split")
    session = Session(SingleProcess(), trains_often=True)
    with pytest.raises(typer.Exit):
        run_folds(session, str(shards), split, out, None, **options)
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert said.startswith("Error: ")
    assert not (out / "fold-0").exists()
    assert {path: path.read_bytes() for path in before} == before


def _lay(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("mine")


TREES: dict[str, Any] = {
    "tiles": {"size": 48},
    "model": {"name": "xgboost", "rounds": 2, "depth": 2, "pixels": 500},
}


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Shards whose models are trained in no time, and two folds of them."""
    write_tiny_shards(tmp_path / "shards", parse_recipe(TREES, source="test"))
    run("split", tmp_path / "shards", "--by", "random", "--folds", 2, "--out", tmp_path / "f.json")
    return tmp_path


def _validate_quick(place: Path, **options: Any) -> list[FoldResult]:
    session = Session(SingleProcess(), trains_often=True)
    shards, out = place / "shards", place / "out"
    return run_folds(session, str(shards), place / "f.json", out, None, **options)


@pytest.mark.slow
def test_a_training_that_was_killed_before_its_checkpoint_begins_again(quick: Path) -> None:
    _validate_quick(quick)
    first = quick / "out" / "fold-0"
    kept = (quick / "out" / "fold-1" / "trees.json").stat().st_mtime_ns
    # As after a kill between the first best model and its checkpoint, of a network.
    (first / "README.md").unlink()
    with whole_file(first / "model.keras", lambda partial: None) as partial:
        partial.write_bytes(b"weights")
    _validate_quick(quick, resume=True)
    assert (first / "README.md").is_file()
    assert not (first / "model.keras").exists()
    assert (quick / "out" / "fold-1" / "trees.json").stat().st_mtime_ns == kept


@pytest.mark.slow
@pytest.mark.parametrize("change", ["dropped", "labelled again"])
def test_finished_models_of_other_tiles_are_refused(
    quick: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _validate_quick(quick)
    shards = quick / "shards"
    if change == "dropped":
        data = open_shards(shards)
        tile = next(data.tiles(data.row_groups(data.scene_ids)))
        file = min(path.name for path in shards.glob("*.parquet"))
        gone = DroppedTile(file, 0, tile.scene_id, tile.row, tile.col, "it is dark")
        write_dropped(data.folder, [gone])
    else:
        manifest = shards / "_manifest.csv"
        with manifest.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        for row in table:
            row["digest"] = "0123456789abcdef"
        with manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    with pytest.raises(typer.Exit):
        _validate_quick(quick, resume=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "fold-0 holds a finished model of other" in said
    assert said.endswith("or --overwrite to begin all trainings again.")


@pytest.mark.slow
def test_a_fold_that_fails_is_named_and_the_finished_ones_stay(
    quick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train, done = PixelRun.train, []

    def fail_second(self: PixelRun, wants_stop: Any) -> Any:
        if done:
            self.held.close()
            raise ModelError("The loss is not a finite number; take a smaller 'learning_rate'.")
        done.append(self.folder)
        return train(self, wants_stop)

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(PixelRun, "train", fail_second)
    monkeypatch.setattr("os._exit", end)
    with pytest.raises(SystemExit) as ended:
        _validate_quick(quick)
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"The training in {quick / 'out' / 'fold-1'} failed; finished ones stay" in said
    assert "take a smaller 'learning_rate'." in said
    monkeypatch.setattr(PixelRun, "train", train)
    assert len(_validate_quick(quick, resume=True)) == 2


@pytest.mark.slow
def test_an_interrupt_between_trainings_says_how_to_go_on(
    quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inference.studies.out_of_fold.predict_fold", interrupt)
    with pytest.raises(KeyboardInterrupt, match="the same command with --resume goes on"):
        _validate_quick(quick)
    monkeypatch.undo()
    assert len(_validate_quick(quick, resume=True)) == 2
