"""The kind `loveda`: LoveDA, 1024 x 1024 px PNG images of cities and country in China.

Wang et al. 2021, LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive Semantic
Segmentation, NeurIPS Datasets and Benchmarks. `Train/Rural/images_png/N.png` goes with
`Train/Rural/masks_png/N.png`; masks have 0 for no data and 1 to 7 for classes. `Val` validates, and
`Test` has no masks. Tiles of 512 px (`tiles.size`) cut each image into four.
"""

from __future__ import annotations

import os

from autolabel.importers.importer import Importer, Sample
from autolabel.importers.listing import list_files
from autolabel.importers.masks import read_code_mask
from autolabel.importers.pairs import VALIDATION, Patterns, pair
from polynya.errors import SceneError
from polynya.names import printable
from polynya.recipe.base import STEM
from polynya.recipe.imports import FOLDER
from polynya.recipe.recipe import Recipe

_PATTERNS = Patterns(f"{FOLDER}/images_png/{STEM}.png", f"{FOLDER}/masks_png/{STEM}.png")
_PARTS = {"Train": "", "Val": VALIDATION}


def _find(source: str, recipe: Recipe) -> list[Sample]:
    files = list_files(source)
    above = os.path.splitext(os.path.basename(source))[0]
    samples = []
    for part, prefix in _PARTS.items():
        # The source may be the whole data set, or one of its parts.
        of_part = {n: p for n, p in files.items() if part in (above, *n.split("/"))}
        samples += pair(of_part, _PATTERNS, prefix)
    if not samples:
        raise SceneError(
            f"{printable(source)} has no images in Train/*/images_png or Val/*/images_png; give the"
            " folder that LoveDA was unpacked into."
        )
    return samples


IMPORTER = Importer(
    name="loveda",
    about="LoveDA, land cover of cities and country",
    find=_find,
    read_labels=read_code_mask,
)
