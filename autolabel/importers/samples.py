"""What is the same for all importers: finding, opening and reading the samples of an import."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.coding import background, code_table, label_of
from autolabel.importers.importer import ImportedScene, Sample
from autolabel.importers.prepare import fit_labels, fit_pixels, grow, place_image
from autolabel.importers.registry import importer_of
from autolabel.scene_tiles import LabelledScene, take_labels
from polynya.attempt import Failure, attempt
from polynya.errors import RecipeError, SceneError
from polynya.grid import Tile
from polynya.names import printable, scene_id, unique_id
from polynya.rasters.opening import EXTENSIONS
from polynya.recipe.imports import NamedOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.band_set import BandPixels
from polynya.scenes.finding import SceneRef
from polynya.scenes.identity import file_digest, raster_digest
from polynya.scenes.scene import Scene
from polynya.storage.folder import absolute

_DIGITS = 16


def find_samples(sources: Sequence[str], recipe: Recipe) -> list[Sample]:
    """Find the samples of all sources; a source that can't be used is one sample with a problem.

    Args:
        sources: Folders, files or archives.
        recipe: Has a section `imports`.

    Returns:
        Samples with different ids, sorted by id. An id is the sample's own name; where several have
        one name, the names of their folders come first.

    Raises:
        RecipeError: The section can't be used for any sample.
    """
    check_import(recipe)
    found: list[tuple[str, Sample]] = []
    for source in dict.fromkeys(map(absolute, sources)):
        listed = attempt(partial(importer_of(recipe).find, source, recipe), source, "imported")
        if isinstance(listed, Failure):
            listed = [Sample(scene_id(source), source, problem=listed.reason)]
        found += [(source, sample) for sample in listed]
    return sorted(_named(_each_once(found)), key=lambda sample: sample.id)


def check_import(recipe: Recipe) -> None:
    """Refuse a section `imports` that suits no sample: once, instead of once per sample.

    Raises:
        RecipeError: A number stands for several exclusive classes, padding has no class, or the
            number of missing values has no bands.
    """
    options = recipe.imports
    assert options is not None
    code_table(recipe)
    if isinstance(options, NamedOptions):
        for names in (options.values or {}).values():
            label_of(names, recipe.classes)
    if options.missing is not None and recipe.scene.inputs is None:
        raise RecipeError(
            f"The recipe key 'imports.missing' is {options.missing:g}, which is for named bands,"
            " and 'scene.inputs' names none; add it, or set 'imports.missing' to null."
        )
    if options.padding == "background" and background(recipe) == recipe.classes.nodata:
        raise RecipeError(
            "The recipe key 'imports.padding' is 'background', and 'imports.background' names no"
            " class; add it."
        )


def open_sample(ref: SceneRef, recipe: Recipe) -> ImportedScene:
    """Describe a sample as a scene, in the size that it has in the shards.

    Raises:
        SceneError: It can't be used, or `ref` is not from `find_samples`.
    """
    if not isinstance(ref, Sample):
        raise SceneError(
            f"{printable(ref.uri)} is in the data set and not among these sources; import it again"
            " together with them."
        )
    if ref.problem:
        raise SceneError(ref.problem)
    assert recipe.imports is not None
    raw = importer_of(recipe).describe(ref, recipe)
    scene = raw
    place = place_image(raw.height, raw.width, recipe.imports, raw.uri)
    if place is not None:
        scene = replace(
            raw,
            height=place.height,
            width=place.width,
            transform=_scaled(
                raw.transform, raw.height / place.inner_height, raw.width / place.inner_width
            ),
        )
    content = {field.name: getattr(scene, field.name) for field in fields(Scene)}
    return ImportedScene(**content, sample=ref, raw=raw)


def read_sample(
    scene: ImportedScene, recipe: Recipe, window: Tile
) -> tuple[LabelledScene, NDArray[np.bool_], BandPixels | None]:
    """Read a sample, or some of its rows, as it comes into the shards.

    Args:
        scene: From `open_sample`.
        recipe: Has a section `imports`.
        window: Rows to read; all of them if the recipe changes the image's size or grows labels.

    Returns:
        Image and labels, bool (H, W) for pixels with data, and bands if the recipe names some.

    Raises:
        SceneError: The image or its labels can't be read.
        LabelError: The labels don't suit the image or the classes.
    """
    importer, options = importer_of(recipe), recipe.imports
    assert options is not None
    part = None if options.needs_whole else window
    pixels = importer.read_pixels(scene.sample, scene.raw, recipe, part)
    label = read_own_labels(scene, recipe, part)
    place = place_image(scene.raw.height, scene.raw.width, options, scene.uri)
    if place is not None:
        is_class = options.padding == "background"
        pixels = fit_pixels(pixels, place, is_class)
        label = fit_labels(label, place, background(recipe) if is_class else recipe.classes.nodata)
    labelled = take_labels(pixels.image, pixels.valid, label, recipe.classes)
    return labelled, pixels.valid, pixels.inputs


def read_own_labels(
    scene: ImportedScene, recipe: Recipe, window: Tile | None = None
) -> NDArray[np.uint8]:
    """Read the labels of a sample in the size of its image, before `imports.size`.

    Args:
        scene: From `open_sample`.
        recipe: Has a section `imports`.
        window: Rectangle of the image; None: all of it.

    Returns:
        uint8 (H, W), labels of the recipe's classes, grown by `imports.dilate`.

    Raises:
        SceneError: The labels can't be read.
        LabelError: They don't suit the image or the classes.
    """
    options = recipe.imports
    assert options is not None
    label = importer_of(recipe).read_labels(scene.sample, scene.raw, recipe, window)
    return label if options.dilate is None else grow(label, recipe.classes, options.dilate)


def sample_digest(scene: ImportedScene) -> str:
    """Digest of all bytes that a sample's image and labels come from: 16 hex digits.

    Raises:
        SceneError: A file can't be read.
    """
    total = hashlib.sha256(scene.sample.content.encode(errors="surrogateescape"))
    for path in (scene.uri, *scene.sample.labels):
        is_raster = path.lower().endswith(EXTENSIONS)
        digest = raster_digest(path, scene.references) if is_raster else file_digest(path)
        total.update(f"\n{digest}".encode())
    return total.hexdigest()[:_DIGITS]


def _scaled(
    transform: tuple[float, ...] | None, rows: float, columns: float
) -> tuple[float, float, float, float, float, float] | None:
    """Transform of an image whose pixels become larger by a factor for rows and columns."""
    if transform is None:
        return None
    a, b, c, d, e, f = transform
    return a * columns, b * rows, c, d * columns, e * rows, f


def _each_once(found: Sequence[tuple[str, Sample]]) -> list[tuple[str, Sample]]:
    """Leave out images that are there twice, as a folder and the folder above it may be given."""
    by_place: dict[str, tuple[str, Sample]] = {}
    for source, sample in found:
        _, first = by_place.setdefault(sample.uri, (source, sample))
        if (first.labels, first.content) != (sample.labels, sample.content):
            problem = (
                f"{printable(sample.uri)} has other labels in {printable(source)} than in another"
                " source; import them into two folders."
            )
            by_place[sample.uri] = source, replace(sample, problem=problem)
    return list(by_place.values())


def _named(found: Sequence[tuple[str, Sample]]) -> list[Sample]:
    """Give samples different ids, which don't depend on the place of their source if possible."""

    def in_source(source: str, sample: Sample) -> str:
        path = sample.uri.partition(source)[2].strip("/")
        return _safe(f"{os.path.dirname(path)}/{sample.id}")

    ways: tuple[Callable[[str, Sample], str], ...] = (
        lambda source, sample: _safe(sample.id),
        in_source,
        lambda source, sample: _safe(f"{os.path.basename(source)}/{in_source(source, sample)}"),
        lambda source, sample: unique_id(sample.uri),
    )
    named: list[Sample] = []
    left, taken = list(found), set[str]()
    for way in ways:
        ids = [way(source, sample) for source, sample in left]
        counts = Counter(map(str.lower, ids))
        clear = [counts[name.lower()] == 1 and name.lower() not in taken for name in ids]
        named += [
            replace(s, id=name) for (_, s), name, ok in zip(left, ids, clear, strict=True) if ok
        ]
        taken |= counts.keys()
        left = [one for one, ok in zip(left, clear, strict=True) if not ok]
    return named


def _safe(name: str) -> str:
    # A name has no extension any more, and `scene_id` takes one away.
    return scene_id(f"{name.strip('/').replace('/', '-')}.sample")
