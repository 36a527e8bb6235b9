"""The kind `kelp`: DrivenData's "Kelp Wanted: Segmenting Kelp Forests", tiles and submission.

https://www.drivendata.org/competitions/255/kelp-forest-segmentation/page/792/: `ID_satellite.tif`
has seven int16 bands of 350 x 350 pixels (short-wave and near infrared, red, green, blue, quality,
elevation), -32768 where missing; `ID_kelp.tif` is 1 for kelp. A submission is a tar file of int8
masks with the names of the labels.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files
from autolabel.importers.masks import read_code_mask
from autolabel.importers.pairs import Patterns, find_pairs
from polynya.quiet import ignore_warnings
from polynya.rasters.opening import opened_raster
from polynya.recipe.base import STEM
from polynya.recipe.recipe import Recipe

TILE_SUFFIX = "_satellite.tif"
"""End of the names of tiles, after their ids."""
_SUFFIX = "_kelp.tif"
_PATTERNS = Patterns(f"**/{STEM}{TILE_SUFFIX}", f"**/{STEM}{_SUFFIX}")


def write_submission(path: str, masks: Iterable[tuple[str, NDArray[np.bool_]]]) -> None:
    """Write a submission: a tar file with an int8 GeoTIFF for each tile, 1 for kelp.

    Args:
        path: Name of the tar file.
        masks: Id and mask, bool (350, 350), of each tile. The same masks give the same bytes.
    """
    with tarfile.open(path, "w") as tar:
        for tile, mask in masks:
            content = _tiff(mask)
            member = tarfile.TarInfo(f"{tile}{_SUFFIX}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def read_submission(path: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Read the ids and masks of a submission, sorted by name.

    Raises:
        SceneError: The archive can't be read, or a member is outside of its folder.
    """
    for name, place in list_files(path).items():
        with opened_raster(place) as source:
            yield name.removesuffix(_SUFFIX), source.read(1) == 1


def _tiff(mask: NDArray[np.bool_]) -> bytes:
    height, width = mask.shape
    ignore_warnings(NotGeoreferencedWarning)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=height, width=width, count=1, dtype="int8", compress="deflate"
        ) as target:
            target.write(mask.astype(np.int8), 1)
        return bytes(memory.read())


def _find(source: str, recipe: Recipe) -> list[Sample]:
    return find_pairs(source, _PATTERNS)


IMPORTER = Importer(
    name="kelp",
    about='tiles of DrivenData\'s "Kelp Wanted" competition',
    find=_find,
    read_labels=read_code_mask,
)
