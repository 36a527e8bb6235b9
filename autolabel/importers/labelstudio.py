"""The kind `labelstudio`: regions in a JSON file that Label Studio has exported, and images.

https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks: a list of tasks with
`data` (its image) and `annotations`, of which each has a list `result`. Polygons and rectangles are
in percent of the image's size. Brush strokes are run-length codes of RGBA images
(https://labelstud.io/tags/brushlabels), in the form of the package rle-pack: bits with the number
of bytes (32), the width of a byte less 1 (5) and four widths of lengths less 1 (4 each); then
runs: one bit for a repetition, two for one of the widths, the length less 1, and one byte or all.
"""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.regions import (
    Region,
    inside,
    join_regions,
    label_of_value,
    polygon_mask,
    read_json,
)
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.imports import LabelstudioOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene

_KINDS = ("brushlabels", "polygonlabels", "rectanglelabels")
_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, LabelstudioOptions)
    tasks = read_json(source, "Label Studio")
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise SceneError(
            f"{printable(source)} is no list of tasks with 'data' and 'annotations'; export from"
            " Label Studio as JSON (not JSON-MIN)."
        )
    if not tasks:
        raise SceneError(f"{printable(source)} has no task; export from Label Studio again.")
    folder = os.path.normpath(
        os.path.join(os.path.dirname(os.path.abspath(source)), options.images)
    )
    return [_sample(task, source, folder, options.image_key) for task in tasks]


def _sample(task: dict[str, Any], source: str, folder: str, key: str) -> Sample:
    called = f"{printable(source)}, task {task.get('id')},"
    told = task["data"].get(key)
    if not isinstance(told, str):
        problem = (
            f"{called} names no image in its data '{printable(key)}'; fix imports.image_key in the"
            " recipe."
        )
        return Sample(f"task-{task.get('id')}", f"{source}#{task.get('id')}", problem=problem)
    name, problem = _file(told, folder), ""
    if not inside(name):
        problem = (
            f"{called} has the image '{printable(told)}', which is no file in the folder of images;"
            " fix the task."
        )
    results = _last_results(task)
    if results is None:
        problem = problem or f"{called} has no finished annotation; label it, or leave it out."
    content = json.dumps([os.path.basename(source), task.get("id"), results])
    path = os.path.join(folder, name.replace("\0", ""))
    return Sample(os.path.splitext(name)[0], path, content=content, problem=problem)


def _file(told: str, folder: str) -> str:
    """Name of an image in the folder of images, from the address in a task."""
    parts = urlsplit(told)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0].lstrip("/")
    if not inside(path):
        return path
    base = os.path.basename(path)
    choices = (path, base, _UPLOADED.sub("", base, count=1))
    return next((one for one in choices if os.path.isfile(os.path.join(folder, one))), base)


def _last_results(task: dict[str, Any]) -> list[Any] | None:
    """Regions of the latest annotation that wasn't cancelled; None if there is none."""
    annotations = task.get("annotations")
    done = [
        one
        for one in (annotations if isinstance(annotations, list) else [])
        if isinstance(one, dict)
        and not one.get("was_cancelled")
        and isinstance(one.get("result"), list)
    ]
    if not done:
        return None
    # Times in ISO 8601 sort as texts; of equal ones, the last counts.
    latest = max(range(len(done)), key=lambda n: (str(done[n].get("updated_at", "")), n))
    found: list[Any] = done[latest]["result"]
    return found


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    source, task, results = json.loads(sample.content)
    shape = (scene.height, scene.width)
    called = f"{printable(source)}, task {task},"
    regions: list[Region] = []
    for result in results:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            continue  # Choices and relations of a task are no regions.
        kind, value = result.get("type"), result["value"]
        if kind not in _KINDS:
            if "points" in value or "rle" in value or "width" in value or "radiusX" in value:
                raise LabelError(
                    f"{called} has a region of the type '{printable(str(kind))}', and the kind"
                    f" 'labelstudio' reads {', '.join(_KINDS)}; draw it so, or remove it."
                )
            continue
        what = f"the region {printable(str(result.get('id')))}"
        _check_size(result, shape, called, what)
        mask = _mask(kind, value, shape, called, what)
        for name in value.get(kind) or [""]:
            regions.append((mask, label_of_value(name, recipe, called, "as a label")))
    labels = join_regions(regions, shape, recipe, called)
    return labels if window is None else labels[window.slices]


def _check_size(result: dict[str, Any], shape: tuple[int, int], called: str, what: str) -> None:
    told = (result.get("original_height"), result.get("original_width"))
    if told != shape:
        raise LabelError(
            f"{called} has {what} on an image of {told[0]} x {told[1]} pixels, and the file has"
            f" {shape[0]} x {shape[1]}; give the image that was labelled."
        )
    if result.get("image_rotation"):
        raise LabelError(
            f"{called} has {what} on a turned image, which can't be undone here; turn it back in"
            " Label Studio."
        )


def _mask(
    kind: str, value: dict[str, Any], shape: tuple[int, int], called: str, what: str
) -> NDArray[np.bool_]:
    height, width = shape
    if kind == "brushlabels":
        try:
            return decode_brush(value.get("rle"), shape)
        except (ValueError, TypeError) as error:
            raise LabelError(
                f"{called} has {what} with a wrong run-length code: {error}; draw it again."
            ) from None
    try:
        points = value.get("points") if kind == "polygonlabels" else _corners(value, shape)
        scaled = np.asarray(points, np.float64) * np.array([width, height]) / 100
    except (ValueError, TypeError):
        scaled = np.empty((0, 2))
    return polygon_mask(scaled, shape, called, what)


def _corners(value: dict[str, Any], shape: tuple[int, int]) -> list[tuple[float, float]]:
    """Corners of a rectangle in percent; it is turned about its upper left corner, clockwise."""
    x, y, width, height = (float(value[key]) if key in value else math.nan for key in
                           ("x", "y", "width", "height"))  # fmt: skip
    angle = math.radians(float(value.get("rotation") or 0))
    rows, columns = shape
    corners = []
    for across, down in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height)):
        # Turned in pixels, because percent of rows and columns differ.
        dx, dy = across * columns, down * rows
        corners.append(
            (
                x + (dx * math.cos(angle) - dy * math.sin(angle)) / columns,
                y + (dx * math.sin(angle) + dy * math.cos(angle)) / rows,
            )
        )
    return corners


def decode_brush(code: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of a brush stroke: where the RGBA image of its code isn't transparent.

    Args:
        code: Numbers 0..255, see the module.
        shape: Rows and columns of the image.

    Raises:
        ValueError: They are no code, or that of another image.
    """
    numbers = np.asarray(code)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError("it is no list of numbers")
    if numbers.min() < 0 or numbers.max() > 255:
        raise ValueError("it has a number that is no byte")
    bits = np.unpackbits(numbers.astype(np.uint8))
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ValueError("it is cut")
        value = 0
        for bit in bits[place : place + count].tolist():
            value = value << 1 | bit
        place += count
        return value

    size, word = take(32), take(5) + 1
    if size != shape[0] * shape[1] * 4 or word != 8:
        raise ValueError(f"it is of another image than one of {shape[0]} x {shape[1]} pixels")
    widths = [take(4) + 1 for _ in range(4)]
    pixels, done = np.zeros(size, np.uint8), 0
    while done < size:
        repeats = take(1)
        end = done + 1 + take(widths[take(2)])
        if end > size:
            raise ValueError("it has a run that leaves the image")
        if repeats:
            pixels[done:end] = take(8)
        else:
            count = 8 * (end - done)
            if place + count > len(bits):
                raise ValueError("it is cut")
            pixels[done:end] = np.packbits(bits[place : place + count])
            place += count
        done = end
    mask: NDArray[np.bool_] = pixels.reshape(*shape, 4)[..., 3] > 0
    return mask


IMPORTER = Importer(
    name="labelstudio",
    about="brush strokes, polygons and rectangles of Label Studio (JSON)",
    find=_find,
    read_labels=_read_labels,
)
