"""The kind `bands`: scenes whose bands are in several files, which are brought to one grid.

The first file has the grid. Others may have larger or smaller pixels, or another coordinate system;
their numbers are interpolated (bilinear). Files without a place must have the size of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files, matching
from autolabel.importers.masks import read_code_mask
from autolabel.importers.rasters import Pixels, array_bands, refuse_land
from polynya.errors import RecipeError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import check_size, opened_raster, tile_window
from polynya.recipe.imports import BandsOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.band_set import BandPixels
from polynya.scenes.place import read_place
from polynya.scenes.scene import Scene
from polynya.scenes.validity import find_validity, nodata_value, read_valid


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, BandsOptions)
    if recipe.scene.inputs is None:
        raise RecipeError(
            "The kind 'bands' needs the recipe's key 'scene.inputs', with the bands that shards"
            " get; add it, for example [red, green, blue, nir]."
        )
    files = list_files(source)
    found = [matching(pattern, files) for pattern in (*options.files, options.masks)]
    if not found[0]:
        raise SceneError(
            f"{printable(source)} has no file '{options.files[0]}'; fix the recipe's key"
            " 'imports.files', or give the folder above."
        )
    samples = []
    for key in found[0]:
        paths, problem = [], ""
        for pattern, by_key in zip((*options.files, options.masks), found, strict=True):
            names = by_key.get(key, [])
            if len(names) != 1:
                wrong = f"has {len(names)} files" if names else "has no file"
                problem = (
                    f"{printable(key[1])} {wrong} '{pattern}' and needs one; fix imports.files."
                )
            paths += [files[name] for name in names[:1]]
        samples.append(Sample(key[1], paths[0], tuple(paths[1:]), problem=problem))
    return samples


def _describe(sample: Sample, recipe: Recipe) -> Scene:
    refuse_land(sample, recipe)
    dtypes, names, nodata = set[str](), list[str](), list[float | None]()
    for path in _images(sample):
        with opened_raster(path) as source:
            check_size(source, path)
            dtypes |= set(source.dtypes)
            for description in source.descriptions:
                names.append(description or f"band_{len(names) + 1}")
            nodata += [nodata_value(source, band) for band in source.indexes]
    if len(dtypes) > 1:
        raise SceneError(
            f"{printable(sample.uri)} and its other files have bands of different types"
            f" ({', '.join(sorted(dtypes))}); convert them to one (gdal_translate -ot Float32)."
        )
    with opened_raster(sample.uri) as source:
        place, shape = read_place(source), source.shape
    inputs = array_bands(sample, recipe, names, dtypes.pop(), nodata)
    return Scene(
        id=sample.id, uri=sample.uri, height=shape[0], width=shape[1], crs=place.crs,
        transform=place.transform, dtype=inputs.dtype, band_indexes=inputs.indexes, scale=1.0,
        offset=0.0, stretch=recipe.scene.stretch, zero_is_nodata=False, inputs=inputs,
    )  # fmt: skip


def _read_pixels(sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None) -> Pixels:
    assert scene.inputs is not None
    tile = window or Tile(0, 0, scene.height, scene.width)
    numbers = np.zeros((tile.height, tile.width, len(scene.inputs.bands)), scene.inputs.dtype)
    valid = np.zeros(numbers.shape, np.bool_)
    first = 1
    for path in _images(sample):
        with _on_grid(path, scene) as (source, count):
            for place, band in enumerate(scene.inputs.bands):
                own = band.index - first + 1
                if not 1 <= own <= count:
                    continue
                read = source.read([own], window=tile_window(tile))[0]
                numbers[..., place] = read
                seen = read_valid(
                    source, find_validity(source, (own,)), read[..., None], tile_window(tile)
                )
                seen &= np.isfinite(read)
                if band.nodata is not None:
                    seen &= read != np.asarray(band.nodata, read.dtype)
                valid[..., place] = seen
            first += count
    numbers[~valid] = 0
    return Pixels.of_bands(BandPixels(numbers, valid))


def _images(sample: Sample) -> tuple[str, ...]:
    return (sample.uri, *sample.labels[:-1])


@contextmanager
def _on_grid(path: str, scene: Scene) -> Iterator[tuple[Any, int]]:
    """Open a raster, on the grid of its scene if it has another; also gives its own bands."""
    with opened_raster(path) as source:
        transform = Affine(*(scene.transform or Affine.identity()[:6]))
        same_size = source.shape == (scene.height, scene.width)
        if scene.has_place and source.crs is not None:
            if same_size and source.transform.almost_equals(transform, 1e-6):
                yield source, source.count
                return
            with WarpedVRT(
                source, crs=scene.crs, transform=transform, height=scene.height,
                width=scene.width, resampling=Resampling.bilinear,
                add_alpha=find_validity(source, (1,)).says_nothing,
            ) as warped:  # fmt: skip
                yield warped, source.count
            return
        if not same_size:
            raise SceneError(
                f"{printable(path)} has {source.height} x {source.width} pixels and"
                f" {printable(scene.uri)} {scene.height} x {scene.width}, and they have no common"
                " place on the ground; give them one (gdal_edit.py -a_srs -a_ullr), or one size."
            )
        yield source, source.count


IMPORTER = Importer(
    name="bands",
    about="scenes whose bands are in several files, with masks",
    find=_find,
    read_labels=read_code_mask,
    describe=_describe,
    read_pixels=_read_pixels,
)
