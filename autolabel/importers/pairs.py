"""Data sets with an image file and a mask file for each sample, found by patterns of names."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from autolabel.importers.importer import Sample
from autolabel.importers.listing import Key, list_files, matching
from polynya.errors import SceneError
from polynya.names import printable
from polynya.progress import console
from polynya.rasters.opening import EXTENSIONS

VALIDATION = "val-"
"""Beginning of the ids of scenes that a data set keeps for validation."""


def find_pairs(source: str, images: str, masks: str, validation: str | None = None) -> list[Sample]:
    """Find the images of a source with their masks.

    Args:
        source: Folder or archive.
        images: Pattern of the images (`polynya.recipe.imports`).
        masks: Pattern of the masks.
        validation: Folder in the source with more of them; the ids of these begin with `val-`.

    Returns:
        A sample for each image; one without mask, or with several, has a problem.

    Raises:
        SceneError: The source can't be listed or has no image.
    """
    files = list_files(source)
    samples = pair(files, images, masks)
    if validation is not None:
        inner = posixpath.normpath(validation) + "/"
        held_out = {name.removeprefix(inner): path for name, path in files.items()
                    if name.startswith(inner)}  # fmt: skip
        rest = {name: path for name, path in files.items() if not name.startswith(inner)}
        samples = pair(rest, images, masks) + pair(held_out, images, masks, VALIDATION)
    if not samples:
        raise SceneError(
            f"{printable(source)} has no file '{images}'; fix the recipe's key 'imports.images', or"
            " give the folder above."
        )
    return samples


def pair(files: Mapping[str, str], images: str, masks: str, prefix: str = "") -> list[Sample]:
    """Match images and masks, from `list_files`; prints how many masks have no image."""
    found, others = (matching(pattern, _files_of(pattern, files)) for pattern in (images, masks))
    lonely = others.keys() - found.keys()
    if lonely and found:
        console.print(
            f"Note: {len(lonely)} masks have no image ('{images}') and are left out, such as"
            f" {printable(others[min(lonely)][0])}.",
            style="yellow", markup=False, soft_wrap=True,
        )  # fmt: skip
    return [
        _sample(key, names, others.get(key, []), files, masks, prefix)
        for key, names in found.items()
    ]


def _files_of(pattern: str, files: Mapping[str, str]) -> list[str]:
    """Files that a pattern may mean: of any type, only rasters and not what is beside them."""
    if not pattern.endswith(".*"):
        return list(files)
    return [name for name in files if name.lower().endswith(EXTENSIONS)]


def _sample(
    key: Key, images: list[str], masks: list[str], files: Mapping[str, str], pattern: str,
    prefix: str,
) -> Sample:  # fmt: skip
    image, problem = printable(files[images[0]]), ""
    if len(images) > 1:
        problem = f"{image} and {printable(images[1])} have the same name; rename one of them."
    elif not masks:
        problem = f"{image} has no mask '{pattern}'; put it there or fix imports.masks."
    elif len(masks) > 1:
        both = f"{printable(masks[0])} and {printable(masks[1])}"
        problem = f"{image} has the masks {both}; leave one of them, or fix imports.masks."
    labels = tuple(files[name] for name in masks[:1])
    return Sample(prefix + key[1], files[images[0]], labels, problem=problem)
