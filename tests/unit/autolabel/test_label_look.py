"""Pictures of what was labelled: with `polynya label --pictures`, and out of shards."""

import numpy as np
import pytest
from conftest import ice_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from autolabel.label_pictures import draw_overview, picture_name, scene_mosaic
from autolabel.run import run_labelling
from polynya.cli import build_app
from polynya.report.blocks import Blocks
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest

RED, BLUE = (255, 0, 0), (0, 0, 255)


@settings(deadline=None, max_examples=50)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 9), st.integers(1, 17),
    st.integers(0, 99),
)  # fmt: skip
def test_blocks_have_means_and_majorities_whatever_the_parts(shape, step, size, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    codes = rng.integers(0, 3, shape, np.uint8)
    blocks = Blocks(*shape, step)
    for row in range(0, shape[0], size):
        for col in range(0, shape[1], size):
            part = np.s_[row : row + size, col : col + size]
            blocks.add_image(row, col, image[part])
            blocks.add_codes(row, col, codes[part])
    small, found = blocks.image(), blocks.codes(255)
    assert small.shape[:2] == found.shape == (-(-shape[0] // step), -(-shape[1] // step))
    for row, col in np.ndindex(*found.shape):
        block = np.s_[row * step : (row + 1) * step, col * step : (col + 1) * step]
        assert (small[row, col] == np.rint(image[block].mean(axis=(0, 1)))).all()
        assert found[row, col] == np.bincount(codes[block].ravel()).argmax()


def test_blocks_without_any_part_are_nodata():
    blocks = Blocks(8, 8, 4)
    blocks.add_image(0, 0, np.full((4, 4, 3), 9, np.uint8))
    blocks.add_codes(0, 0, np.ones((4, 4), np.uint8))
    assert blocks.image()[..., 0].tolist() == [[9, 0], [0, 0]]
    assert blocks.codes(255).tolist() == [[1, 255], [255, 255]]


@pytest.fixture
def halves(tmp_path, write_scene):
    """A data set of two scenes whose left half is water and right half thick ice."""
    image = np.full((96, 160, 3), 15, np.uint8)
    image[:, 80:] = 230
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("tiles: {size: 64}\nlabel: {method: none}\n")
    scenes = [str(write_scene(f"{name}.tif", image)) for name in ("a", "_b")]
    arguments = (scenes, str(tmp_path / "out"), recipe, False, "here")

    def label(**options):
        run_labelling(*arguments, **options)
        return tmp_path / "out"

    return label


def colors(path):
    with Image.open(path) as picture:
        found = picture.convert("RGB").getcolors(maxcolors=2**20)
    return {color: count for count, color in found}


def test_a_mosaic_is_the_scene_and_its_label(halves):
    shards = open_shards(halves())
    row = next(row for row in read_manifest(shards.folder) if row.scene_id == "a")
    mosaic = scene_mosaic(shards, row)
    assert mosaic.image[:, :80].max() == 15
    assert mosaic.image[:, 80:].min() == 230
    assert (mosaic.label[:, :80] == 0).all()
    assert (mosaic.label[:, 80:] == 2).all()
    assert (mosaic.tiles, mosaic.pixels) == (6, 96 * 160)
    assert mosaic.class_pixels == (96 * 80, 0, 96 * 80)


def test_label_draws_a_picture_of_each_scene_if_asked(halves, tmp_path, write_scene):
    out = halves()
    assert not (out / "_pictures").exists()
    halves(pictures=True)
    pictures = sorted(path for path in (out / "_pictures").glob("*.png"))
    assert len(pictures) == 2
    for path in pictures:
        # Water is green and thick ice is red, half and half beside the scene itself.
        shown = colors(path)
        assert shown[(0, 255, 0)] > 10_000
        assert shown[RED] > 10_000
    before = [path.read_bytes() for path in pictures]
    # A scene that is labelled again has no old picture.
    write_scene("a.tif", np.full((96, 160, 3), 120, np.uint8))
    halves()
    assert not (out / picture_name("a")).exists()
    halves(pictures=True)
    assert colors(out / picture_name("a"))[BLUE] > 10_000
    assert sorted((out / "_pictures").glob("*.png")) == pictures
    assert [path.read_bytes() for path in pictures] != before
    assert "_pictures" not in " ".join(open_shards(out).files["a"])


def test_a_file_in_the_place_of_a_picture_stays_and_is_named(halves, capsys):
    out = halves()
    mine = out / picture_name("a")
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    for _ in range(2):
        halves(pictures=True)
        said = [line for line in capsys.readouterr().err.splitlines() if "Not drawn" in line]
        assert said == [
            f"Not drawn: {mine} is in the place of a picture and is not Polynya's; move it away and"
            " run it again."
        ]
    assert mine.read_bytes() == b"mine"
    (drawn,) = set(mine.parent.glob("*.png")) - {mine}
    assert colors(drawn)[RED] > 10_000


def test_a_picture_shows_what_the_filter_leaves(tmp_path, write_scene):
    path = str(write_scene("a.tif", ice_image(200, 200)))
    for method in ("illumination", "published"):
        recipe = tmp_path / f"{method}.yaml"
        recipe.write_text(f"label: {{method: {method}}}\n")
        out = tmp_path / method
        run_labelling([path], str(out), recipe, False, "here", pictures=True)
        with Image.open(out / "_pictures/a.png") as picture:
            assert picture.width > 2.5 * 360


def test_a_picture_that_can_not_be_drawn_is_a_reason(halves, tmp_path):
    from autolabel.tasks import Job
    from polynya.recipe.recipe import load_recipe
    from polynya.scenes.reading import open_scene

    out = halves()
    job = Job(load_recipe(tmp_path / "recipe.yaml"), open_shards(out).folder, 0)
    scene = open_scene(str(tmp_path / "a.tif"))
    for shard in out.glob("*.parquet"):
        shard.write_bytes(b"PAR1")
    assert "can't be read" in draw_overview(scene, job)


def look(*arguments):
    return CliRunner().invoke(build_app(), ["look", *map(str, arguments)])


def test_look_draws_scenes_and_tiles_and_counts(halves, tmp_path):
    said = look(halves(), "--count", 5)
    assert said.exit_code == 0, said.output
    assert (
        "6 tiles; Open water 50.0%, Thin/young ice 0.0%, Thick/snow-covered ice 50.0%"
        in said.output
    )
    assert "2 scenes with 12 tiles; of their labelled pixels: Open water 50.0%" in said.output
    drawn = {path.name for path in (tmp_path / "out-pictures").glob("*.png")}
    assert drawn == {"a.png", "tiles.png", "scene_b.png"}
    assert colors(tmp_path / "out-pictures/tiles.png")[RED] > 1000


def test_look_at_chosen_scenes_goes_where_it_is_told(halves, tmp_path):
    said = look(halves(), "--out", tmp_path / "here", "--scenes", "a")
    assert said.exit_code == 0, said.output
    assert {path.name for path in (tmp_path / "here").glob("*.png")} == {"a.png", "tiles.png"}
    assert look(halves(), "--scenes", "none").exit_code == 1
    (tmp_path / "here/a.png").write_text("mine")
    said = look(halves(), "--out", tmp_path / "here")
    assert said.exit_code == 1
    assert (tmp_path / "here/a.png").read_text() == "mine"
    assert "2 scenes looked at, 1 pictures failed" in said.output
