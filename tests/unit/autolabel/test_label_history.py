"""A data set that is there already: what of it still holds, and what is labelled again."""

import os
import shutil

import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import HereEngine, ice_image

from autolabel.run import label_scenes, run_labelling
from autolabel.tasks import Job
from polynya.errors import OutputError, ScenesFailedError
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import read_scene
from polynya.shards.dataset import open_shards
from polynya.shards.lifecycle import finish_dataset, open_dataset, start_dataset
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder


@pytest.fixture
def label(tmp_path, capsys):
    """Labels scenes into `out`; gives what is said, stdout and stderr on one line."""

    def run(*scenes, out="out", fails=False, overwrite=False):
        patterns = [str(scene) for scene in scenes]
        try:
            run_labelling(patterns, str(tmp_path / out), None, overwrite, "here")
        except ScenesFailedError:
            assert fails
        else:
            assert not fails
        captured = capsys.readouterr()
        return " ".join((captured.out + captured.err).split())

    return run


@pytest.fixture
def alone(monkeypatch):
    """Each scene is a unit of its own."""
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 1)


def rows(tmp_path, out="out"):
    return {row.scene_id: row for row in read_manifest(Folder.at(tmp_path / out))}


def shard_bytes(tmp_path, out="out"):
    return {path.name: path.read_bytes() for path in (tmp_path / out).glob("*.parquet")}


def image_in(tmp_path, scene_id, out="out"):
    tiles, _ = open_shards(tmp_path / out).load([scene_id], 256)
    return tiles[0]


def test_a_killed_run_leaves_nothing_for_other_scenes_of_the_same_names(
    tmp_path, write_scene, alone
):
    class Killed(HereEngine):
        def run(self, task, items, advance):
            super().run(task, items[:2], advance)
            raise KeyboardInterrupt

    for folder in ("old", "new"):
        for number in range(4):
            seed = number + 10 * (folder == "new")
            write_scene(f"{folder}/s{number}.tif", ice_image(64, 64, seed))
    out = tmp_path / "out"
    job = Job(Recipe(), start_dataset(out, Recipe()), 0)
    old = [SceneRef(f"s{n}", str(tmp_path / f"old/s{n}.tif")) for n in range(4)]
    with pytest.raises(KeyboardInterrupt):
        label_scenes(old, job, Killed())
    assert len(list((out / "_work").glob("*.json"))) == 2
    run_labelling([str(tmp_path / "new")], str(out), None, False, "here")
    run_labelling([str(tmp_path / "new")], str(tmp_path / "fresh"), None, False, "here")
    assert shard_bytes(tmp_path) == shard_bytes(tmp_path, "fresh")
    for number in range(4):
        assert (image_in(tmp_path, f"s{number}")[:64, :64] == ice_image(64, 64, number + 10)).all()


def test_shards_do_not_depend_on_where_scenes_lie_or_when_they_were_written(
    tmp_path, write_scene, label, alone, monkeypatch
):
    path = write_scene("here/a.tif", ice_image(64, 64))
    label(path)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    os.utime(tmp_path / "there/a.tif", (0, 0))
    monkeypatch.chdir(tmp_path / "there")
    label("./a.tif", out="other")
    assert shard_bytes(tmp_path) == shard_bytes(tmp_path, "other")


def test_a_scene_with_other_pixels_is_labelled_again(tmp_path, write_scene, label, alone):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(3)]
    label(*paths)
    before, digest = shard_bytes(tmp_path), rows(tmp_path)["s1"].digest
    time = paths[1].stat().st_mtime_ns
    write_scene("s1.tif", ice_image(64, 64, 9))
    os.utime(paths[1], ns=(time, time))
    said = label(*paths)
    assert "3 scenes labelled (2 of them before, 1 changed since and labelled again), 0 f" in said
    after = shard_bytes(tmp_path)
    assert len(after) == 3
    assert len(before.keys() & after.keys()) == 2
    assert (image_in(tmp_path, "s1")[:64, :64] == ice_image(64, 64, 9)).all()
    assert rows(tmp_path)["s1"].digest != digest
    assert "3 scenes labelled (3 of them before), 0 failed" in label(*paths)


def test_a_mask_beside_a_scene_is_part_of_it(tmp_path, write_scene, label):
    path = write_scene("a.tif", ice_image(64, 64))
    label(path)
    mask = np.full((64, 64), 255, np.uint8)
    mask[:32] = 0
    import rasterio

    with rasterio.open(path, "r+") as target:
        target.write_mask(mask)
    assert "changed since and labelled again" in label(path)
    assert rows(tmp_path)["a"].valid_pixels == 32 * 64


def test_a_scene_that_shares_its_file_takes_its_neighbours_along(tmp_path, write_scene, label):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(3)]
    label(*paths)
    assert len(shard_bytes(tmp_path)) == 1
    write_scene("s1.tif", ice_image(64, 64, 9))
    said = label(paths[1])
    assert "1 scenes labelled (1 changed since and labelled again), 0 failed" in said
    label(*paths, out="fresh")
    assert shard_bytes(tmp_path) == shard_bytes(tmp_path, "fresh")
    table = ds.dataset(tmp_path / "out").to_table()
    assert sorted(table["scene_id"].to_pylist()) == ["s0", "s1", "s2"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_text("mine")])
def test_a_shard_that_somebody_changed_stays_and_its_scenes_fail(
    tmp_path, write_scene, label, alone, damage
):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(3)]
    label(*paths)
    before = shard_bytes(tmp_path)
    shard = tmp_path / "out" / rows(tmp_path)["s1"].files
    damage(shard)
    left = shard.read_bytes()
    said = label(*paths, fails=True)
    assert f"{shard.name} is in its place and is not Polynya's; move it away" in said
    assert shard.read_bytes() == left
    assert [row.status for row in rows(tmp_path).values()] == ["done", "failed", "done"]
    shard.rename(tmp_path / "mine.parquet")
    label(*paths)
    assert shard_bytes(tmp_path) == before


@pytest.mark.parametrize("damage", [os.unlink, cut])
def test_a_shard_that_is_gone_or_cut_is_made_again(tmp_path, write_scene, label, alone, damage):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(3)]
    label(*paths)
    before = shard_bytes(tmp_path)
    shard = tmp_path / "out" / rows(tmp_path)["s1"].files
    damage(shard)
    said = label(*paths)
    assert "(2 of them before, 1 labelled again because shards were gone or changed)" in said
    assert shard_bytes(tmp_path) == before


def test_a_shard_of_other_scenes_that_is_gone_leaves_the_manifest(
    tmp_path, write_scene, label, alone
):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(2)]
    label(*paths)
    (tmp_path / "out" / rows(tmp_path)["s1"].files).unlink()
    said = label(paths[0])
    assert f"is gone; label {paths[1]} again." in said
    assert (rows(tmp_path)["s1"].status, rows(tmp_path)["s1"].files) == ("failed", "")
    assert open_shards(tmp_path / "out").scene_ids == ("s0",)
    label(*paths)
    assert open_shards(tmp_path / "out").scene_ids == ("s0", "s1")


def test_a_folder_that_moved_has_the_same_scenes(tmp_path, write_scene, label):
    label(write_scene("x/a.tif", ice_image(64, 64)))
    (tmp_path / "x").rename(tmp_path / "y")
    assert "1 scenes labelled (1 of them before), 0 failed" in label(tmp_path / "y/a.tif")
    assert [(row.scene_id, row.uri) for row in rows(tmp_path).values()] == [
        ("a", str(tmp_path / "y/a.tif"))
    ]


def test_a_scene_that_can_not_be_looked_at_keeps_its_tiles(tmp_path, write_scene, label, alone):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(2)]
    label(*paths)
    before = rows(tmp_path)
    paths[1].unlink()
    said = label(*paths, fails=True)
    assert "s1.tif does not exist; check the path. Its tiles in the data set stay." in said
    assert "1 scenes labelled (1 of them before), 1 failed" in said
    assert rows(tmp_path) == before
    assert "1 other scenes of the data set are no longer where they were" in label(paths[0])
    assert open_shards(tmp_path / "out").scene_ids == ("s0", "s1")


def test_a_scene_that_is_broken_now_loses_its_old_tiles(tmp_path, write_scene, label, alone):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(2)]
    label(*paths)
    paths[1].write_bytes(b"no image")
    label(*paths, fails=True)
    assert rows(tmp_path)["s1"].status == "failed"
    assert len(shard_bytes(tmp_path)) == 1


def test_a_scene_that_changes_while_it_is_labelled_is_a_failure(
    tmp_path, write_scene, label, monkeypatch
):
    path = write_scene("a.tif", ice_image(64, 64))

    def arrives(scene, window=None):
        write_scene("a.tif", ice_image(64, 64, 5))
        return read_scene(scene, window)

    monkeypatch.setattr("autolabel.tasks.read_scene", arrives)
    assert "a.tif changed while it was labelled; label it again" in label(path, fails=True)
    assert shard_bytes(tmp_path) == {}
    monkeypatch.undo()
    label(path)
    assert (image_in(tmp_path, "a")[:64, :64] == ice_image(64, 64, 5)).all()


def test_copies_of_a_scene_are_named(tmp_path, write_scene, label):
    image = ice_image(64, 64)
    said = label(*(write_scene(f"{name}.tif", image) for name in "ab"))
    assert "a.tif, " in said
    assert "b.tif have the same content" in said


def test_a_users_file_in_the_place_of_a_shard_stays(tmp_path, write_scene, label, alone):
    paths = [write_scene(f"s{n}.tif", ice_image(64, 64, n)) for n in range(2)]
    label(*paths, out="other")
    (shard,) = (path for path in (tmp_path / "other").glob("s0*.parquet"))
    start_dataset(tmp_path / "out", Recipe())
    mine = tmp_path / "out" / shard.name
    mine.write_text("mine")
    said = label(*paths, fails=True)
    assert f"{shard.name} is in its place and is not Polynya's; move it away" in said
    assert mine.read_text() == "mine"
    assert rows(tmp_path)["s1"].status == "done"
    mine.unlink()
    assert "2 scenes labelled (1 of them before), 0 failed" in label(*paths)


def test_a_second_run_at_the_same_time_is_refused_and_nothing_is_lost(tmp_path, write_scene, label):
    path = write_scene("a.tif", ice_image(64, 64))
    with open_dataset(tmp_path / "out", Recipe()):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="Another run uses the folder"):
                label(path, overwrite=overwrite)
    label(path)
    assert rows(tmp_path)["a"].status == "done"


def test_the_manifest_gets_the_scenes_that_others_added_meanwhile(
    tmp_path, write_scene, label, monkeypatch
):
    """As in an object store, where two runs that begin in the same moment may both go on."""
    label(write_scene("a.tif", ice_image(64, 64)))
    from autolabel import run

    def beside(found, job, engine):
        results = list(read_manifest(job.folder))
        (other,) = work([job_of_b], job, engine)
        finish_dataset(job.folder, [*results, other])
        return work(found, job, engine)

    work = run.label_found
    (job_of_b,) = run.find_contents(
        [SceneRef("b", str(write_scene("b.tif", ice_image(64, 64, 1))))], Recipe(), 0
    )
    monkeypatch.setattr(run, "label_found", beside)
    label(write_scene("c.tif", ice_image(64, 64, 2)))
    assert set(rows(tmp_path)) == {"a", "b", "c"}
