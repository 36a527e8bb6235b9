"""A whole import: the command, engines, what is told, and shards that a training reads."""

import json
import sys

import pytest

from autolabel.run import run_import, run_labelling
from helpers.shards.import_sets import HEIGHT, WIDTH, folder, image, labels, rle, write_raster
from polynya.cli import main
from polynya.errors import OutputError, RecipeError, ScenesFailedError
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder
from training.input.split import Split, recipe_split


def run(made, out, engine="here", **options):
    recipe = made.save(made.source.parent / "recipe.yaml")
    kind = made.recipe["imports"]["kind"]
    return run_import(kind, [str(made.source)], str(out), recipe, False, engine, **options)


def test_any_engine_and_number_of_workers_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**12)  # A unit an image.
    made = folder(tmp_path / "data")
    made.recipe["tiles"] = {"size": 16}
    run(made, tmp_path / "here")
    run(made, tmp_path / "two", "processes", workers=2)
    files = [sorted((tmp_path / name).glob("*.parquet")) for name in ("here", "two")]
    assert len(files[0]) == 2
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


def test_a_changed_label_and_a_new_image_are_imported_again_and_no_other(tmp_path, capsys):
    made = folder(tmp_path / "data")
    run(made, tmp_path / "shards")
    before = {row.scene_id: row.digest for row in read_manifest(Folder.at(tmp_path / "shards"))}
    write_raster(made.source / "masks" / "b.png", labels(7, 3))
    write_raster(made.source / "images" / "c.png", image(8))
    write_raster(made.source / "masks" / "c.png", labels(8, 3))
    capsys.readouterr()
    after = {row.scene_id: row.digest for row in run(made, tmp_path / "shards")}
    assert after.keys() == {"a", "b", "c"}
    assert [name for name in "ab" if after[name] != before[name]] == ["b"]
    assert "3 samples imported" in " ".join(capsys.readouterr().out.split())
    _, validation = open_shards(tmp_path / "shards").class_counts(("b",))
    assert validation == HEIGHT * WIDTH


def test_a_row_of_a_table_that_is_wrong_costs_its_image_only(tmp_path):
    made = rle(tmp_path / "data")
    text = made.source.read_text().splitlines()
    text[5] = text[5].partition(",")[0] + ",5 2 1 1"
    made.source.write_text("\n".join(text) + "\n")
    with pytest.raises(ScenesFailedError, match="1 of 2 samples failed, the others are done"):
        run(made, tmp_path / "shards")
    rows = {row.scene_id: row for row in read_manifest(Folder.at(tmp_path / "shards"))}
    assert [rows[name].status for name in "ab"] == ["done", "failed"]
    assert rows["b"].reason == (
        "train.csv, line 6, has a wrong run-length code: the run 1 1 comes after the run at 5, so"
        " they are unsorted; fix the row, or leave it out."
    )


def test_another_recipe_needs_a_folder_of_its_own(tmp_path):
    made = folder(tmp_path / "data")
    run(made, tmp_path / "shards")
    made.recipe["imports"]["dilate"] = {"ice": 2}
    with pytest.raises(OutputError, match="holds shards of another recipe or version"):
        run(made, tmp_path / "shards")


def test_labelling_refuses_a_recipe_for_an_import(tmp_path):
    made = folder(tmp_path / "data")
    recipe = made.save(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match="its labels are there already; run 'polynya import fold"):
        run_labelling([str(made.source)], str(tmp_path / "out"), recipe, False, "here")


def test_the_command_ends_with_a_code(tmp_path, monkeypatch, capsys):
    made = folder(tmp_path / "data")
    recipe = made.save(tmp_path / "recipe.yaml")
    command = ["polynya", "import", "folder", str(made.source), "--out", str(tmp_path / "shards")]
    command += ["--recipe", str(recipe), "--engine", "here"]

    def code(*more):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert code() in (0, None)
    (made.source / "masks" / "a.png").unlink()
    assert code("--overwrite") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "Failed: " in told
    assert (
        "a.png has no mask 'masks/{stem}.*'; put it there, or fix imports.masks in the recipe."
        in told
    )


def test_a_training_reads_imported_shards_and_their_own_validation(tmp_path):
    made = folder(tmp_path / "data")
    for kind in ("images", "masks"):
        pixels = image(5) if kind == "images" else labels(5, 3)
        write_raster(made.source / "val" / kind / "c.png", pixels)
    made.recipe["imports"]["validation"] = "val"
    made.recipe["split"] = {"held_out": "^val-"}
    run(made, tmp_path / "shards")
    shards = open_shards(tmp_path / "shards")
    assert recipe_split(shards, shards.recipe) == Split(("a", "b"), ("val-c",))
    (tile,) = shards.tiles(shards.row_groups(["val-c"]))
    assert (tile.label == labels(5, 3)).all()
    assert (tile.image == image(5)).all()
    content = json.loads((tmp_path / "shards" / "_dataset.json").read_text())
    assert content["recipe"]["imports"]["kind"] == "folder"
    assert content["recipe"]["label"]["method"] == "none"
