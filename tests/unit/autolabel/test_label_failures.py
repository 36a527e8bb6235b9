"""Labelling runs in which scenes, workers or the output fail."""

import importlib

import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import Counting, HereEngine, ice_image, label_here

from autolabel.plan import plan_units
from autolabel.run import label_scenes
from autolabel.tasks import Job, SkyTask, find_scene_sky, label_unit
from helpers.shards.shard_files import contents
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import open_scene, read_scene
from polynya.shards.dataset import open_shards
from polynya.shards.lifecycle import start_dataset
from polynya.storage.folder import Folder


def test_what_failed_before_a_run_was_cut_is_tried_again(
    tmp_path, write_scene, small_bands, monkeypatch
):
    recipe = Recipe.model_validate({"tiles": {"size": 50}, "label": {"method": "none"}})
    path = write_scene("a.tif", ice_image(300, 200))
    folder = start_dataset(tmp_path / "out", recipe)
    job, refs = Job(recipe, folder, retries=0), [SceneRef("a", str(path))]
    with monkeypatch.context() as patch:
        patch.setattr("autolabel.tasks.read_scene", sometimes_read(in_vain=1))
        (failed,) = label_scenes(refs, job, HereEngine())
    assert failed.status == "failed"
    again = Counting()
    (done,) = label_scenes(refs, job, again)
    assert done.status == "done"
    assert again.done == 1


def sometimes_read(in_vain):
    """A `read_scene` that fails some times first, as over a bad network."""
    attempts = []

    def read(scene, window=None):
        attempts.append(scene.id)
        if len(attempts) <= in_vain:
            raise OSError(5, "Input/output error")
        return read_scene(scene, window)

    read.attempts = attempts
    return read


def test_a_damaged_band_fails_its_scene_and_no_other(tmp_path, write_scene, small_bands):
    good = write_scene("good.tif", ice_image(300, 200))
    noise = np.random.default_rng(0).integers(1, 255, (300, 200, 3), np.uint8)
    cut = write_scene("cut.tif", noise)
    cut.write_bytes(cut.read_bytes()[:100_000])
    for method in ("none", "illumination"):
        recipe = Recipe.model_validate({"tiles": {"size": 50}, "label": {"method": method}})
        folder, results = label_here(recipe, tmp_path / method, good, cut)
        by_id = {result.scene_id: result for result in results}
        assert by_id["good"].status == "done"
        assert by_id["cut"].status == "failed"
        assert "cut.tif can't be read" in by_id["cut"].reason
        assert (by_id["cut"].tiles, by_id["cut"].failed, by_id["cut"].labelled) == (24, 24, 0)
        assert open_shards(folder).scene_ids == ("good",)
        assert all(name.startswith("good") for name in contents(folder))


def test_a_scene_that_fails_is_tried_again(tmp_path, write_scene, monkeypatch):
    monkeypatch.setattr("polynya.attempt._FIRST_WAIT", 0.001)
    path = str(write_scene("a.tif", ice_image(64, 64)))
    for retries, status in ((1, "failed"), (2, "done")):
        read = sometimes_read(in_vain=2)
        monkeypatch.setattr("autolabel.tasks.read_scene", read)
        folder = start_dataset(tmp_path / status, Recipe())
        job = Job(Recipe(), folder, retries)
        (result,) = label_scenes([SceneRef("a", path)], job, HereEngine())
        assert result.status == status
        assert len(read.attempts) == retries + 1


@pytest.mark.parametrize("deadly", ["sky", "unit"])
def test_a_scene_that_ends_its_workers_is_named(tmp_path, write_scene, small_bands, deadly):
    class Deadly(HereEngine):
        """Nothing comes back of tasks of the scene "deadly"."""

        def run(self, task, items, advance):
            scenes = [
                item.scene if isinstance(item, SkyTask) else item.parts[0].scene for item in items
            ]
            kind = "sky" if isinstance(items[0], SkyTask) else "unit"
            if kind == deadly and any(scene.id == "deadly" for scene in scenes):
                return [None] * len(items)
            return super().run(task, items, advance)

    recipe = Recipe.model_validate({"tiles": {"size": 50}})
    folder = start_dataset(tmp_path / "out", recipe)
    paths = [write_scene(f"{name}.tif", ice_image(300, 200)) for name in ("deadly", "good")]
    refs = [SceneRef(path.stem, str(path)) for path in paths]
    by_id = {r.scene_id: r for r in label_scenes(refs, Job(recipe, folder, 0), Deadly())}
    assert by_id["good"].status == "done"
    assert by_id["deadly"].status == "failed"
    assert "deadly.tif made every worker process end" in by_id["deadly"].reason
    assert by_id["deadly"].failed == by_id["deadly"].tiles == 24


def test_an_output_that_can_not_be_written_fails_the_scenes(tmp_path, write_scene):
    scene = open_scene(str(write_scene("a.tif", ice_image(64, 64))))
    (tmp_path / "out").touch()
    job = Job(Recipe(), Folder.at(tmp_path / "out"), retries=0)
    (unit,) = plan_units([scene], Recipe())
    (result,) = label_unit(unit, job)
    assert "a.tif could not be written: " in result.reason
    assert "choose another --out" in find_scene_sky(SkyTask.of(unit.parts[0], Recipe()), job)


# === Whatever goes wrong with one scene ===


def break_on(monkeypatch, place, error):
    """Make a function fail for the scene 'bad', wherever its arguments name it."""
    module, name = place.rsplit(".", 1)
    works = getattr(importlib.import_module(module), name)

    def breaks(*args, **kwargs):
        if "bad" in repr(args):
            raise error
        return works(*args, **kwargs)

    monkeypatch.setattr(place, breaks)


ODD = [
    MemoryError(), ZeroDivisionError("division by zero"), RecursionError("too deep"),
    UnicodeEncodeError("utf-8", "\udcf8", 0, 1, "surrogates not allowed"), cv2.error("assertion"),
    IndexError("index 3 is out of bounds"), KeyError("crs"), AssertionError(), OSError(5, "I/O"),
]  # fmt: skip


@pytest.mark.parametrize("place", [
    "autolabel.inspection.open_scene", "autolabel.inspection.labelled_digest",
    "autolabel.tasks.read_scene", "autolabel.tasks.tile_row", "autolabel.run._join",
])  # fmt: skip
def test_a_scene_with_which_anything_goes_wrong_is_a_row_and_the_others_are_done(
    tmp_path, write_scene, monkeypatch, place
):
    names = ("a", "bad", "c")
    paths = {name: write_scene(f"{name}.tif", ice_image(64, 64, i)) for i, name in enumerate(names)}
    recipe = Recipe.model_validate({"label": {"method": "none"}})
    for number, error in enumerate(ODD):
        with monkeypatch.context() as patch:
            break_on(patch, place, error)
            folder, results = label_here(recipe, tmp_path / str(number), *paths.values())
        status = {result.scene_id: result.status for result in results}
        assert status == {"a": "done", "bad": "failed", "c": "done"}, error
        (reason,) = (result.reason for result in results if result.reason)
        assert str(paths["bad"]) in reason
        assert "\n" not in reason
        # Of a scene that broke when it was half written, nothing is in the shards.
        tiles = ds.dataset(folder.place).to_table()["scene_id"].to_pylist()
        assert sorted(tiles) == ["a", "c"] or place.endswith("_join")
        assert open_shards(folder).scene_ids == ("a", "c")


def test_what_goes_wrong_with_a_sky_is_a_row_too(tmp_path, write_scene, small_bands, monkeypatch):
    paths = [write_scene(f"{name}.tif", ice_image(300, 200)) for name in ("bad", "good")]
    break_on(
        monkeypatch,
        "autolabel.filters.illumination.scene_sky.read_scene",
        np.linalg.LinAlgError("singular"),
    )
    recipe = Recipe.model_validate({"tiles": {"size": 50}})
    _, results = label_here(recipe, tmp_path / "out", *paths)
    assert {r.scene_id: r.status for r in results} == {"bad": "failed", "good": "done"}
