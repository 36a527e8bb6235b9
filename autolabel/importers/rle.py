"""The kind `rle`: a CSV file of run-length codes, and a folder of images.

Known tables: `Image_Label,EncodedPixels` with values such as `a.jpg_Fish`; an image, a class and a
code in three columns; an image and a code, if there is one class. An image may have any number of
rows.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from autolabel.importers.coding import background, label_of
from autolabel.importers.importer import Importer, Sample
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import RleOptions
from polynya.recipe.recipe import Recipe
from polynya.run_length import Order, decode, encode
from polynya.scenes.scene import Scene

_LONGEST_CODE = 2**26
"""Characters of a cell; Python's csv would allow 131,072, which a detailed mask exceeds."""

Row = tuple[int, str, str]
"""Line in the file, name of the mask ('' if the table has none), run-length code."""


def mask_rows(
    image: str, labels: NDArray[np.uint8], classes: ClassScheme, order: Order = "columns"
) -> list[tuple[str, str, str]]:
    """Rows of a table of run-length codes, one for each class: image, title of the class, code.

    Args:
        image: File name of the image.
        labels: uint8 (H, W), labels of the classes.
        classes: Class scheme.
        order: Whether pixels are numbered down the columns or along the rows.
    """
    return [
        (image, title, encode(classes.where(labels, code), order))
        for code, title in zip(classes.codes, classes.titles, strict=True)
    ]


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, RleOptions)
    folder = os.path.join(os.path.dirname(os.path.abspath(source)), options.images)
    by_image: dict[str, list[Row]] = {}
    for image, row in _rows(source):
        by_image.setdefault(image, []).append(row)
    samples = []
    for image, rows in by_image.items():
        problem = ""
        if not image or os.path.isabs(image) or ".." in image.replace("\\", "/").split("/"):
            problem = (
                f"{printable(source)}, line {rows[0][0]}, has the image '{printable(image)}', which"
                f" is no file in {options.images}; fix the row."
            )
        content = json.dumps([os.path.basename(source), rows])
        name = os.path.splitext(image)[0]
        samples.append(Sample(name, os.path.join(folder, image), content=content, problem=problem))
    return samples


def _rows(source: str) -> Iterator[tuple[str, Row]]:
    """Image and row of each line of a CSV file.

    Raises:
        SceneError: The file can't be read, or has other columns.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CODE))
    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            places = _columns(header, source)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise SceneError(
                        f"{printable(source)}, line {reader.line_num}, has {len(cells)} cells and"
                        f" the header {len(header)}; fix the line."
                    )
                image, name, code = ("" if at is None else cells[at] for at in places)
                if places[1] is None and "_" in header[places[0]]:
                    image, _, name = image.rpartition("_")
                yield image, (reader.line_num, name, code)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SceneError(
            f"{printable(source)} can't be read as a CSV file ({error}); give the file of the"
            " run-length codes."
        ) from None


def _columns(header: Sequence[str], source: str) -> tuple[int, int | None, int]:
    """Columns of the image, of the mask's name (None: there is none) and of the code."""
    names = [name.strip().lower() for name in header]
    if "encodedpixels" in names and len(names) in (2, 3):
        code = names.index("encodedpixels")
        rest = [place for place in range(len(names)) if place != code]
        return rest[0], rest[1] if len(rest) > 1 else None, code
    raise SceneError(
        f"{printable(source)} has the columns {printable(', '.join(header)) or '(none)'}, and"
        " run-length codes have Image_Label,EncodedPixels or ImageId,ClassId,EncodedPixels; rename"
        " them."
    )


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    options, classes = recipe.imports, recipe.classes
    assert isinstance(options, RleOptions)
    source, rows = json.loads(sample.content)
    shape = (scene.height, scene.width)
    labels, is_covered = np.full(shape, background(recipe), np.uint8), np.zeros(shape, np.bool_)
    for line, name, code in rows:
        called = f"{printable(source)}, line {line},"
        label = _label_named(name, recipe, called)
        mask = decode(code, *shape, called, options.order)
        if classes.has_masks and label != classes.nodata:
            labels[mask] |= label
            continue
        other = mask & is_covered & (labels != label)
        if other.any():
            row, col = np.argwhere(other)[0]
            raise LabelError(
                f"{called} has a mask that overlaps another one of its image at row {row}, column"
                f" {col} (0-based), and classes exclude each other; set the recipe's key"
                " 'classes.kind' to masks."
            )
        labels[mask], is_covered = label, is_covered | mask
    return labels if window is None else labels[window.slices]


def _label_named(name: str, recipe: Recipe, called: str) -> int:
    """Label of a mask's name: a name, title or number of a class, or one of `imports.codes`."""
    classes = recipe.classes
    assert isinstance(recipe.imports, RleOptions)
    codes = recipe.imports.codes or {}
    if name.isdecimal() and int(name) in codes:
        return label_of(codes[int(name)], classes)
    found = _class_named(name, classes)
    if found is None:
        raise LabelError(
            f"{called} is for '{printable(name)}', which is no class of '{classes.name}'"
            f" ({', '.join(classes.names)}); add it to 'classes', or to 'imports.codes' if it is a"
            " number."
        )
    return label_of(found, classes)


def _class_named(name: str, classes: ClassScheme) -> str | None:
    if not name and classes.n_classes == 1:
        return classes.names[0]
    wanted = name.strip().lower()
    for one in classes.classes:
        if wanted in (one.name, one.title.lower(), str(one.code)):
            return one.name
    return None


IMPORTER = Importer(
    name="rle",
    about="run-length codes in a CSV file, as in Kaggle's competitions",
    find=_find,
    read_labels=_read_labels,
)
