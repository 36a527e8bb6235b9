"""The kind `masks`: a mask for each image, under the id of its scene.

Images with a place on the ground get a GeoTIFF with the same place, others a PNG. Both hold labels
as numbers in one band with the colours of the classes; where classes are masks, each is one bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inference.exports.exporter import Exporter, ImageLabels, Source, each_image
from inference.products.cog import RasterLayout, raster_rows
from polynya.provenance import provenance
from polynya.recipe.classes import ClassScheme


def write_mask(
    folder: Path, image: ImageLabels, classes: ClassScheme, tags: dict[str, str]
) -> Path:
    """Write the mask of an image and return its path.

    Raises:
        OutputError: The file can't be written.
    """
    height, width = image.labels.shape
    has_place = image.transform is not None
    path = folder / f"{image.scene.scene_id}{'.tif' if has_place else '.png'}"
    layout = RasterLayout(
        height, width, ("class",), "uint8", classes.nodata, image.crs, image.transform,
        colormap=classes.label_colors(),
    )  # fmt: skip
    with raster_rows(path, layout, tags) as rows:
        rows.write_all(image.labels)
        if has_place:
            rows.copy(path, "GTiff", COMPRESS="DEFLATE", TILED="YES", BIGTIFF="IF_SAFER")
        else:
            rows.copy(path, "PNG", WRITE_METADATA_AS_TEXT="YES")
    return path


def _write(out: Path, images: Iterator[ImageLabels], source: Source) -> list[Path]:
    tags = provenance(source.shards.recipe)
    return [write_mask(out, image, source.classes, tags) for image in images]


EXPORTER = Exporter(
    name="masks",
    about="a mask for each image: PNG, or GeoTIFF where it has a place on the ground",
    load=each_image,
    write=_write,
)
