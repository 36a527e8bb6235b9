"""Finding scenes, and what they are called."""

import os
import re

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from polynya.names import printable, scene_id, unique_id
from polynya.scenes.finding import find_scenes
from polynya.scenes.reading import open_scene, read_scene
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import register_file
from polynya.storage.stores import encodable, gdal_path


def test_a_scene_is_found_once_however_it_is_spelt(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.tif").touch()
    (tmp_path / "link.tif").symlink_to("a/x.tif")
    (tmp_path / "b").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    spelt = ["a/x.tif", "./a/x.tif", "a//x.tif", f"file://{tmp_path}/a/x.tif", "b/x.tif", "a/*.tif",
             f"{tmp_path}/a/../a/x.tif", "link.tif"]  # fmt: skip
    assert [(ref.id, ref.uri) for ref in find_scenes(spelt)] == [("x", "a/x.tif")]
    assert [ref.uri for ref in find_scenes(["./a/x.tif", "a/x.tif"])] == ["./a/x.tif"]


def test_ids_do_not_depend_on_spelling(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.tif").touch()
    monkeypatch.chdir(tmp_path)
    one = [ref.id for ref in find_scenes(["a", "b"])]
    other = [ref.id for ref in find_scenes([f"{tmp_path}/b/../b", f"file://{tmp_path}/a/x.tif"])]
    assert one == other
    assert len(set(one)) == 2
    assert unique_id("a/x.tif") == unique_id(f"{tmp_path}/a/x.tif")


def test_ids_differ_where_capitals_do_not_count(tmp_path):
    for name in ("A.tif", "a.tif", "b.tif"):
        (tmp_path / name).touch()
    ids = [ref.id.lower() for ref in find_scenes([str(tmp_path)])]
    assert len(set(ids)) == 3
    assert "b" in ids


@pytest.mark.parametrize(
    "name",
    ["____.tif", "_x.tif", ".x.tif", "сцена.tif", "海氷.png", "-x.tif", "..tif", "x" * 240 + ".tif",
     "s\udcf8is.tif", "a b/c\nd.tif"],
)  # fmt: skip
def test_an_id_is_visible_safe_and_short(name):
    found = scene_id(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", found)
    assert found == scene_id(f"/some/where/{name}")


def test_names_of_which_nothing_is_left_differ():
    names = ["лёд.tif", "снег.tif", "вода.tif", "____.tif"]
    assert len({scene_id(name) for name in names}) == 4


def test_a_folder_leaves_out_what_is_hidden_and_what_accompanies_scenes(tmp_path, capsys):
    kept = ["x_clear.tif", "x_both.tif", "y_truth.tif", "z.tif"]
    for name in [*kept, "._x_clear.tif", ".hidden.png", "x_truth.tif", "x_sky.tif"]:
        (tmp_path / name).touch()
    found = [os.path.basename(ref.uri) for ref in find_scenes([str(tmp_path)])]
    assert sorted(found) == sorted(kept)
    told = capsys.readouterr().err
    assert "4 of 8 rasters left out (2 hidden, 2 truth or sky of other scenes)" in told
    assert len(find_scenes([str(tmp_path), str(tmp_path / "x_truth.tif")])) == 5


def test_a_folder_leaves_out_our_own_maps_and_pictures_but_not_our_scenes(
    tmp_path, write_scene, capsys
):
    write_scene("x.tif", ice_image(8, 8))
    for name, tags in [
        ("map.tif", {"polynya_version": "1", "model_digest": "2"}),
        ("scene.tif", {"polynya_version": "1", "item_digest": "2"}),
    ]:
        with rasterio.open(write_scene(name, ice_image(8, 8)), "r+") as target:
            target.update_tags(**tags)
    assert [ref.id for ref in find_scenes([str(tmp_path)])] == ["scene", "x"]
    maps = tmp_path / "maps"
    with open_output(maps, "maps"):
        write_scene("maps/.work.png", ice_image(8, 8))
        register_file(maps / ".work.png", maps / "x_overview.png")
        (maps / ".work.png").rename(maps / "x_overview.png")
    write_scene("maps/users.tif", ice_image(8, 8))
    assert [ref.id for ref in find_scenes([str(maps)])] == ["users"]
    assert "1 made by Polynya" in capsys.readouterr().err
    assert [ref.id for ref in find_scenes([str(tmp_path / "map.tif")])] == ["map"]


def test_names_that_are_no_utf_8_become_addresses_that_everything_can_hold(tmp_path, write_scene):
    path = write_scene("x.tif", ice_image(8, 8))
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/s\xf8 \n.tif")
    os.rename(path, strange)
    (ref,) = find_scenes([str(tmp_path)])
    assert ref.uri.isprintable()
    assert ref.uri.encode()
    assert gdal_path(ref.uri) == strange
    assert np.array_equal(read_scene(open_scene(ref.uri, name=ref.id))[0], ice_image(8, 8))
    assert encodable("plain ü.tif") == "plain ü.tif"
    assert printable("s\udcf8\x1b[31m") == "s\\xf8\\x1b[31m"


def test_a_file_uri_is_decoded_or_taken_as_it_is(tmp_path):
    (tmp_path / "a b.tif").touch()
    (tmp_path / "c%20d.tif").touch()
    assert gdal_path(f"file://{tmp_path}/a%20b.tif") == str(tmp_path / "a b.tif")
    assert gdal_path(f"file://localhost{tmp_path}/a b.tif") == str(tmp_path / "a b.tif")
    assert gdal_path(f"file://{tmp_path}/c%20d.tif") == str(tmp_path / "c%20d.tif")
