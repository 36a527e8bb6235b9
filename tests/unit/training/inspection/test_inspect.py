"""`polynya inspect`: faults in shards are found, named on the page, and left out on demand."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ice_image, label_here

from helpers.maps.inference_commands import run
from helpers.shards.faulty_shards import CLASSES, NODATA, kelp_recipe, kelp_tile, write_kelp_shards
from helpers.shards.shard_files import contents
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import open_shards
from polynya.shards.dropped import DROPPED_FILE, read_dropped
from polynya.shards.manifest import MANIFEST_FILE, SceneResult, manifest_text, read_manifest
from polynya.shards.scan import scan_tiles
from training.inspection.page.places import date_of
from training.inspection.page.samples import choose
from training.inspection.page.views import composites
from training.inspection.statistics import BandSums
from training.inspection.survey import survey

SIZE = 64
SCENES = ("reef_20210302T101021", "reef_20210405T101021", "bay_20210302T111021", "bay_2021-06-01")


def empty(image, label):
    image[...], label[...] = NODATA, 255


def constant(image, label):
    image[..., :5] = 0


def striped(image, label):
    image[::8, :, 2] += 400


def saturated(image, label):
    image[..., 1] = np.where(image[..., 1] > 1500, 32767, image[..., 1])


def no_image(image, label):
    image[:20] = NODATA


def no_label(image, label):
    label[...] = 255


def moved(image, label):
    image[..., 6] = np.roll(image[..., 6], (10, 8), (0, 1))


def copied(image, label):
    image[...], label[...] = kelp_tile(SIZE, seed=3000)  # The first tile of the same scene.


FAULTS = {
    "empty": empty,
    "constant": constant,
    "striped": striped,
    "saturated": saturated,
    "label-without-image": no_image,
    "image-without-label": no_label,
    "misaligned": moved,
    "copy": copied,
}
PLACES = {name: (SCENES[n % 4], 1 + n // 4) for n, name in enumerate(FAULTS)}


@pytest.fixture
def faulty(tmp_path):
    """Four scenes of five tiles; each fault is in one tile, and one tile is corrupt."""
    return write_kelp_shards(
        tmp_path / "shards", kelp_recipe(SIZE), scenes=SCENES, tiles=5,
        faults={PLACES[name]: fault for name, fault in FAULTS.items()}, damaged=[(SCENES[3], 4)],
    )  # fmt: skip


@pytest.fixture
def good(tmp_path):
    return write_kelp_shards(tmp_path / "good", kelp_recipe(SIZE), scenes=SCENES, tiles=2)


def found_in(folder):
    """Places of the tiles of each finding: scene and column of the tile."""
    seen = survey(open_shards(folder))
    return {
        finding.check.name: {
            (seen.facts.places[n].scene_id, (seen.facts.places[n].col or 0) // SIZE)
            for n in finding.tiles
        }
        for finding in seen.findings
    }


def page_of(folder):
    return (folder.parent / f"{folder.name}-inspection.html").read_text("utf-8")


def test_every_planted_fault_is_found_and_nothing_else(faulty):
    planted = {name: {place} for name, place in PLACES.items()}
    assert found_in(faulty) == {**planted, "corrupt": {(SCENES[3], 4)}}


def test_good_tiles_have_no_findings(good, tmp_path, write_scene):
    assert found_in(good) == {}
    image = ice_image(256, 256)
    recipe = Recipe.model_validate({"tiles": {"size": 64}, "label": {"method": "none"}})
    label_here(recipe, tmp_path / "ice", write_scene("a.tif", image, nodata=0))
    assert found_in(tmp_path / "ice") == {}


def test_a_file_that_is_cut_or_gone_is_one_finding_among_others(faulty):
    names = sorted(path.name for path in faulty.glob("*.parquet"))
    (faulty / names[0]).write_bytes((faulty / names[0]).read_bytes()[:-50])
    (faulty / names[1]).unlink()
    seen = survey(open_shards(faulty))
    (corrupt,) = [f for f in seen.findings if f.check.name == "corrupt"]
    places = {str(seen.facts.places[n]) for n in corrupt.tiles}
    assert {f"file {name}" for name in names[:2]} < places
    run("inspect", faulty, "--drop", "corrupt")
    assert open_shards(faulty).scene_ids == tuple(sorted(SCENES[2:]))
    assert found_in(faulty).keys().isdisjoint({"corrupt"})


def test_bytes_that_changed_in_a_row_group_are_found(faulty):
    path = min(faulty.glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[2000:2100] = b"\0" * 100
    path.write_bytes(content)
    assert found_in(faulty)["corrupt"]
    run("inspect", faulty, "--drop", "corrupt")
    left = open_shards(faulty)
    left.load(left.scene_ids, SIZE)


def test_drop_leaves_tiles_out_and_restore_brings_them_back(faulty):
    before = contents(open_shards(faulty).folder)
    said = run("inspect", faulty, "--drop", "empty", "corrupt").output
    assert "Left out: 2 tiles (corrupt 1, empty 1)" in said
    assert {t.reason for t in read_dropped(open_shards(faulty).folder).tiles} == {
        "empty: no pixel has data",
        "corrupt: the checksum of its image is wrong",
    }
    left = open_shards(faulty)
    assert len(left.load(left.scene_ids, SIZE)[0]) == 18
    run("inspect", faulty, "--drop", "striped")  # Adds to what was dropped.
    assert len(open_shards(faulty).dropped) == 3
    assert "striped" not in found_in(faulty)
    assert "3 tiles (corrupt 1, empty 1, striped 1)" in page_of(faulty)
    assert "Nothing to drop" in run("inspect", faulty, "--drop", "striped").output
    run("inspect", faulty, "--restore")
    assert not (faulty / DROPPED_FILE).exists()
    assert contents(open_shards(faulty, with_dropped=True).folder) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--drop", "ugly"], "--drop ugly: there is no such finding; the findings are corrupt"),
        (["empty"], "findings go after --drop"),
        (["--out", "."], "is a folder; give the name of an HTML file"),
    ],
)
def test_wrong_words_are_one_sentence(good, words, said):
    assert said in run("inspect", good, *words, expect=1).output
    assert not (good / DROPPED_FILE).exists()


def test_scenes_that_failed_are_named_with_their_reason(good):
    shards = open_shards(good)
    rows = read_manifest(shards.folder)
    failed = SceneResult("cliff", "cliff.tif", "failed", "The mask of cliff.tif is cut.")
    (good / MANIFEST_FILE).write_text(manifest_text([*rows, failed]))
    seen = survey(open_shards(good))
    (finding,) = [f for f in seen.findings if f.check.name == "failed"]
    assert [one.reason for one in finding.found] == ["cliff: The mask of cliff.tif is cut"]
    run("inspect", good)
    assert "The mask of cliff.tif is cut" in page_of(good)


def test_what_concerns_no_single_tile_cannot_be_dropped(tmp_path):
    more = {**CLASSES, "classes": [*CLASSES["classes"], {
        "code": 3, "name": "ice", "title": "Ice", "color": (9, 9, 9)}]}  # fmt: skip
    folder = write_kelp_shards(tmp_path / "s", kelp_recipe(SIZE, more), scenes=SCENES[:2], tiles=1)
    said = run("inspect", folder, "--drop", "unseen-class", expect=1).output
    assert "concerns no single tile; Label scenes that have them" in said


def test_a_folder_without_shards_is_one_sentence(tmp_path):
    assert "holds no finished shards" in run("inspect", tmp_path / "none", expect=1).output


class Texts(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_names_from_files_stay_text(tmp_path):
    evil = "<script>alert(1)</script>"
    titled = [{**c, "title": f'"><img src=x onerror={c["code"]}>'} for c in CLASSES["classes"]]
    classes = {**CLASSES, "name": evil, "classes": titled}
    recipe = kelp_recipe(SIZE, classes, split={"validation": 0.5, "group": "(.*)"})
    folder = write_kelp_shards(
        tmp_path / "<script>", recipe, scenes=[f"{evil}1", "b&amp;\u202e"], tiles=2,
        faults={(f"{evil}1", 1): empty},
    )  # fmt: skip
    run("inspect", folder)
    page = Texts(page_of(folder))
    assert "script" not in {tag for tag, _ in page.elements}
    assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
    sources = [attrs["src"] for tag, attrs in page.elements if tag == "img"]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script>" in page.texts  # The heading.
    assert any(text.startswith(evil) for text in page.texts)
    assert "\u202e" not in page_of(folder)


def test_a_page_needs_no_network_and_is_the_same_each_time(faulty, tmp_path):
    run("inspect", faulty, "--out", tmp_path / "new" / "a.html")
    run("inspect", faulty, "--out", tmp_path / "new" / "b.html")
    page = (tmp_path / "new" / "a.html").read_text("utf-8")
    assert page == (tmp_path / "new" / "b.html").read_text("utf-8")
    assert not re.findall(r"https?://|url\((?!data:)|<link|@import", page)
    for title in ("True colour", "False colour: nir, red, green", "Short-wave: swir16, nir, red"):
        assert title in page
    for check in ("Striped tiles", "What to fix", "Tiles by site", "2021-03-02", "also Kelp"):
        assert check in page


def test_samples_are_seeded_and_show_each_class(faulty):
    seen = survey(open_shards(faulty))
    chosen = choose(seen, 4, seed=3)
    assert chosen == choose(seen, 4, seed=3) != choose(seen, 4, seed=4)
    assert (seen.facts.class_pixels[chosen] > 0).any(axis=0).all()
    assert len(choose(seen, 99, seed=0)) == 19  # All that can be read.


def test_scanned_tiles_equal_those_of_the_reader(good):
    shards = open_shards(good)
    images, labels = shards.load(shards.scene_ids, SIZE)
    scanned = [tile.pixels for tile in scan_tiles(shards)]
    values = np.stack([np.moveaxis(pixels.values, 0, -1) for pixels in scanned])
    order = np.argsort(values[:, 0, 0, 0])
    other = np.argsort(images[:, 0, 0, 0])
    assert np.array_equal(values[order], images[other], equal_nan=True)
    assert len(labels) == len(scanned)


def test_sums_of_tiles_are_those_of_all_pixels():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, (3, 2, 60, 50)).astype(np.float32)
    values[1, 0] = np.nan
    values[2, :, :7] = np.nan
    total, one, two = (BandSums(np.array([[-5.0, 15.0]] * 2)) for _ in range(3))
    for tile in values[:2]:
        one.add(tile)
    two.add(values[2])
    for part in (one, two):
        total.merge(part)
    for band in range(2):
        seen = values[:, band].astype(float)
        np.testing.assert_allclose(total.mean[band], np.nanmean(seen), rtol=1e-9)
        np.testing.assert_allclose(total.deviation[band], np.nanstd(seen), rtol=1e-6)
        np.testing.assert_allclose(total.missing[band], np.isnan(seen).mean())
        assert (total.minimum[band], total.maximum[band]) == (np.nanmin(seen), np.nanmax(seen))
        assert abs(total.quantiles(0.3)[band] - np.nanquantile(seen, 0.3)) < 20 / 64
        assert total.histogram[band].sum() == np.count_nonzero(~np.isnan(seen))


@pytest.mark.parametrize(
    ("bands", "titles"),
    [
        (("red", "green", "blue"), ["True colour"]),
        (("nir", "red", "green"), ["False colour: nir, red, green"]),
        (("3", "4"), ["Band 3"]),
        (("blue", "green", "red", "B08", "swir22"), [
            "True colour", "False colour: B08, red, green", "Short-wave: swir22, B08, red"]),
    ],
)  # fmt: skip
def test_composites_are_those_that_bands_allow(bands, titles):
    assert [view.title for view in composites(bands)] == titles


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("S2A_20191103T184521_x", "2019-11-03"), ("a_2019-11-03", "2019-11-03"),
        ("a_20191103", "2019-11-03"), ("tile_123456789", "unknown"), ("20191303", "unknown"),
    ],
)  # fmt: skip
def test_dates_come_from_names(name, date):
    assert date_of(name) == date
