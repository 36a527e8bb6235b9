"""What every importer must be and do, whichever it is (docs/extending.md)."""

from __future__ import annotations

import contextlib
import pickle
import pkgutil
import shutil
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import autolabel.importers
from autolabel.importers.registry import KINDS, find_importer, import_recipe
from autolabel.importers.samples import find_samples, open_sample, read_sample
from autolabel.run import run_import
from helpers.shards.import_sets import HEIGHT, SETS, WIDTH
from polynya.errors import RecipeError, ScenesFailedError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder

each_kind = pytest.mark.parametrize("kind", KINDS)
each_set = pytest.mark.parametrize("kind", SETS)


def imported(made, out, recipe_file, source=None, **options):
    """Results of an import in this process, by scene id."""
    kind = made.recipe["imports"]["kind"]
    made.save(recipe_file)
    with contextlib.suppress(ScenesFailedError):
        run_import(
            kind, [str(source or made.source)], str(out), recipe_file, False, "here", **options
        )
    return {row.scene_id: row for row in read_manifest(Folder.at(out))}


def mosaic(shards, scene):
    """Image and label of a scene, put together from its tiles."""
    tiles = list(shards.tiles(shards.row_groups([scene])))
    height = max(tile.row + tile.label.shape[0] for tile in tiles)
    width = max(tile.col + tile.label.shape[1] for tile in tiles)
    label = np.full((height, width), 99, np.uint8)
    image = np.zeros((height, width, tiles[0].image.shape[2]), tiles[0].image.dtype)
    for tile in tiles:
        place = Tile(tile.row, tile.col, *tile.label.shape).slices
        label[place], image[place] = tile.label, tile.image
    return image, label


def test_names_and_modules_agree():
    found = {
        module.IMPORTER.name
        for entry in pkgutil.iter_modules(autolabel.importers.__path__)
        if hasattr(module := import_module(f"autolabel.importers.{entry.name}"), "IMPORTER")
    }
    assert found == set(KINDS)
    assert set(SETS) <= found


@each_kind
def test_it_says_what_it_is(kind):
    importer = find_importer(kind)
    assert importer.name == kind
    assert importer.about == importer.about.strip(". \n")


@each_kind
def test_an_unusable_source_is_one_row_with_a_sentence(kind, tmp_path):
    made = SETS[kind](tmp_path / "made") if kind in SETS else None
    recipe = made.checked() if made else import_recipe(None, kind)
    (tmp_path / "empty").mkdir()
    for source in ("missing", "empty"):
        samples = find_samples([str(tmp_path / source)], recipe)
        for sample in samples:
            assert sample.problem.endswith(".") or kind == "vector"  # Scenes may be anything.
        assert len(samples) == 1


@each_set
def test_shards_hold_the_labels_and_numbers_of_the_files(kind, tmp_path):
    made = SETS[kind](tmp_path / "data")
    made.recipe["tiles"] = {"size": 32}
    rows = imported(made, tmp_path / "shards", tmp_path / "recipe.yaml")
    assert {name: row.status for name, row in rows.items()} == dict.fromkeys(made.labels, "done")
    shards = open_shards(tmp_path / "shards")
    for name, expected in made.labels.items():
        image, label = mosaic(shards, name)
        assert (label == expected).all()
        wanted = made.images.get(name)
        if wanted is not None and image.dtype == np.float32:
            missing = wanted == -32768
            assert (np.isnan(image) == missing).all()
            assert (image[~missing] == wanted[~missing]).all()
        elif wanted is not None:
            assert (image == wanted).all()
    sources = {row.column("label_source")[0].as_py() for row in tables(tmp_path / "shards")}
    assert sources == {f"import/{kind}"}
    assert not list(tmp_path.rglob("the_pickle_was_opened"))


def tables(folder):
    import pyarrow.parquet as pq

    return [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]


@each_set
def test_a_data_set_elsewhere_gives_the_same_files_and_a_second_run_does_nothing(kind, tmp_path):
    made = SETS[kind](tmp_path / "one" / "data")
    first = imported(made, tmp_path / "shards-1", tmp_path / "recipe.yaml")
    again = imported(made, tmp_path / "shards-1", tmp_path / "recipe.yaml")
    assert again == first
    shutil.move(tmp_path / "one", tmp_path / "two")
    source = tmp_path / "two" / made.source.relative_to(tmp_path / "one")
    moved = imported(made, tmp_path / "shards-2", tmp_path / "recipe.yaml", source)
    assert {name: (row.files, row.file_sums) for name, row in first.items()} == {
        name: (row.files, row.file_sums) for name, row in moved.items()
    }


@each_set
def test_a_cut_file_costs_one_row_and_the_others_are_done(kind, tmp_path):
    made = SETS[kind](tmp_path / "data")
    content = made.first.read_bytes()
    made.first.write_bytes(content[: len(content) // 2])
    rows = imported(made, tmp_path / "shards", tmp_path / "recipe.yaml", retries=0)
    assert set(rows) == set(made.labels)
    (failed,) = [row for row in rows.values() if row.status == "failed"]
    assert str(made.first) in failed.reason
    assert failed.reason.endswith(".")
    assert "fault of Polynya" not in failed.reason
    made = SETS[kind](tmp_path / "whole")
    # Put right, the same command does what is left.
    made.first.replace(tmp_path / "data" / made.first.relative_to(tmp_path / "whole"))
    made.source = tmp_path / "data" / made.source.relative_to(tmp_path / "whole")
    rows = imported(made, tmp_path / "shards", tmp_path / "recipe.yaml")
    assert {row.status for row in rows.values()} == {"done"}


@each_set
def test_some_rows_are_those_of_the_whole_and_samples_travel(kind, tmp_path):
    made = SETS[kind](tmp_path / "data")
    recipe = made.checked()
    for sample in find_samples([str(made.source)], recipe):
        scene = open_sample(pickle.loads(pickle.dumps(sample)), recipe)
        scene = replace(pickle.loads(pickle.dumps(scene)), id="renamed")
        whole, valid, inputs = read_sample(scene, recipe, Tile(0, 0, HEIGHT, WIDTH))
        part = Tile(7, 0, 13, WIDTH)
        rows, rows_valid, rows_inputs = read_sample(scene, recipe, part)
        assert (rows.label == whole.label[part.slices]).all()
        assert (rows.image == whole.image[part.slices]).all()
        assert (rows_valid == valid[part.slices]).all()
        if inputs is not None:
            assert (rows_inputs.numbers == inputs.numbers[part.slices]).all()
            assert (rows_inputs.valid == inputs.valid[part.slices]).all()


@each_set
def test_images_of_a_given_size_have_it(kind, tmp_path):
    made = SETS[kind](tmp_path / "data")
    made.recipe["imports"]["size"] = [64, 48]
    rows = imported(made, tmp_path / "shards", tmp_path / "recipe.yaml")
    assert {(row.height, row.width, row.status) for row in rows.values()} == {(64, 48, "done")}
    for scene in made.labels:
        _, label = mosaic(open_shards(tmp_path / "shards"), scene)
        assert (label[round(40 * 48 / 56) :] == 255).all()  # The aspect is kept.


def test_kinds_of_command_and_recipe_must_be_one(tmp_path):
    with pytest.raises(RecipeError, match="There is no kind of import 'folders'; take one of fol"):
        import_recipe(None, "folders")
    (tmp_path / "r.yaml").write_text("imports: folder\n")
    with pytest.raises(RecipeError, match="'imports.kind' is 'folder' and the command says 'gym'"):
        import_recipe(tmp_path / "r.yaml", "gym")
    with pytest.raises(RecipeError, match="of the kind vector lacks the key 'imports.labels'; add"):
        import_recipe(None, "vector")
    (tmp_path / "r.yaml").write_text("tiles: {size: 64}\n")
    recipe = import_recipe(tmp_path / "r.yaml", "folder")
    assert (recipe.tiles.size, recipe.imports.kind, recipe.label.method) == (64, "folder", "none")


def test_a_known_data_set_has_the_recipe_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kelp").mkdir()  # The data, for example.
    assert import_recipe(None, "kelp").classes.names == ("kelp",)
    assert import_recipe(None, "folder") == Recipe.model_validate({"imports": "folder"})
