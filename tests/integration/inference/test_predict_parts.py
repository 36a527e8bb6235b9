"""Parts of large scenes by several workers: the same files as in one piece, and no work twice."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
from conftest import HereEngine, ice_image

from helpers.maps.inference_commands import names
from helpers.maps.inference_models import make_recipe, save_unet
from inference.predict import parts
from inference.predict.parts import Part, read_parts, scene_parts
from inference.predict.predict import open_model, predict_scene
from inference.run import large_scenes as large
from inference.run.options import MapOptions
from inference.run.scenes import map_scenes
from polynya.errors import OutputError, ScenesFailedError
from polynya.scenes.reading import open_scene


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_unet(tmp_path_factory.mktemp("model"), make_recipe(32))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "_PART_PIXELS", 4000)


def map_as_workers_do(patterns, options, monkeypatch):
    """Map in this process, but as workers do it: parts first."""
    monkeypatch.setattr("inference.run.scenes.open_engine", lambda *_: nullcontext(HereEngine()))
    map_scenes(patterns, options, "processes")


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in names(folder)}


@pytest.mark.parametrize("nodata", [0, None])
def test_workers_share_a_scene_and_make_the_same_files(
    model, write_scene, tmp_path, small_parts, nodata
):
    image = ice_image(210, 130)
    image[:40, :50] = 0
    image[50:150, 60:70] = 0  # In a file that marks no nodata, this is a lake.
    scene = write_scene("large.tif", image, nodata=nodata)
    for engine in ("here", "processes"):
        products = ("probability", "polygons", "concentration")
        options = MapOptions(model, tmp_path / engine, overrides={"inference.products": products})
        map_scenes([str(scene)], options, engine, 2)
    here, shared = files_of(tmp_path / "here"), files_of(tmp_path / "processes")
    assert len(here) == 13
    assert here == shared
    assert not (tmp_path / "processes" / "_work").exists()


def test_parts_that_are_there_are_not_predicted_again(
    model, write_scene, tmp_path, small_parts, monkeypatch
):
    scene = write_scene("large.tif", ice_image(210, 130))
    options, work = MapOptions(model, tmp_path / "out"), tmp_path / "out" / "_work"
    with monkeypatch.context() as broken:
        # As if the run had been stopped when the parts were done.
        broken.setattr("inference.run.scenes.map_scene", None)
        with pytest.raises(ScenesFailedError, match="1 of 1 scenes"):
            map_as_workers_do([str(scene)], options, broken)
    left = sorted(work.glob("large.*.npz"))
    assert len(left) == 7
    content = {file.name: file.read_bytes() for file in left}

    # One was cut since, and one is gone.
    left[3].write_bytes(content[left[3].name][:5000])
    left[4].unlink()
    predicted = []

    def predict_part(*args, **options):
        predicted.append(args[3].name)
        return original(*args, **options)

    original = large.predict_part
    monkeypatch.setattr(large, "predict_part", predict_part)
    map_as_workers_do([str(scene)], options, monkeypatch)
    assert predicted == [left[3].name, left[4].name]
    assert not work.exists()
    map_scenes([str(scene)], MapOptions(model, tmp_path / "here"), "here")
    maps = [(tmp_path / name / "large.tif").read_bytes() for name in ("here", "out")]
    assert maps[0] == maps[1]


def test_parts_of_a_scene_that_changed_are_deleted(
    model, write_scene, tmp_path, small_parts, monkeypatch
):
    options = MapOptions(model, tmp_path / "out")
    with monkeypatch.context() as broken:
        broken.setattr("inference.run.scenes.map_scene", None)
        for seed in (0, 1):
            scene = write_scene("large.tif", ice_image(210, 130, seed))
            with pytest.raises(ScenesFailedError):
                map_as_workers_do([str(scene)], options, broken)
            assert len(list((tmp_path / "out" / "_work").glob("*.npz"))) == 7
    map_as_workers_do([str(scene)], options, monkeypatch)
    assert not (tmp_path / "out" / "_work").exists()


def test_a_damaged_part_is_one_sentence(model, write_scene, tmp_path, small_parts):
    opened = open_model(model)
    scene = open_scene(str(write_scene("large.tif", ice_image(210, 130))))
    file = tmp_path / "part.npz"
    parts.predict_part(opened, scene, scene_parts(opened, scene)[0], file, with_probabilities=True)
    content = file.read_bytes()
    for damaged in (b"", content[:3000], content[:-400], content[:800] + bytes(99) + content[899:]):
        file.write_bytes(damaged)
        with pytest.raises(OutputError, match=r"part.npz is damaged; run the same command again"):
            list(read_parts([file], 255))


def test_the_parts_of_a_scene_follow_each_other(model, write_scene, tmp_path, small_parts):
    opened = open_model(model)
    scene = open_scene(str(write_scene("large.tif", ice_image(210, 130))))
    planned = scene_parts(opened, scene)
    assert len(planned) == 7
    assert planned[0] == Part("large", scene.uri, 0, planned[1].first)
    assert all(a.stop == b.first for a, b in pairwise(planned))
    files = [tmp_path / f"{part.first}.npz" for part in planned]
    for part, file in zip(planned, files, strict=True):
        parts.predict_part(opened, scene, part, file, with_probabilities=True)
    whole = predict_scene(opened, scene, with_probabilities=True)
    bands = list(read_parts(files, 255))
    np.testing.assert_array_equal(np.concatenate([b.codes(255) for b in bands]), whole.codes)
    np.testing.assert_array_equal(
        np.concatenate([b.probabilities for b in bands]), whole.probabilities
    )


def test_small_scenes_and_those_that_are_turned_are_one_part(model, write_scene, small_parts):
    opened = open_model(model)
    small = open_scene(str(write_scene("small.tif", ice_image(40, 50))))
    photo = open_scene(str(write_scene("photo.tif", ice_image(210, 130), crs=None)))
    assert len(scene_parts(opened, small)) == 1
    assert len(scene_parts(opened, photo)) == 1
