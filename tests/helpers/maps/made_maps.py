"""Scenes, class codes and bands that are made up, and products written of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rasterio.transform import Affine

from inference.predict.windows import Band
from inference.products.class_map import write_map
from inference.products.paths import ProductPaths
from inference.products.qgis import write_styles
from inference.products.registry import (
    open_writers,
)
from inference.products.summary import summarise
from inference.stac.item import (
    write_item,
)
from polynya.recipe.classes import SEA_ICE, ClassScheme, LabelClass
from polynya.recipe.inference import InferenceOptions
from polynya.scenes.scene import Scene

TAGS = {"polynya_version": "0", "recipe_digest": "abc", "model_digest": "def", "source": "s.tif"}


ROTATED = Affine(8, 6, 1000, 6, -8, 2000)


def make_scene(height=40, width=60, crs="EPSG:3031", transform=None) -> Scene:
    """A scene that has no file."""
    return Scene(
        id="site_1_20191104_cloud",
        uri="/data/in/site_1_20191104_cloud.tif",
        height=height,
        width=width,
        crs=crs,
        transform=transform or (10.0, 0.0, -300000.0, 0.0, -10.0, -1200000.0),
        dtype="uint8",
        band_indexes=(1, 2, 3),
        scale=1.0,
        offset=0.0,
        stretch=(0.0, 1.0),
        zero_is_nodata=True,
    )


def random_codes(height, width, seed=0, classes=SEA_ICE):
    """Blocks of all labels of a scheme, and of nodata."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes.n_labels + 1, (height // 8 + 1, width // 8 + 1))
    codes = np.kron(blocks, np.ones((8, 8), int))[:height, :width]
    return np.array([*range(classes.n_labels), classes.nodata], np.uint8)[codes]


def box_scene(left, top, right, bottom, crs="EPSG:3031"):
    return make_scene(
        100, 100, crs, ((right - left) / 100, 0.0, left, 0.0, (bottom - top) / 100, top)
    )


OTHER = ClassScheme(
    name="ponds",
    classes=(
        LabelClass(code=0, name="dry", title="Dry", color=(1, 1, 1)),
        LabelClass(code=1, name="wet", title="Wet", color=(2, 2, 2)),
    ),
)


MASKS = ClassScheme(
    name="overlapping",
    kind="masks",
    classes=(
        LabelClass(code=0, name="ice", title="Any ice", color=(200, 0, 0)),
        LabelClass(code=1, name="wet", title="Melt water", color=(0, 100, 0)),
        LabelClass(code=2, name="thick_ice", title="Thick ice", color=(0, 0, 50)),
    ),
)

ONE_MASK = ClassScheme(
    name="binary",
    kind="masks",
    classes=(LabelClass(code=0, name="ice", title="Ice", color=(250, 250, 255)),),
)


def options_of(*products, **sections):
    return InferenceOptions.model_validate({"products": products, **sections})


def fabricated_bands(codes, seed=0, rows=37, classes=SEA_ICE):
    """Bands whose most probable classes, or probable masks, are the codes."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((*codes.shape, classes.n_classes), np.float32)
    valid = codes != 255
    if classes.has_masks:
        inside = np.stack([classes.where(codes, code) for code in classes.codes], axis=-1)
        probabilities = probabilities * np.float32(0.49) + np.float32(0.5) * inside
    else:
        winner = np.where(valid, codes, 0)[..., None]
        np.put_along_axis(probabilities, winner.astype(np.int64), 1.5, axis=2)
        probabilities /= probabilities.sum(axis=2, keepdims=True)
    for row in range(0, len(codes), rows):
        yield Band(row, valid[row : row + rows], probabilities[row : row + rows])


def make(folder, codes, scene, *products, classes=SEA_ICE, bands=None, **sections):
    """Write products of fabricated probabilities; paths, probabilities (H, W, C), summary."""
    folder.mkdir(exist_ok=True)
    paths = ProductPaths(folder, scene.id)
    bands = bands or list(fabricated_bands(codes, classes=classes))
    options = options_of(*products, **sections)
    with open_writers(paths, scene, classes, options, TAGS) as writers:
        for band in bands:
            writers.add(band)
        summary = writers.finish(codes)
    return paths, np.concatenate([band.probabilities for band in bands]), summary


ROTATED_POLE = (
    "+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +lon_0=18 +o_lon_p=0 +datum=WGS84"
    " +to_meter=0.0174532925199433"
)


LOCAL = 'LOCAL_CS["drone",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'


MODEL_TAGS = {**TAGS, "model_digest": "0123456789abcdef"}


def write_all(folder, scene, codes, products=(), tags=MODEL_TAGS, classes=SEA_ICE, **sections):
    """Products of a scene with its item; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, options = ProductPaths(folder, scene.id), options_of(*products, **sections)
    with open_writers(paths, scene, classes, options, tags) as writers:
        for band in fabricated_bands(codes, classes=classes):
            writers.add(band)
        summary = summarise(codes, scene, classes) | writers.finish(codes)
    paths.picture.write_bytes(b"png")
    write_map(paths.map, codes, scene, classes, tags)
    write_styles(paths, classes, products)
    write_item(paths, scene, classes, products, tags, summary)
    return paths


def write_readable(folder, scene, codes, products, classes=SEA_ICE, **sections):
    """The same of a scene that has a file, as overlays need it."""
    scene_file = folder / "scene.tif"
    write_map(scene_file, codes, scene, classes, {})
    readable = replace(scene, uri=str(scene_file), band_indexes=(1, 1, 1))
    return write_all(folder / "maps", readable, codes, products, classes=classes, **sections)
