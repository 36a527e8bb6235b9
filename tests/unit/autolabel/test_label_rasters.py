"""Labelling with rasters of labels: what is in shards, what is labelled again, what fails."""

import numpy as np
import pytest
import yaml
from conftest import ice_image, label_here

from autolabel.label_pictures import describe, scene_mosaic
from autolabel.plan import needs_sky, plan_units
from autolabel.run import run_labelling
from polynya.errors import RecipeError, ScenesFailedError
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.label_raster import read_labels, with_labels
from polynya.scenes.reading import open_scene
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder

RASTER = "{stem}_labels.tif"
POND = {"code": 0, "name": "pond", "title": "Melt pond", "color": [0, 90, 255]}
RIDGE = {"code": 1, "name": "ridge", "title": "Ridge", "color": [255, 90, 0]}
MASKS = {"name": "surface", "kind": "masks", "classes": [POND, RIDGE]}
EXCLUSIVE = {"name": "surface", "classes": [POND, RIDGE]}


def recipe_of(classes, **label):
    content = {"classes": classes, "tiles": {"size": 50}, "label": {"raster": RASTER, **label}}
    return Recipe.model_validate(content)


@pytest.fixture
def label(tmp_path, monkeypatch, capsys):
    """Labels all scenes of `scenes` into `out`; gives the rows and what is said."""
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 1)  # Each scene is a unit of its own.

    def run(classes, fails=False):
        (tmp_path / "recipe.yaml").write_text(
            yaml.safe_dump({"classes": classes, "label": {"raster": RASTER}})
        )
        patterns, out = [str(tmp_path / "scenes")], str(tmp_path / "out")
        if fails:
            with pytest.raises(ScenesFailedError):
                run_labelling(patterns, out, tmp_path / "recipe.yaml", False, "here", retries=0)
        else:
            run_labelling(patterns, out, tmp_path / "recipe.yaml", False, "here", pictures=True)
        captured = capsys.readouterr()
        rows = {row.scene_id: row for row in read_manifest(Folder.at(out))}
        return rows, " ".join((captured.out + captured.err).split())

    return run


def test_bands_of_rows_have_the_labels_of_their_rows(tmp_path, write_scene, monkeypatch):
    path = write_scene("a.tif", ice_image(500, 420))
    labels = np.random.default_rng(0).integers(0, 2, (500, 420, 2)).astype(np.uint8)
    labels[490:, 400:, 1] = 255
    write_scene("a_labels.tif", labels)
    recipe = recipe_of(MASKS)
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**14)
    monkeypatch.setattr("autolabel.plan._LEAST_BAND_BYTES", 2**17)
    scene = with_labels(open_scene(str(path)), recipe)
    units = plan_units([scene], recipe)
    assert len(units) > 3
    assert not any(needs_sky(unit, recipe.label) for unit in units)
    folder, (row,) = label_here(recipe, tmp_path / "out", path)
    shards = open_shards(folder)
    found = np.full((500, 420), 9, np.uint8)
    for tile in shards.tiles(shards.row_groups(["a"])):
        found[tile.row : tile.row + 50, tile.col : tile.col + 50] = tile.label
        assert tile.veiled_share is None
    expected = labels[..., 0] + 2 * labels[..., 1]
    expected[490:, 400:] = 255
    assert (found == expected).all()
    assert (read_labels(scene, recipe.classes) == expected).all()
    known = labels[..., 1] < 2
    counts = [(labels[known] == 1)[:, mask].sum() for mask in range(2)]
    assert row.class_pixels == f"pond={counts[0]} ridge={counts[1]}"
    assert (row.valid_pixels, row.veiled_pixels) == (500 * 420, None)


def test_a_scene_is_labelled_again_when_its_labels_change_and_no_other(
    tmp_path, write_scene, label
):
    labels = np.zeros((40, 30), np.uint8)
    for name in ("a", "b"):
        write_scene(f"scenes/{name}.tif", ice_image(40, 30))
        write_scene(f"scenes/{name}_labels.tif", labels)
    rows, said = label(EXCLUSIVE)
    assert set(rows) == {"a", "b"}
    assert "2 files left out that go with other scenes ({stem}_labels.tif)" in said
    assert rows["a"].class_pixels == "pond=1200 ridge=0"
    labels[:10] = 1
    write_scene("scenes/a_labels.tif", labels)
    again, said = label(EXCLUSIVE)
    assert "1 of them before, 1 changed since and labelled again" in said
    assert again["a"].class_pixels == "pond=900 ridge=300"
    assert again["b"] == rows["b"]
    _, said = label(EXCLUSIVE)
    assert "(2 of them before)" in said


def test_labels_that_are_missing_or_wrong_fail_their_scene_only(tmp_path, write_scene, label):
    labels = np.zeros((40, 30), np.uint8)
    for name in ("good", "missing", "wrong", "broken"):
        write_scene(f"scenes/{name}.tif", ice_image(40, 30))
        write_scene(f"scenes/{name}_labels.tif", labels + 9 * (name == "wrong"))
    (tmp_path / "scenes/missing_labels.tif").unlink()
    (tmp_path / "scenes/broken_labels.tif").write_bytes(b"no image")
    rows, said = label(EXCLUSIVE, fails=True)
    assert {name: row.status for name, row in rows.items()} == {
        "good": "done", "missing": "failed", "wrong": "failed", "broken": "failed",
    }  # fmt: skip
    assert "missing.tif has no labels" in rows["missing"].reason
    assert "has the code 9, which is no class of 'surface'" in rows["wrong"].reason
    assert "broken_labels.tif can't be read" in rows["broken"].reason
    assert "1 scenes labelled, 3 failed" in said
    for name in ("missing", "wrong", "broken"):
        write_scene(f"scenes/{name}_labels.tif", labels)
    rows, _ = label(EXCLUSIVE)
    assert {row.status for row in rows.values()} == {"done"}


def test_shares_of_masks_are_of_all_labelled_pixels(tmp_path, write_scene):
    path = write_scene("a.tif", ice_image(10, 20))
    masks = np.zeros((10, 20, 2), np.uint8)
    masks[:, :15, 0], masks[:, 10:, 1], masks[:1, :, 1] = 1, 1, 255
    write_scene("a_labels.tif", masks)
    folder, (row,) = label_here(recipe_of(MASKS), tmp_path / "out", path)
    shards = open_shards(folder)
    mosaic = scene_mosaic(shards, row)
    assert (mosaic.label[0] == 255).all()
    assert mosaic.label[5, [0, 12, 19]].tolist() == [1, 3, 2]
    # Of 200 pixels: 9 x 15, 9 x 10 and a row of 20.
    told = describe(mosaic, shards.classes)
    assert told == "1 tiles; Melt pond 67.5%, Ridge 45.0%, no label 10.0%"


def test_pixels_without_data_have_no_label(tmp_path, write_scene):
    image = ice_image(10, 20)
    image[:, 5] = 0
    path = write_scene("a.tif", image)
    write_scene("a_labels.tif", np.ones((10, 20), np.uint8))
    folder, (row,) = label_here(recipe_of(EXCLUSIVE), tmp_path / "out", path)
    _, (found,) = open_shards(folder).load(["a"], 50)
    assert (found[:10, :20] == np.where(np.arange(20) == 5, 255, 1)).all()
    assert (row.class_pixels, row.valid_pixels) == ("pond=0 ridge=190", 190)


def test_thresholds_find_no_masks(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"classes": MASKS}))
    with pytest.raises(RecipeError, match=r"'classes\.kind' is masks.*name the rasters of your"):
        run_labelling(["a.tif"], str(tmp_path / "out"), path, False, "here")
    assert not (tmp_path / "out").exists()
