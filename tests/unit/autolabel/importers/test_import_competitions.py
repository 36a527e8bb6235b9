"""Known data sets: kelp, LoveDA, LandCover.ai."""

import numpy as np
import pytest
import rasterio

from autolabel.importers.kelp import read_submission, write_submission
from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    WIDTH,
    image,
    kelp,
    labels,
    landcover,
    loveda,
    write_raster,
)
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.recipe.recipe import load_recipe

WHOLE = Tile(0, 0, HEIGHT, WIDTH)


def test_a_submission_comes_back_and_has_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    masks = {name: rng.random((350, 350)) > 0.7 for name in ("AA111111", "BB222222")}
    for name in ("a.tar", "b.tar"):
        write_submission(str(tmp_path / name), masks.items())
    back = dict(read_submission(str(tmp_path / "a.tar")))
    assert back.keys() == masks.keys()
    assert all((back[name] == masks[name]).all() for name in masks)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with rasterio.open(f"/vsitar/{tmp_path}/a.tar/AA111111_kelp.tif") as source:
        assert (source.dtypes, source.shape) == (("int8",), (350, 350))


def test_missing_numbers_of_kelp_are_missing_in_their_band_only(tmp_path):
    made = kelp(tmp_path)
    recipe = made.checked()
    (sample, _) = find_samples([str(made.source)], recipe)
    labelled, valid, inputs = read_sample(open_sample(sample, recipe), recipe, WHOLE)
    assert not inputs.valid[:3, :, :5].any()
    assert inputs.valid[:3, :, 5:].all()
    assert valid.all()
    assert labelled.label.max() == 1


@pytest.mark.parametrize(
    ("name", "make"), [("kelp", kelp), ("loveda", loveda), ("landcover", landcover)]
)
def test_recipes_that_ship_read_their_data_sets(tmp_path, name, make):
    made, recipe = make(tmp_path), load_recipe(name)
    samples = find_samples([str(made.source)], recipe)
    assert {sample.id for sample in samples} == made.labels.keys()
    for sample in samples:
        labelled, _, _ = read_sample(open_sample(sample, recipe), recipe, WHOLE)
        assert (labelled.label == made.labels[sample.id]).all()


def test_a_part_of_loveda_may_be_given_alone(tmp_path):
    made = loveda(tmp_path / "data")
    samples = find_samples([str(made.source / "Val")], made.checked())
    assert [sample.id for sample in samples] == ["val-1"]


def test_parts_of_the_cut_landcover_are_chosen(tmp_path):
    made = landcover(tmp_path)
    made.recipe["imports"]["subsets"] = ["train", "test"]
    (tmp_path / "train.txt").write_text("M-33_0\nM-33_1\n")
    found = {s.id: s.problem for s in find_samples([str(tmp_path)], made.checked())}
    assert set(found) == {"M-33_0", "M-33_1", "test-N-34_9"}
    assert "M-33_1.jpg is in train.txt and does not exist; run split.py again." in found["M-33_1"]
    (tmp_path / "test.txt").unlink()
    ((_, problem),) = [(s.id, s.problem) for s in find_samples([str(tmp_path)], made.checked())]
    assert "test.txt can't be read" in problem


def test_orthophotos_of_landcover_are_imported_whole(tmp_path):
    made = landcover(tmp_path / "cut")
    write_raster(tmp_path / "whole" / "images" / "M-33.tif", image(0), place=True)
    write_raster(tmp_path / "whole" / "masks" / "M-33.tif", labels(0, 5), place=True)
    recipe = made.checked()
    (sample,) = find_samples([str(tmp_path / "whole")], recipe)
    scene = open_sample(sample, recipe)
    assert scene.crs == "EPSG:3031"
    assert (read_sample(scene, recipe, WHOLE)[0].label == labels(0, 5)).all()


def test_another_folder_is_no_loveda(tmp_path):
    write_raster(tmp_path / "Train" / "a.png", image(0))
    (sample,) = find_samples([str(tmp_path)], load_recipe("loveda"))
    with pytest.raises(SceneError, match="has no images in Train/\\*/images_png or Val/\\*/images"):
        open_sample(sample, load_recipe("loveda"))
