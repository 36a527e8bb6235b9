"""Shards of named bands: numbers as in the file, what is missing, and their statistics."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from conftest import ice_image, label_here

from polynya.errors import RecipeError, ShardError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.scene import SceneOptions
from polynya.scenes import open_scene
from polynya.scenes.band_set import read_inputs
from polynya.shards.dataset import open_shards
from polynya.shards.schema import SCHEMA
from polynya.shards.writer import LabelledTile, tile_row

NAMES = ("red", "green", "blue", "nir", "qa")


@pytest.fixture
def label_bands(write_scene, tmp_path):
    """Label one 100 x 70 scene whose colours are ice, with two more bands; its pixels and shards.

    Missing: nir in the first row, everything in the first pixel.
    """

    def label(dtype, nodata, **scene):
        colours = ice_image(100, 70).astype(dtype)
        more = np.stack(
            [np.arange(7000).reshape(100, 70) % 200, np.full((100, 70), 7)], axis=-1
        ).astype(dtype)
        pixels = np.concatenate([colours, more], axis=-1)
        pixels[0, :, 3] = nodata
        pixels[0, 0] = nodata
        path = write_scene("a.tif", pixels, nodata=nodata)
        with rasterio.open(path, "r+") as file:
            file.descriptions = NAMES
        recipe = Recipe.model_validate(
            {
                "tiles": {"size": 64},
                "label": {"method": "none"},
                "scene": {"inputs": ["nir", "red"], **scene},
            }
        )
        label_here(recipe, tmp_path / "shards", path)
        return pixels, open_shards(tmp_path / "shards")

    return label


@pytest.mark.parametrize(
    ("dtype", "nodata", "scene"),
    [
        ("uint8", 255, {}),
        ("uint16", 65535, {"scale": 0.004, "offset": -0.01}),
        ("int16", -32768, {"scale": 0.004, "offset": 0.0}),
        ("float32", math.nan, {"scale": 0.004, "offset": 0.0}),
    ],
)
def test_shards_keep_numbers_and_what_is_missing(label_bands, dtype, nodata, scene):
    pixels, shards = label_bands(dtype, nodata, **scene)
    assert shards.bands == ("nir", "red")
    table = pq.read_table(f"{shards.folder}/{shards.files['a'][0]}").to_pylist()
    row = table[0]
    assert (row["dtype"], row["bands"]) == (dtype, ["nir", "red"])
    numbers = np.frombuffer(row["image"], dtype).reshape(64, 64, 2)
    assert (numbers[1:] == pixels[1:64, :64][..., [3, 0]]).all()
    scale, offset = scene.get("scale", 1.0), scene.get("offset", 0.0)
    assert (row["scales"], row["offsets"]) == ([scale] * 2, [offset] * 2)
    # By hand: nir lacks the first row, red its first pixel.
    assert row["band_pixels"] == [63 * 64, 64 * 64 - 1]
    nir = pixels[1:64, :64, 3].astype(float) * scale + offset
    assert row["band_minima"][0] == pytest.approx(nir.min(), abs=1e-6)
    assert row["band_maxima"][0] == pytest.approx(nir.max(), abs=1e-6)
    assert row["band_means"][0] == pytest.approx(nir.mean(), abs=1e-6)
    assert row["band_deviations"][0] == pytest.approx(nir.std(), abs=1e-6)
    # Tiles in which nothing is missing say so with nothing.
    assert [r["valid"] is None for r in table] == [False, False, True, True]

    images, labels = shards.load(["a"], 64)
    assert images.dtype == np.float32
    assert np.isnan(images[0, 0, :, 0]).all()
    assert np.isnan(images[0, 0, 0]).all()
    assert not np.isnan(images[0, 0, 1:, 1]).any()
    assert images[0, 1:, :, 0] == pytest.approx(nir.astype(np.float32))
    # Tiles at the border are filled up.
    assert np.isnan(images[1, :, 6:]).all()
    assert (labels[1, :, 6:] == 255).all()
    # A pixel without colours has no label; one without nir has.
    assert labels[0, 0, 0] == 255
    assert (labels[0, 0, 1:] != 255).all()
    tile = next(shards.tiles(shards.row_groups(["a"])))
    assert np.array_equal(tile.image, images[0], equal_nan=True)


def test_bits_of_what_is_missing_have_a_checksum(label_bands):
    _, shards = label_bands("uint8", 255)
    path = f"{shards.folder}/{shards.files['a'][0]}"
    table = pq.read_table(path)
    valid = [None if bits is None else b"\0" * len(bits) for bits in table["valid"].to_pylist()]
    place = SCHEMA.get_field_index("valid")
    pq.write_table(table.set_column(place, "valid", pa.array(valid, pa.binary())), path)
    with pytest.raises(ShardError, match="checksum of its valid is wrong"):
        shards.load(["a"], 64)


def test_a_band_without_any_value_has_no_statistics(write_scene):
    pixels = np.full((4, 4, 4), 9, np.int16)
    pixels[..., 3] = -1
    path = write_scene("a.tif", pixels, nodata=-1)
    options = SceneOptions(inputs=(1, 4), scale=0.01, offset=0.0)
    scene = open_scene(path, options)
    inputs = read_inputs(scene)
    colours, label = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    tile = LabelledTile(Tile(0, 0, 4, 4), colours, label, inputs=inputs)
    row = tile_row(scene, tile, Recipe(scene=options), "test")
    assert row["band_pixels"] == [16, 0]
    assert row["band_minima"] == [pytest.approx(0.09), None]
    assert row["band_deviations"] == [pytest.approx(0.0, abs=1e-9), None]


@pytest.mark.parametrize("version", [2, 3])
def test_shards_of_earlier_versions_are_read(version, write_scene, tmp_path):
    path = write_scene("a.tif", ice_image(100, 70))
    recipe = Recipe.model_validate({"tiles": {"size": 64}, "label": {"method": "none"}})
    label_here(recipe, tmp_path / "shards", path)
    now = open_shards(tmp_path / "shards").load(["a"], 64)
    # As they were written then: fewer columns, another number.
    description = tmp_path / "shards" / "_dataset.json"
    content = json.loads(description.read_text())
    content["format"] = version
    del content["recipe"]["scene"]["inputs"]
    description.write_text(json.dumps(content))
    for file in (tmp_path / "shards").glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.select(SCHEMA.names[: SCHEMA.names.index("valid")]), file)
    if version == 2:
        manifest = tmp_path / "shards" / "_manifest.csv"
        with open(manifest, newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [name for name in rows[0] if name not in ("digest", "file_sums")]
        with open(manifest, "w", newline="") as file:
            writer = csv.DictWriter(file, kept, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    then = open_shards(tmp_path / "shards").load(["a"], 64)
    assert all((a == b).all() for a, b in zip(now, then, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"label": {"images": "filtered"}},
        {"training": {"augment": {"haze": 0.5}}},
        {"training": {"augment": {"noise": 0.5}}},
        {"model": {"brightness_filters": 8}},
        {"inference": {"filter": "illumination"}},
    ],
)
def test_what_is_for_colours_is_refused_where_bands_are_named(changes):
    with pytest.raises(RecipeError, match="8-bit colours"):
        parse_recipe({"scene": {"inputs": ["nir"]}, **changes}, "recipe.yaml")
