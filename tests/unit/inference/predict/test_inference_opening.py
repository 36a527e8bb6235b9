"""Scenes of models of named bands: tiles of imported data sets, and scenes without colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio

from autolabel.importers.kelp import read_submission
from data_samples.kelp import IMAGES, KELP, Planted, make_tiles, write_kelp
from helpers.maps.inference_commands import names, rows, run
from inference.predict.opening import open_for_model
from polynya.errors import SceneError
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import read_scene

SIZE = 64
LEAST = 1000.0
"""Near infrared from which the model says kelp."""


def _save_model(folder: Path, recipe: Recipe, band: int) -> Path:
    """A model of one mask: where a band is at least `LEAST`."""
    import keras

    from training.model_folder.folder import save_model

    bands = len(recipe.scene.inputs or ())
    inputs = keras.Input((None, None, bands))
    convolution = keras.layers.Conv2D(1, 1, activation="sigmoid")
    model = keras.Model(inputs, convolution(keras.ops.nan_to_num(inputs)))
    kernel = np.zeros((1, 1, bands, 1), np.float32)
    kernel[0, 0, band] = 0.1
    convolution.set_weights([kernel, np.float32([-0.1 * (LEAST - 0.5)])])
    save_model(folder, model, recipe)
    return folder


def _kelp_recipe(**sections: Any) -> Recipe:
    content = load_recipe("kelp").model_dump(mode="json", exclude_unset=True)
    return Recipe.model_validate({**content, "tiles": {"size": SIZE}, **sections})


@pytest.fixture(scope="module")
def kelp(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Planted]]:
    """A folder with a model and tiles."""
    folder = tmp_path_factory.mktemp("kelp")
    (folder / "tiles").mkdir()
    planted = write_kelp(folder / "tiles", 3, 3, SIZE, 0)
    _save_model(folder / "model", _kelp_recipe(), band=1)
    return folder, planted


def test_maps_of_kelp_tiles_become_a_submission(
    kelp: tuple[Path, list[Planted]], tmp_path: Path
) -> None:
    folder, planted = kelp
    more = ["--products", "overlay,probability"]
    run("predict", folder / "model", folder / "tiles" / IMAGES, "--out", tmp_path / "maps", *more)
    assert len(rows(tmp_path / "maps" / "summary.csv")) == 3
    out = tmp_path / "new" / "kelp.tar"
    said = run("submission", folder / "model", tmp_path / "maps", "--out", out).output
    assert "masks of 3 tiles" in said
    found = dict(read_submission(str(out)))
    for tile, (image, _) in zip(planted, make_tiles(planted, 3, SIZE), strict=True):
        np.testing.assert_array_equal(found[tile.tile], image[..., 1] >= LEAST)
    first = out.read_bytes()
    run("submission", folder / "model", tmp_path / "maps", "--out", out)
    assert out.read_bytes() == first
    picture = cv2.imread(str(tmp_path / "maps" / f"{planted[0].tile}_satellite_overlay.png"))
    assert len(np.unique(picture)) > 50  # The tile's own colours, stretched.


def test_a_submission_of_masks_that_can_not_be_is_one_sentence(
    kelp: tuple[Path, list[Planted]], tmp_path: Path
) -> None:
    folder, planted = kelp
    one = tmp_path / "other.tif"
    one.write_bytes((folder / "tiles" / IMAGES / f"{planted[0].tile}_satellite.tif").read_bytes())
    run("predict", folder / "model", one, "--out", tmp_path / "maps")
    words = ["submission", folder / "model", tmp_path / "maps", "--out", tmp_path / "a.tar"]
    assert "isn't named ID_satellite.tif" in run(*words, expect=1).output
    assert "leave --size out" in run(*words, "--size", "9x9", expect=1).output
    assert names(tmp_path) == ["maps", "other.tif"]


def test_files_that_name_their_bands_need_not_have_those_of_the_import(tmp_path: Path) -> None:
    wanted = ["blue", "green", "red", "nir", "swir16", "qa", "elevation", "spare"]
    path = _write(tmp_path / "a.tif", np.arange(8)[:, None, None] * np.ones((8, 5, 6)), wanted)
    scene = open_for_model(SceneRef("a", str(path)), _kelp_recipe())
    assert scene.inputs is not None
    assert scene.inputs.indexes == (5, 4, 3, 2, 1, 6, 7)
    assert scene.band_indexes == (3, 2, 1)


@pytest.fixture
def bare(tmp_path: Path) -> tuple[Path, Path]:
    """A model of two bands without colours, and a scene of it with truth beside."""
    classes = {"name": "k", "kind": "masks", "classes": [
        {"code": 0, "name": "kelp", "title": "Kelp", "color": [0, 200, 0]}]}  # fmt: skip
    recipe = Recipe.model_validate(
        {"classes": classes, "scene": {"inputs": [1, 2]}, "tiles": {"size": 32}}
    )
    bands = np.random.default_rng(0).integers(0, 2000, (2, 40, 50)).astype(np.float32)
    path = _write(tmp_path / "scenes" / "site_clear.tif", bands)
    _write(tmp_path / "scenes" / "site_truth.tif", (bands[:1] >= LEAST).astype(np.uint8))
    return _save_model(tmp_path / "model", recipe, band=0), path


def test_a_scene_without_colours_is_mapped_and_evaluated(
    bare: tuple[Path, Path], tmp_path: Path
) -> None:
    model, path = bare
    run("predict", model, path, "--out", tmp_path / "maps")
    assert {"site_clear.png", "site_clear.tif"} <= set(names(tmp_path / "maps"))
    run("evaluate", "--scenes", path.parent, "--model", model, "--out", tmp_path / "scores")
    assert "100.00" in (tmp_path / "scores" / "accuracy.csv").read_text()


def test_a_product_that_needs_colours_is_one_sentence(
    bare: tuple[Path, Path], tmp_path: Path
) -> None:
    model, path = bare
    words = ["predict", model, path, "--out", tmp_path / "maps", "--products", "overlay"]
    said = " ".join(run(*words, expect=1).output.split())
    assert "has no red, green and blue, which the product 'overlay' needs" in said
    recipe = load_recipe(model / "recipe.yaml")
    with pytest.raises(SceneError, match="can't be shown in colour"):
        read_scene(open_for_model(SceneRef("a", str(path)), recipe))


def test_other_errors_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"no image")
    with pytest.raises(SceneError, match="can't be read"):
        open_for_model(SceneRef("a", str(path)), _kelp_recipe())
    few = _write(tmp_path / "few.tif", np.ones((2, 5, 6)))
    with pytest.raises(SceneError, match="swir16"):
        open_for_model(SceneRef("few", str(few)), _kelp_recipe())


def test_canopy_is_brighter_in_near_infrared(kelp: tuple[Path, list[Planted]]) -> None:
    from data_samples.kelp import make_place, take_picture

    rng = np.random.default_rng(1)
    made = take_picture(rng, make_place(rng, "kelp", 128))
    nir = made.image[..., 1]
    assert nir[made.surface == KELP].mean() > nir[made.surface == 0].mean() + 200


def _write(path: Path, bands: np.ndarray, descriptions: list[str] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    if bands.dtype != np.uint8:
        bands = bands.astype(np.float32)
    count, height, width = bands.shape
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count,
                       dtype=bands.dtype) as target:  # fmt: skip
        target.write(bands)
        if descriptions:
            target.descriptions = descriptions
    return path
