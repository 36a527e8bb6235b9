"""The product `label-png`: class codes of photographs as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.products.cog import RasterLayout, raster_rows
from inference.products.paths import PNG, ProductFile
from inference.products.product import Codes, Product, Target, Writer
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene


def write_label(
    path: Path,
    codes: Codes,
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
    *,
    colored: bool,
) -> None:
    """Write labels as a PNG.

    Args:
        path: File to write; it is replaced as a whole.
        codes: uint8 (H, W), labels.
        scene: Scene of the labels.
        classes: Scheme with the colours.
        tags: Provenance, stored as text in the file.

        colored: Whether labels have their colours (a palette, nodata transparent) or are grey
            values.

    Raises:
        OutputError: The file can't be written.
    """
    # In a palette, GDAL makes only the colour of nodata transparent.
    nodata = classes.nodata if colored else None
    layout = RasterLayout(
        scene.height, scene.width, ("class",), "uint8", nodata, None, None,
        colormap=classes.label_colors() if colored else None,
    )  # fmt: skip
    with raster_rows(path, layout, tags) as rows:
        rows.write_all(codes)
        rows.copy(path, "PNG", WRITE_METADATA_AS_TEXT="YES")


class _LabelWriter(Writer):
    def __init__(self, target: Target) -> None:
        self._target = target

    def finish(self, codes: Codes) -> dict[str, str]:
        target = self._target
        for file, colored in ((_LABEL, False), (_COLOR, True)):
            write_label(
                target.path(file), codes, target.scene, target.classes, target.tags, colored=colored
            )
        return {}


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    yield _LabelWriter(target)


_LABEL = ProductFile(
    "_label.png", "label", "Class codes as grey values", PNG, has_codes=True,
    title_of_masks="Grey values with a bit for each mask",
)  # fmt: skip
_COLOR = ProductFile(
    "_color.png", "color", "Class codes with colours", PNG, role="visual", has_codes=True,
    title_of_masks="Masks with colours, mixed where they overlap",
)  # fmt: skip
PRODUCT = Product(
    name="label-png",
    about="class codes as grey values, and with colours",
    files=(_LABEL, _COLOR),
    open=_open,
)
