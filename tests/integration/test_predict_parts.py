"""Parts of large scenes by several workers: the same files as in one piece, and no work twice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from conftest import ice_image
from inference_models import make_recipe, save_unet

from inference import parts
from inference.parts import Part, read_parts, scene_parts
from inference.predict import open_model, predict_scene
from inference.run import MapOptions, map_scenes
from polynya.errors import ScenesFailedError
from polynya.scenes import open_scene


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_unet(tmp_path_factory.mktemp("model"), make_recipe(32))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "_PART_PIXELS", 4000)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_workers_share_a_scene_and_make_the_same_files(model, write_scene, tmp_path, small_parts):
    image = ice_image(210, 130)
    image[:40, :50] = 0
    scene = write_scene("large.tif", image, nodata=0)
    for engine in ("here", "processes"):
        options = MapOptions(
            model, tmp_path / engine, products=("probability", "polygons", "concentration")
        )
        map_scenes([str(scene)], options, engine, 2)
    here, shared = files_of(tmp_path / "here"), files_of(tmp_path / "processes")
    assert len(here) == 10
    assert here == shared
    assert not (tmp_path / "processes" / "_work").exists()


def test_parts_that_are_there_are_not_predicted_again(
    model, write_scene, tmp_path, small_parts, monkeypatch
):
    scene = write_scene("large.tif", ice_image(210, 130))
    broken = write_scene("broken.tif", ice_image(210, 130))
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    options = MapOptions(model, tmp_path / "out")
    with pytest.raises(ScenesFailedError, match="1 of 2 scenes failed"):
        map_scenes([str(scene), str(broken)], options, "processes", 1)
    left = sorted((tmp_path / "out" / "_work").glob("large.*.npz"))
    assert len(left) == 7
    # With its parts in place the map of the scene is made without the model.
    (tmp_path / "out" / "large.json").unlink()
    before = (tmp_path / "out" / "large.tif").read_bytes()
    broken.write_bytes(content)
    times = [file.stat().st_mtime_ns for file in left]
    seen = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: seen.extend(
        file.stat().st_mtime_ns for file in sorted(path.glob("large.*.npz"))
    ))  # fmt: skip
    map_scenes([str(scene), str(broken)], options, "processes", 1)
    assert seen == times
    assert (tmp_path / "out" / "large.tif").read_bytes() == before


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
