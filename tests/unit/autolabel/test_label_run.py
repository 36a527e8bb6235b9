"""Labelling runs in this process: bands, resuming, names; real workers are in integration."""

import os

import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import Counting, ice_image, label_here

from autolabel import label_image
from autolabel.run import label_scenes, run_labelling
from autolabel.tasks import Job
from data_samples import make_scene
from helpers.shards.shard_files import contents
from polynya.errors import OutputError, ScenesFailedError
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.shards.dataset import open_shards
from polynya.shards.lifecycle import start_dataset
from polynya.shards.manifest import read_manifest
from polynya.storage.folder import Folder


@pytest.mark.parametrize("options", [
    {},
    {"images": "filtered", "uncertain": "nodata", "thick_cloud": "nodata", "most_haze": 0.2},
    {"method": "none"},
    {"method": "published", "scope": "tile"},
    {"method": "published"},
])  # fmt: skip
def test_bands_have_the_labels_of_the_whole_scene(tmp_path, write_scene, monkeypatch, options):
    scene = make_scene(507, 1, (500, 420), "both")
    path = write_scene("a.tif", scene.observed)
    recipe = Recipe.model_validate({"tiles": {"size": 50}, "label": options})
    whole, (expected,) = label_here(recipe, tmp_path / "whole", path)
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**14)
    monkeypatch.setattr("autolabel.plan._LEAST_BAND_BYTES", 2**17)
    monkeypatch.setattr("autolabel.filters.illumination.scene_sky._STRIP_ROWS", 96)
    cut, (result,) = label_here(recipe, tmp_path / "cut", path)
    in_bands = options != {"method": "published"}
    assert (len(contents(cut)) > 3) == in_bands
    for one, other in zip(
        open_shards(whole).load(["a"], 50), open_shards(cut).load(["a"], 50), strict=True
    ):
        assert (one == other).all()
    for name in ("tiles", "labelled", "nodata", "valid_pixels", "veiled_pixels", "class_pixels",
                 "thick_cloud_pixels", "uncertain_pixels"):  # fmt: skip
        assert getattr(result, name) == getattr(expected, name)
    assert not any(name.startswith("_work") for name in cut.names())


@pytest.mark.parametrize("method", ["illumination", "published"])
def test_labels_of_people_go_with_filtered_images(tmp_path, write_scene, monkeypatch, method):
    scene = make_scene(507, 1, (300, 320), "both")
    path = write_scene("a.tif", scene.observed)
    write_scene("a_labels.tif", scene.truth)
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**14)
    monkeypatch.setattr("autolabel.plan._LEAST_BAND_BYTES", 2**17)

    def labelled(folder, **options):
        label = {"method": method, "images": "filtered", **options}
        recipe = Recipe.model_validate({"tiles": {"size": 50}, "label": label})
        dataset, _ = label_here(recipe, tmp_path / folder, path)
        return open_shards(dataset).load(["a"], 50)[:2]

    images, labels = labelled("people", raster="{stem}_labels.tif")
    filtered, found = labelled("thresholds")
    originals, same = labelled("originals", raster="{stem}_labels.tif", images="original")
    assert (images == filtered).all()
    assert (images != originals).any()
    assert (labels == same).all()
    assert (labels != found).any()


def test_only_scenes_with_infrared_get_other_labels_by_default(tmp_path, write_scene, monkeypatch):
    image = make_scene(507, 1, (300, 320), "both").observed
    infrared = np.full((300, 320), 255, np.uint8)  # In the short-wave infrared, all is cloud.
    colors = write_scene("colors.tif", image)
    names = ("red", "green", "blue", "swir16")
    more = write_scene("more.tif", np.dstack([image, infrared]), descriptions=names)

    def labelled(folder, path, **options):
        recipe = Recipe.model_validate({"tiles": {"size": 50}, **options})
        dataset, _ = label_here(recipe, tmp_path / folder, path)
        images, labels = open_shards(dataset).load([path.stem], 50)[:2]
        return images.tobytes(), labels.tobytes()

    none = {"scene": {"layers": None}, "label": {"thick_cloud": "nodata"}}
    by_default = {"label": {"thick_cloud": "nodata"}}
    of_colors = labelled("a", colors, **none)
    assert labelled("b", colors, **by_default) == of_colors
    assert labelled("c", more, **none) == of_colors
    assert labelled("d", more, **by_default) != of_colors
    # Filters that use no layers don't read them.
    monkeypatch.setattr("autolabel.tasks.read_layers", None)
    labelled("e", more, label={"method": "none"})


def test_a_data_set_without_layers_is_not_mixed_with_them(tmp_path, write_scene):
    path = write_scene("a.tif", make_scene(507, 1, (300, 320), "both").observed)
    older = tmp_path / "older.yaml"
    older.write_text("scene: {layers: null}\n")
    run_labelling([str(path)], tmp_path / "shards", older, False, "here")
    with pytest.raises(OutputError, match="shards of another recipe"):
        run_labelling([str(path)], tmp_path / "shards", None, False, "here")
    run_labelling([str(path)], tmp_path / "shards", older, False, "here")


def test_black_means_the_same_in_bands_and_in_the_whole_scene(tmp_path, write_scene, monkeypatch):
    image = ice_image(700, 420)
    image[90:140, 20:40] = 0  # A lake.
    image[:650, 60] = image[650, 60:90] = image[140:650, 90] = 0  # Down from the edge and up again.
    path = write_scene("a.tif", image)
    recipe = Recipe.model_validate({"tiles": {"size": 50}, "label": {"method": "none"}})
    whole, (expected,) = label_here(recipe, tmp_path / "whole", path)
    assert expected.valid_pixels == 700 * 420 - 650 - 30 - 510
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 2**14)
    monkeypatch.setattr("autolabel.plan._LEAST_BAND_BYTES", 2**17)
    cut, (result,) = label_here(recipe, tmp_path / "cut", path)
    assert len(contents(cut)) > 3
    assert result.class_pixels == expected.class_pixels
    for one, other in zip(
        open_shards(whole).load(["a"], 50), open_shards(cut).load(["a"], 50), strict=True
    ):
        assert (one == other).all()


@pytest.mark.parametrize("stop_after", [0, 1, 2, 5, 8])
def test_a_run_that_was_cut_goes_on_where_it_was(tmp_path, write_scene, small_bands, stop_after):
    recipe = Recipe.model_validate({"tiles": {"size": 50}})
    images = [make_scene(507, i, (300, 200 + 40 * i), "both").observed for i in range(3)]
    paths = [write_scene(f"s{i}.tif", image) for i, image in enumerate(images)]
    undisturbed, expected = label_here(recipe, tmp_path / "undisturbed", *paths)

    folder = start_dataset(tmp_path / "cut", recipe)
    refs = [SceneRef(path.stem, str(path)) for path in paths]
    job = Job(recipe, folder, retries=0)
    all_tasks = Counting()
    label_scenes(refs, Job(recipe, start_dataset(tmp_path / "count", recipe), 0), all_tasks)
    with pytest.raises(KeyboardInterrupt):
        label_scenes(refs, job, Counting(stop_after))
    rest = Counting()
    assert label_scenes(refs, job, rest) == expected
    assert rest.done == all_tasks.done - stop_after
    assert contents(folder) == contents(undisturbed)


@pytest.mark.slow
def test_a_second_run_does_what_is_missing_and_nothing_else(tmp_path, write_scene, capsys):
    first = [str(write_scene(f"s{i}.tif", ice_image(70, 70, i))) for i in range(3)]
    out = str(tmp_path / "out")
    run_labelling(first, out, None, False, "processes", 1)
    assert "3 scenes labelled, 0 failed" in capsys.readouterr().out
    before = contents(start_dataset(out, Recipe()))

    run_labelling(first, out, None, False, "processes", 1)
    assert "3 scenes labelled (3 of them before), 0 failed" in capsys.readouterr().out
    assert contents(start_dataset(out, Recipe())) == before

    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no image")
    with pytest.raises(ScenesFailedError, match="1 of 4 scenes failed"):
        run_labelling([*first, str(broken)], out, None, False, "processes", 1)
    assert "3 scenes labelled (3 of them before), 1 failed" in capsys.readouterr().out

    broken.unlink()
    write_scene("broken.tif", ice_image(64, 64, 9))
    run_labelling([str(broken)], out, None, False, "processes", 1)
    assert "1 scenes labelled, 0 failed; 1 tiles = 1 labelled" in capsys.readouterr().out
    assert {r.scene_id for r in read_manifest(start_dataset(out, Recipe()))} == {
        "s0", "s1", "s2", "broken",
    }  # fmt: skip
    assert set(before) < set(contents(start_dataset(out, Recipe())))

    with pytest.raises(OutputError, match="another recipe"):
        start_dataset(out, Recipe.model_validate({"tiles": {"size": 64}}))
    run_labelling(first[:1], out, None, True, "processes", 1)
    assert [r.scene_id for r in read_manifest(start_dataset(out, Recipe()))] == ["s0"]


@pytest.mark.slow
def test_a_scene_of_the_same_name_from_elsewhere_is_another_scene(tmp_path, write_scene):
    one, two = ice_image(64, 64, 1), ice_image(64, 64, 2)
    for place, image in (("x", one), ("y", two)):
        path = str(write_scene(f"{place}/a.tif", image))
        run_labelling([path], str(tmp_path / "out"), None, False, "processes", 1)
    both = [str(tmp_path / place / "a.tif") for place in ("y", "x")]
    run_labelling(both, str(tmp_path / "out"), None, False, "here")
    shards = open_shards(tmp_path / "out")
    assert len(shards.scene_ids) == 2
    other = next(name for name in shards.scene_ids if name != "a")
    assert (shards.load(["a"], 256)[0][0, :64, :64] == one).all()
    assert (shards.load([other], 256)[0][0, :64, :64] == two).all()


# === Names ===


NAMES = [
    "_hidden", ".hidden", "__", "...", "снимок", "图像", "-dash", "n" * 200, "ø" * 60, "a b",
    "a=b", "100%", "café,1", "COLLECTION", "crc",
]  # fmt: skip


def test_tiles_of_scenes_of_any_name_are_seen_by_pyarrow(tmp_path, write_scene, monkeypatch):
    monkeypatch.setattr("autolabel.plan._LEAST_BYTES", 1)
    for number, name in enumerate(NAMES):
        write_scene(f"in/{name}.tif", ice_image(40, 40, number))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("label: {method: none}\ntiles: {size: 40}\n")
    scenes = [str(tmp_path / "in" / f"{name}.tif") for name in NAMES]
    run_labelling(scenes, str(tmp_path / "out"), recipe, False, "here")
    table = ds.dataset(tmp_path / "out").to_table()
    images = {bytes(image) for image in table["image"].to_pylist()}
    assert images == {ice_image(40, 40, number).tobytes() for number in range(len(NAMES))}
    assert len(set(table["scene_id"].to_pylist())) == len(NAMES)
    for path in (tmp_path / "out").glob("*.parquet"):
        assert path.name[0] not in "._"
        assert path.name.isascii()
        assert len(path.name) < 150
    assert len(open_shards(tmp_path / "out").scene_ids) == len(NAMES)


def test_a_name_that_is_not_utf8_keeps_no_other_scene_from_being_done(tmp_path, write_scene):
    write_scene("in/good.tif", ice_image(40, 40))
    os.rename(
        write_scene("in/a.tif", ice_image(40, 40, 1)), os.fsencode(tmp_path) + b"/in/s\xf8.tif"
    )
    for _ in range(2):
        run_labelling([str(tmp_path / "in")], str(tmp_path / "out"), None, False, "here")
        rows = read_manifest(Folder.at(tmp_path / "out"))
        assert [row.status for row in rows] == ["done", "done"]
    assert {row.uri for row in rows} == {
        str(tmp_path / "in/good.tif"), f"file://{tmp_path}/in/s%F8.tif"
    }  # fmt: skip


# === Nothing to see ===


def test_a_scene_without_a_valid_pixel_is_no_failure(tmp_path, write_scene, capsys):
    empty = write_scene("empty.tif", np.zeros((64, 64, 3), np.uint8))
    masked = write_scene("masked.tif", ice_image(64, 64), mask=np.zeros((64, 64), np.uint8))
    full = write_scene("full.tif", ice_image(64, 64))
    scenes, out = [str(empty), str(masked), str(full)], str(tmp_path / "out")
    run_labelling(scenes, out, None, False, "here")
    said = capsys.readouterr().out
    assert "1 scenes labelled and 2 without a valid pixel, 0 failed; 3 tiles =" in said
    rows = {row.scene_id: row for row in read_manifest(Folder.at(out))}
    assert {name: row.status for name, row in rows.items()} == {
        "empty": "nodata", "full": "done", "masked": "nodata",
    }  # fmt: skip
    for row in rows.values():
        assert row.tiles == row.labelled + row.nodata + row.failed
    assert open_shards(out).scene_ids == ("full",)
    run_labelling(scenes, out, None, False, "here")
    assert "(3 of them before)" in capsys.readouterr().out


def test_labels_of_nothing_are_warned_of(tmp_path, write_scene, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "label: {method: none, profile: {name: x, allow_gaps: true, ranges: [{class: open_water,"
        " value: [0, 1]}, {class: thin_ice, value: [2, 3]}, {class: thick_ice, value: [4, 5]}]}}"
    )
    grey = str(write_scene("a.tif", np.full((64, 64, 3), 128, np.uint8)))
    run_labelling([grey], str(tmp_path / "out"), recipe, False, "here")
    said = " ".join(capsys.readouterr().err.split())
    assert "Warning: not one pixel of the 1 tiles has a class" in said
    dark = str(write_scene("b.tif", np.full((64, 64, 3), 3, np.uint8)))
    run_labelling([grey, dark], str(tmp_path / "out"), recipe, False, "here")
    said = " ".join(capsys.readouterr().err.split())
    assert "Warning" not in said
    assert "Note: no pixel of 1 of 2 scenes has a class (a); if that is wrong, check" in said


def test_labels_are_those_of_label_image(tmp_path, write_scene, small_bands):
    scene = make_scene(501, 3, (256, 200), "shadow")
    recipe = Recipe.model_validate({"tiles": {"size": 64}})
    folder, (result,) = label_here(recipe, tmp_path / "out", write_scene("a.tif", scene.observed))
    expected = label_image(scene.observed)
    _, labels = open_shards(folder).load(["a"], 64)
    assert result.labelled == len(labels)
    counts = [int((expected == code).sum()) for code in (0, 1, 2)]
    assert [int((labels == code).sum()) for code in (0, 1, 2)] == counts


def test_black_that_may_be_a_colour_is_said_once(tmp_path, write_scene, capsys):
    image = ice_image(100, 100)
    image[:10] = 0
    for name in ("a.tif", "b.tif"):
        write_scene(f"in/{name}", image)
    write_scene("in/marked.tif", image, nodata=0)
    write_scene("in/whole.tif", ice_image(100, 100))
    run_labelling([str(tmp_path / "in")], tmp_path / "out", None, False, "here")
    said = capsys.readouterr().err
    assert said.count("scenes mark no pixel as nodata: 10.0 % of their pixels are black, from") == 1
    assert "2 scenes mark no pixel" in said
    (tmp_path / "recipe.yaml").write_text("scene: {zero_is_nodata: true}")
    run_labelling([str(tmp_path / "in")], tmp_path / "all", tmp_path / "recipe.yaml", False, "here")
    assert "10.0 % of their pixels are black and are left out" in capsys.readouterr().err
    (tmp_path / "recipe.yaml").write_text("scene: {zero_is_nodata: false}")
    recipe = tmp_path / "recipe.yaml"
    run_labelling([str(tmp_path / "in")], tmp_path / "new", recipe, False, "here")
    assert "are black" not in capsys.readouterr().err
