"""The kind `gym`: data sets of Segmentation Gym, read and written.

Buscombe and Goldstein 2022, A Reproducible and Reusable Pipeline for Segmentation of Geoscientific
Imagery, Earth and Space Science 9. Each .npz file holds `arr_0`, the image, uint8 (H, W, B);
`arr_1`, a band for each class, uint8 (H, W, C); `num_bands` and `files`. Validation data are in
`val_data/val_npzs`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.coding import from_one_hot, hot_labels
from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files
from autolabel.importers.npz import opened_npz
from autolabel.importers.pairs import VALIDATION
from autolabel.importers.rasters import Pixels, describe_array, pixels_of
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import GymOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene

_IMAGE, _LABELS = "arr_0", "arr_1"
_NAME, _COPY = "_noaug_nd_data_", "_aug_nd_data_"
_VALIDATION_FOLDERS = ("val_data", "val_npzs")


def npz_name(root: str, number: int, *, is_copy: bool = False) -> str:
    """Name of a file of the Gym: its number follows six zeros and isn't padded.

    The Gym tells copies by their names, so a root loses what would tell the opposite.
    """
    root = root.replace(_NAME, "-").replace(_COPY, "-")
    return f"{root}_{'aug' if is_copy else 'noaug'}_nd_data_000000{number}.npz"


def is_gym_name(name: str) -> bool:
    """Whether a name is that of a file of the Gym."""
    return _NAME in name or _COPY in name


def npz_content(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    classes: ClassScheme,
    files: Sequence[str] = (),
) -> bytes:
    """Bytes of a file of the Gym.

    Args:
        image: uint8 (H, W, B).
        labels: uint8 (H, W), labels of the classes; nodata becomes a pixel without any class.
        classes: Class scheme.
        files: Names of the files that the image came from.
    """
    hot = np.stack([classes.where(labels, code) for code in classes.codes], axis=-1)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        arr_0=image,
        arr_1=hot.astype(np.uint8),
        num_bands=np.array(image.shape[-1]),
        files=np.array(list(files), np.str_),
    )
    return file.getvalue()


def find_npz(source: str) -> dict[str, str]:
    """Paths of the .npz files in a folder, or of one file, by their paths in the source.

    Raises:
        SceneError: There is none.
    """
    files = {os.path.basename(source): source} if os.path.isfile(source) else list_files(source)
    found = {name: path for name, path in files.items() if name.lower().endswith(".npz")}
    if not found:
        raise SceneError(
            f"{printable(source)} has no .npz file; give one, or the folder of the data set"
            " (unpacked)."
        )
    return found


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, GymOptions)
    files = find_npz(source)
    if not any(os.path.basename(name).startswith(options.prefix) for name in files):
        raise SceneError(
            f"{printable(source)} has no .npz file with a name that begins with"
            f" '{printable(options.prefix)}'; correct the recipe's key 'imports.prefix'."
        )
    samples = []
    for name, path in files.items():
        if _COPY in name and not options.augmented:
            continue
        if not os.path.basename(name).startswith(options.prefix):
            continue
        folders = os.path.dirname(os.path.join(source, name)).split(os.sep)
        prefix = VALIDATION if set(folders) & set(_VALIDATION_FOLDERS) else ""
        stem = os.path.splitext(os.path.basename(name))[0]
        samples.append(Sample(prefix + stem, path))
    return samples


def _describe(sample: Sample, recipe: Recipe) -> Scene:
    with opened_npz(sample.uri) as npz:
        shape, dtype = npz.header(_IMAGE)
    return describe_array(sample, recipe, shape, dtype)


def _read_pixels(sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None) -> Pixels:
    with opened_npz(sample.uri) as npz:
        image = npz.array(_IMAGE)
    return pixels_of(image if window is None else image[window.slices], scene)


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    options = recipe.imports
    assert isinstance(options, GymOptions)
    first = options.overlap == "first"
    return read_hot_labels(sample.uri, _LABELS, scene, recipe, window, first_counts=first)


def read_hot_labels(
    path: str,
    name: str,
    scene: Scene,
    recipe: Recipe,
    window: Tile | None,
    *,
    first_counts: bool = False,
) -> NDArray[np.uint8]:
    """Read labels from an array with a band for each class.

    Args:
        path: The .npz file.
        name: Name of the array, (H, W, C); for two classes that exclude each other also (H, W) or
            (H, W, 1), not 0 where the second is.
        scene: The image of the labels.
        recipe: Classes; `imports.codes` says the class of each band, from 0.
        window: Rectangle to read; None: all.
        first_counts: Whether the first of several classes of a pixel counts.

    Returns:
        uint8 (H, W), labels of the classes.

    Raises:
        SceneError: The array can't be read.
        LabelError: It has another size than the image, or other bands than the classes.
    """
    with opened_npz(path) as npz:
        hot = npz.array(name)
    if recipe.classes.n_classes == 2 and not recipe.classes.has_masks and _is_binary(hot):
        # One band alone, as older versions of the Gym write it for NCLASSES 1.
        second = hot.reshape(hot.shape[:2]) != 0
        hot = np.stack([~second, second], axis=-1)
    called = f"{printable(path)}, array '{name}',"
    if hot.ndim != 3 or hot.shape[:2] != (scene.height, scene.width):
        raise LabelError(
            f"{called} has the shape {hot.shape} and its image {scene.height} x {scene.width}"
            " pixels; labels need (rows, columns, classes)."
        )
    labels = hot_labels(hot.shape[2], recipe, called)
    hot = hot if window is None else hot[window.slices]
    hot = hot != 0
    if first_counts:
        hot &= np.cumsum(hot, axis=-1) == 1
    return from_one_hot(hot, np.ones(hot.shape[:2], np.bool_), labels, recipe, called)


def _is_binary(hot: NDArray[Any]) -> bool:
    """Whether an array is one band: (H, W) or (H, W, 1)."""
    return hot.ndim == 2 or (hot.ndim == 3 and hot.shape[2] == 1)


IMPORTER = Importer(
    name="gym",
    about="data sets of Segmentation Gym (.npz)",
    find=_find,
    read_labels=_read_labels,
    describe=_describe,
    read_pixels=_read_pixels,
)
