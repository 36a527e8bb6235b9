"""Whole batches: failures counted, folders for labelling, what is wrong with the command."""

import csv
import shutil
import subprocess

import numpy as np
import pytest
import rasterio
import yaml
from conftest import ice_image
from typer.testing import CliRunner

from helpers.scenes.acquire import get_scenes, image_of, run_scenes, scene_files, write_recipe
from helpers.scenes.safe_products import write_safe
from polynya.cli import build_app
from polynya.errors import OutputError
from polynya.recipe.acquire import SafeOptions
from polynya.recipe.recipe import load_recipe
from polynya.scenes.finding import find_scenes
from polynya.sources import run
from polynya.sources.manifest import read_manifest, write_manifest


@pytest.fixture(scope="module")
def ten_products(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ten")
    for number in range(10):
        write_safe(folder, "L1C", "02.14", tile=f"T58CD{'ABCDEFGHJK'[number]}")
    return folder


def test_ten_items_of_which_three_are_broken_in_three_ways(ten_products, tmp_path):
    products = tmp_path / "products"
    shutil.copytree(ten_products, products)
    first, second, third, *_ = sorted(products.iterdir())
    next(first.glob("MTD_*.xml")).unlink()
    image = next(second.rglob("*_B02.jp2"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    next(third.rglob("*_B03.jp2")).unlink()
    recipe = write_recipe(tmp_path, source="safe", paths=str(products), at_once=3)
    result = run_scenes(recipe, tmp_path / "out")
    assert result.exit_code == 1
    assert "10 items = 7 scenes done (0 were there) + 3 failed" in result.output
    assert "3 of 10 items failed" in result.output
    rows = read_manifest(tmp_path / "out")
    assert len(rows) == 10
    failed = {row["item"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert set(failed) == {path.stem for path in (first, second, third)}
    assert "holds no MTD_MSIL1C.xml" in failed[first.stem]
    assert "can't be copied" in failed[second.stem]
    assert "_B03.jp2 does not exist" in failed[third.stem]
    assert len(scene_files(tmp_path / "out")) == 7
    assert not (tmp_path / "out/.unfinished").exists()
    assert all((tmp_path / "out" / row["file"]).exists() for row in rows if row["file"])
    # Mended ones come with the next run, the others are not made again.
    shutil.rmtree(third)
    shutil.copytree(ten_products / third.name, third)
    result = run_scenes(recipe, tmp_path / "out")
    assert "10 items = 8 scenes done (7 were there) + 2 failed" in result.output


@pytest.mark.parametrize("how", [(), ("--in-place",)], ids=["downloaded", "in place"])
def test_labelling_takes_the_folder_as_it_is(ten_products, tmp_path, how):
    out = tmp_path / "scenes"
    get_scenes(tmp_path, out, *how, source="safe", paths=str(ten_products), limit=2)
    recipe = tmp_path / "label.yaml"
    recipe.write_text("label: {method: none}\ntiles: {size: 64}\n")
    command = ["polynya", "label", "--scenes", str(out), "--out", str(tmp_path / "shards")]
    subprocess.run([*command, "--recipe", str(recipe), "--workers", "1"], check=True)
    with (tmp_path / "shards/_manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done"]
    assert [row["scene_id"] for row in rows] == [ref.id for ref in find_scenes([str(out)])]
    assert {row["scene"] for row in read_manifest(out)} == {row["scene_id"] for row in rows}


def test_files_keep_alpha_colours_and_their_lack_of_nodata(tmp_path, write_scene):
    image = ice_image(60, 50)
    alpha = np.full((60, 50), 255, np.uint8)
    alpha[:10] = 0
    write_scene("files/rgba.png.tif", np.dstack([image, alpha]), photometric="RGB", alpha="YES")
    write_scene("files/plain.tif", image, crs=None)
    for how in ((), ("--in-place",)):
        plain, rgba = get_scenes(
            tmp_path, tmp_path / "out", *how, source="files", paths=str(tmp_path / "files")
        )
        pixels, valid = image_of(rgba)
        assert (valid == (alpha > 0)).all()
        assert (pixels[valid] == image[valid]).all()
        pixels, valid = image_of(plain)
        assert (pixels == image).all()
        with rasterio.open(plain) as source:
            assert source.crs is None


def test_files_that_cannot_be_used_fail_alone(tmp_path, write_scene):
    image = ice_image(20, 30)
    write_scene("files/good.tif", image)
    write_scene("files/masked.tif", image, mask=np.ones((20, 30), bool))
    write_scene("files/two.tif", image[..., :2])
    write_scene("files/unscaled.tif", image.astype(np.uint16))
    recipe = write_recipe(tmp_path, source="files", paths=str(tmp_path / "files"))
    assert run_scenes(recipe, tmp_path / "out").exit_code == 1
    reasons = {row["scene"]: row["reason"] for row in read_manifest(tmp_path / "out")}
    assert reasons["good"] == ""
    assert "has a mask beside its bands" in reasons["masked"]
    assert "2 bands where red, green and blue are needed" in reasons["two"]
    assert "doesn't say what reflectance they mean" in reasons["unscaled"]
    bands = write_recipe(
        tmp_path, source="files", paths=str(tmp_path / "files/good.tif"), bands=["red", "B11"]
    )
    assert run_scenes(bands, tmp_path / "bands").exit_code == 1
    assert "has no band 'B11'" in read_manifest(tmp_path / "bands")[0]["reason"]


def problem_of(recipe, *more):
    result = CliRunner().invoke(build_app(), ["scenes", "--recipe", str(recipe), *more])
    assert result.exit_code == 1, result.output
    assert result.output.count("Error:") == 1
    return result.output


def test_what_is_wrong_with_the_command_is_one_sentence(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1\n")
    assert "lacks the key 'acquire'" in problem_of(recipe, "--out", str(tmp_path / "out"))
    recipe = write_recipe(tmp_path, source="files", paths=str(tmp_path))
    assert "give --out FOLDER" in problem_of(recipe)
    (tmp_path / "file").write_text("")
    (tmp_path / "a.tif").write_text("no image")
    assert "can't be made" in problem_of(recipe, "--out", str(tmp_path / "file/out"))
    recipe = write_recipe(tmp_path, source="safe", paths="x", bands=["redd"])
    assert "Sentinel-2 has no band 'redd'" in problem_of(recipe, "--list")


def test_help_names_every_source_and_key():
    text = CliRunner().invoke(build_app(), ["scenes", "--help"]).output
    for word in (
        "earthengine", "stac", "safe", "files", "region", "dates", "max_cloud", "bands", "limit",
        "paths", "catalog", "--in-place", "--list", "--overwrite", "docs/scenes.md",
    ):  # fmt: skip
        assert word in text


def test_the_papers_query_ships():
    acquire = load_recipe("ross_sea_2019").acquire
    assert acquire.source == "earthengine"
    assert acquire.region == (-180, -78, -140, -70)
    assert [day.isoformat() for day in acquire.dates] == ["2019-11-01", "2019-11-30"]
    assert acquire.bands == ("B4", "B3", "B2", "B8", "B11", "B10")


def test_the_manifest_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(OutputError):
        write_manifest(tmp_path / "none", [])
    write_manifest(tmp_path, [])
    assert read_manifest(tmp_path) == []


def test_a_failed_write_is_a_failed_row(ten_products, tmp_path):
    out = tmp_path / "out"
    (out / ".unfinished").mkdir(parents=True)
    recipe = write_recipe(tmp_path, source="safe", paths=str(ten_products), limit=1)
    name = sorted(ten_products.iterdir())[0].stem
    (out / f"{name}.tif").mkdir()
    result = run_scenes(recipe, out, "--overwrite")
    assert result.exit_code == 1
    assert read_manifest(out)[0]["status"] == "failed"


def test_recipes_with_the_section_have_the_digests_they_had(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"seed": 1}))
    without = load_recipe(path)
    path.write_text(yaml.safe_dump({"seed": 1, "acquire": {"source": "safe", "paths": "x"}}))
    assert load_recipe(path).digest() == without.digest()
    assert load_recipe(path).labels_digest() == without.labels_digest()
    load_recipe(path).save(tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == load_recipe(path)


def test_a_run_that_is_interrupted_ends_and_leaves_no_manifest(ten_products, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_geotiff", interrupt)
    options = SafeOptions(source="safe", paths=(str(ten_products),))
    with pytest.raises(KeyboardInterrupt):
        run.fetch_scenes(run.list_items(options), options, tmp_path / "out")
    assert not (tmp_path / "out/_scenes.csv").exists()


def test_a_scene_that_is_too_large_for_the_memory_fails_alone(ten_products, tmp_path, monkeypatch):
    whole = run.write_geotiff

    def too_large(text, path, *args):
        if "T58CDA" in path.name:
            raise MemoryError
        whole(text, path, *args)

    monkeypatch.setattr(run, "write_geotiff", too_large)
    options = SafeOptions(source="safe", paths=(str(ten_products),), limit=2)
    summary = run.fetch_scenes(run.list_items(options), options, tmp_path / "out")
    (failed,) = summary.failed
    assert "out of memory; set acquire.at_once lower" in failed.reason


def test_a_scene_file_that_was_spoilt_is_not_taken_for_done(ten_products, tmp_path):
    options = {"source": "safe", "paths": str(ten_products), "limit": 1}
    (path,) = get_scenes(tmp_path, tmp_path / "out", "--in-place", **options)
    path.write_text("no raster any more")
    result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out", "--in-place")
    assert "not made by 'polynya scenes'" in result.output
