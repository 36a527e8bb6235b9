"""The kind `coco`: a JSON file of COCO's form for instances, and a folder of images.

https://cocodataset.org/#format-data: `images` (id, file_name, height, width), `categories` (id,
name), and `annotations` with the image, the category and a `segmentation`: polygons [x, y, ...] in
pixels, or a run-length code, as numbers or as a compressed text. Regions of several objects
(`iscrowd`) count as others.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.regions import (
    inside,
    join_regions,
    label_of_value,
    polygon_mask,
    read_json,
)
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.imports import CocoOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene

_CALLED = "a program that writes COCO's form"


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, CocoOptions)
    content = _checked(read_json(source, _CALLED), source)
    folder = os.path.normpath(
        os.path.join(os.path.dirname(os.path.abspath(source)), options.images)
    )
    names = {one["id"]: str(one.get("name", "")) for one in content["categories"]}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for one in content["annotations"]:
        by_image.setdefault(one["image_id"], []).append(one)
    ids = Counter(one["id"] for one in content["images"])
    own = Counter(str(one.get("id")) for one in content["annotations"])
    samples = []
    for image in content["images"]:
        annotations = by_image.get(image["id"], [])
        called = f"{printable(source)} has the image '{printable(str(image.get('file_name')))}'"
        problem = _problem(image, annotations, ids, own, called)
        told = [os.path.basename(source), image.get("height"), image.get("width"), annotations]
        used = {one.get("category_id") for one in annotations if _is_id(one.get("category_id"))}
        known = sorted((key, name) for key, name in names.items() if key in used)
        name = str(image.get("file_name"))
        samples.append(
            Sample(
                os.path.splitext(name)[0], os.path.join(folder, name.replace("\0", "")),
                content=json.dumps([*told, known]), problem=problem,
            )
        )  # fmt: skip
    for missing in by_image.keys() - ids.keys():
        problem = (
            f"{printable(source)} has {len(by_image[missing])} annotations of the image id"
            f" {missing}, which is not among its images; export it again."
        )
        samples.append(Sample(f"image-{missing}", f"{source}#image-{missing}", problem=problem))
    return samples


def _checked(content: Any, source: str) -> dict[str, list[dict[str, Any]]]:
    """Make sure that the lists are there, and that everything in them can be told apart."""
    if not isinstance(content, dict):
        content = {}
    annotations = content.get("annotations")
    if isinstance(annotations, list) and any(
        isinstance(one, dict) and "segments_info" in one for one in annotations
    ):
        raise SceneError(
            f"{printable(source)} is of COCO's panoptic form, whose labels are in PNG files; give a"
            " file of instances, or import the PNG files with the kind 'folder'."
        )
    for key, needed in (("images", "id"), ("categories", "id"), ("annotations", "image_id")):
        rows = content.get(key)
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and _is_id(row.get(needed)) for row in rows
        ):
            raise SceneError(
                f"{printable(source)} has no list '{key}' with a key '{needed}' in each entry, as"
                " COCO's form of instances has; give such a file."
            )
    twice = [n for n, count in Counter(c["id"] for c in content["categories"]).items() if count > 1]
    if twice:
        raise SceneError(
            f"{printable(source)} has the category id {twice[0]} twice; give each its own."
        )
    return content


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)


def _problem(
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    ids: Counter[Any],
    own: Counter[str],
    called: str,
) -> str:
    """Why an image can't be used; "" if it can."""
    if not isinstance(image.get("file_name"), str) or not inside(image["file_name"]):
        return f"{called}, which is no file in the folder of images; fix its 'file_name'."
    if ids[image["id"]] > 1:
        return f"{called} with the id {image['id']}, which another image has too; fix the ids."
    twice = [one["id"] for one in annotations if "id" in one and own[str(one["id"])] > 1]
    if twice:
        return f"{called} with the annotation id {twice[0]}, which is there twice; fix the ids."
    return ""


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    source, height, width, annotations, known = json.loads(sample.content)
    shape = (scene.height, scene.width)
    called = f"{printable(source)}, image {printable(os.path.basename(sample.uri))},"
    if [height, width] != list(shape):
        raise LabelError(
            f"{called} says {height} x {width} pixels, and the file has {shape[0]} x {shape[1]};"
            " give the image that was labelled."
        )
    names = dict(known)
    regions = []
    for one in annotations:
        what = f"the annotation {one.get('id')}"
        category = one.get("category_id")
        if not _is_id(category) or category not in names:
            raise LabelError(
                f"{called} has {what} of the category id {category}, which is not among the"
                " categories; add it there."
            )
        label = label_of_value(names[category], recipe, called, "as a category")
        regions.append((_mask(one.get("segmentation"), shape, called, what), label))
    labels = join_regions(regions, shape, recipe, called)
    return labels if window is None else labels[window.slices]


def _mask(segmentation: Any, shape: tuple[int, int], called: str, what: str) -> NDArray[np.bool_]:
    """Mask of a segmentation: polygons, or a run-length code."""
    if isinstance(segmentation, list) and segmentation:
        mask = np.zeros(shape, np.bool_)
        for polygon in segmentation:
            mask |= polygon_mask(polygon, shape, called, what)
        return mask
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        try:
            if list(segmentation.get("size", [])) != list(shape):
                raise ValueError("it is of another size than the image")
            return decode_counts(counts_of(counts) if isinstance(counts, str) else counts, shape)
        except (ValueError, TypeError) as error:
            raise LabelError(
                f"{called} has {what} with a wrong run-length code: {error}; fix or remove it."
            ) from None
    raise LabelError(f"{called} has {what} without a segmentation; label it, or remove it.")


def counts_of(text: str) -> list[int]:
    """Run lengths of a compressed code.

    Five bits a character from '0' (48), the sixth says that more follow, as in LEB128; from the
    third run on, a number is the difference to the run before the last (COCO API, maskApi.c,
    rleToString).

    Raises:
        ValueError: The text is none.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("it has a character that no code has")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("it is cut")
    return counts


def decode_counts(counts: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of run lengths that alternate between outside and inside, down the columns.

    Raises:
        ValueError: They are no numbers, or don't fill the image.
    """
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise ValueError("its runs are no whole numbers from 0")
    height, width = shape
    if (runs > height * width).any() or int(runs.sum()) != height * width:
        raise ValueError(f"its runs don't fill the image of {height} x {width} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


IMPORTER = Importer(
    name="coco",
    about="regions in a JSON file of COCO's form (instances)",
    find=_find,
    read_labels=_read_labels,
)
