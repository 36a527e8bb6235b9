"""The kind `landcover`: LandCover.ai, orthophotos of Poland with five classes, 0 to 4.

Boguszewski et al. 2021, LandCover.ai: Dataset for Automatic Mapping of Buildings, Woodlands, Water
and Roads from Aerial Imagery, CVPR Workshops. The data set has `images/ID.tif` and `masks/ID.tif`.
Its script split.py cuts them into tiles of 512 px, `output/ID_K.jpg` and `output/ID_K_m.png`, which
train.txt, val.txt and test.txt list. If the tiles are there, they are imported; otherwise the
orthophotos, which `tiles.size: 512` cuts.
"""

from __future__ import annotations

import os

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files, matching
from autolabel.importers.masks import read_code_mask
from autolabel.importers.pairs import Patterns, find_pairs, pair
from polynya.errors import SceneError
from polynya.names import printable
from polynya.recipe.base import STEM
from polynya.recipe.imports import LandcoverOptions
from polynya.recipe.recipe import Recipe

_PHOTOS = Patterns(f"images/{STEM}.tif", f"masks/{STEM}.tif")
_TILES = Patterns(f"output/{STEM}.jpg", f"output/{STEM}_m.png")


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, LandcoverOptions)
    files = list_files(source)
    if not matching(_TILES.images, files):
        return find_pairs(source, _PHOTOS)
    samples = []
    for subset in options.subsets:
        listed = _listed(source, subset)
        of_subset = {
            name: path
            for name, path in files.items()
            if os.path.splitext(os.path.basename(name))[0].removesuffix("_m") in listed
        }
        samples += pair(of_subset, _TILES, "" if subset == "train" else f"{subset}-")
        missing = listed - {stem for _, stem in matching(_TILES.images, of_subset)}
        samples += [_missing(source, subset, stem) for stem in sorted(missing)]
    return samples


def _listed(source: str, subset: str) -> set[str]:
    """Names of the tiles in a list of the data set."""
    path = os.path.join(source, f"{subset}.txt")
    try:
        with open(path, encoding="utf-8") as file:
            return {line.strip() for line in file if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(
            f"{printable(path)} can't be read ({error}); it lists tiles of the data set and comes"
            " with it, so fetch it again, or leave it out of 'imports.subsets'."
        ) from None


def _missing(source: str, subset: str, stem: str) -> Sample:
    path = os.path.join(source, "output", f"{stem}.jpg")
    problem = f"{printable(path)} is in {subset}.txt and does not exist; run split.py again."
    return Sample(stem, path, problem=problem)


IMPORTER = Importer(
    name="landcover",
    about="LandCover.ai, orthophotos whole or cut",
    find=_find,
    read_labels=read_code_mask,
)
