"""Data sets with an image file and a mask file for each sample, found by patterns of names."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from autolabel.importers.importer import Sample
from autolabel.importers.listing import list_files, matching
from polynya.errors import SceneError
from polynya.names import printable
from polynya.progress import console
from polynya.rasters.opening import EXTENSIONS

VALIDATION = "val-"
"""Beginning of the ids of scenes that a data set keeps for validation."""


@dataclass(frozen=True)
class Patterns:
    """Names of the images and masks of a data set (`polynya.recipe.imports`)."""

    images: str
    masks: str
    from_recipe: bool = False
    """Whether they are the recipe's keys `imports.images` and `imports.masks`."""

    def or_fix(self, key: str) -> str:
        """End of a remedy: the key, if the recipe has it."""
        return f", or fix imports.{key} in the recipe" if self.from_recipe else ""


def find_pairs(source: str, patterns: Patterns, validation: str | None = None) -> list[Sample]:
    """Find the images of a source with their masks.

    Args:
        source: Folder or archive.
        patterns: Names of images and masks.
        validation: Folder in the source with more of them; the ids of these begin with `val-`.

    Returns:
        A sample for each image; one without mask, or with several, has a problem.

    Raises:
        SceneError: The source can't be listed or has no image.
    """
    files = list_files(source)
    held_out: dict[str, str] = {}
    if validation is not None:
        inner = posixpath.normpath(validation) + "/"
        held_out = {name: path for name, path in files.items() if name.startswith(inner)}
        files = {name: path for name, path in files.items() if name not in held_out}
        held_out = {name.removeprefix(inner): path for name, path in held_out.items()}
    samples = pair(files, patterns) + pair(held_out, patterns, VALIDATION)
    if not samples:
        raise SceneError(
            f"{printable(source)} has no file '{patterns.images}'; give the folder of the data"
            f" set{patterns.or_fix('images')}."
        )
    return samples


def pair(files: Mapping[str, str], patterns: Patterns, prefix: str = "") -> list[Sample]:
    """Match images and masks; prints how many masks have no image.

    Args:
        files: From `list_files`.
        patterns: Names of images and masks.
        prefix: Beginning of the ids.
    """
    images = matching(patterns.images, _files_of(patterns.images, files))
    masks = matching(patterns.masks, _files_of(patterns.masks, files))
    lonely = masks.keys() - images.keys()
    if lonely and images:
        console.print(
            f"Note: {len(lonely)} masks have no image ('{patterns.images}') and are left out, such"
            f" as {printable(masks[min(lonely)][0])}.",
            style="yellow", markup=False, soft_wrap=True,
        )  # fmt: skip
    samples = []
    for key, names in images.items():
        own = masks.get(key, [])
        labels = tuple(files[name] for name in own[:1])
        problem = _problem(files[names[0]], names, own, patterns)
        samples.append(Sample(prefix + key[1], files[names[0]], labels, problem=problem))
    return samples


def _files_of(pattern: str, files: Mapping[str, str]) -> list[str]:
    """Files that a pattern may mean: of any type, only rasters and not what is beside them."""
    if not pattern.endswith(".*"):
        return list(files)
    return [name for name in files if name.lower().endswith(EXTENSIONS)]


def _problem(path: str, images: list[str], masks: list[str], patterns: Patterns) -> str:
    """Why an image can't be used; "" if it has one mask."""
    if len(images) > 1:
        return f"{printable(path)} and {printable(images[1])} have one name; rename one of them."
    if not masks:
        return (
            f"{printable(path)} has no mask '{patterns.masks}'; put it there"
            f"{patterns.or_fix('masks')}."
        )
    if len(masks) > 1:
        return (
            f"{printable(path)} has the masks {printable(masks[0])} and {printable(masks[1])};"
            f" leave one of them{patterns.or_fix('masks')}."
        )
    return ""
