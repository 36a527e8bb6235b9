"""Finding scenes: files, folders, globs and URIs, each place once."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polynya.errors import SceneError
from polynya.names import place_of, printable, scene_id, unique_id
from polynya.progress import console
from polynya.rasters.opening import EXTENSIONS, opened_raster
from polynya.scenes.beside.layers import beside
from polynya.storage.ledger import folder_kinds
from polynya.storage.ownership import is_ours
from polynya.storage.stores import encodable, is_listing, list_objects

COMPANIONS = ("truth", "sky")
"""Last parts of names of rasters that accompany scenes: SITE_truth.tif beside SITE_clear.tif."""

_OF_PRODUCTS = ("polynya_version", "polynya:version", "model_digest")
"""Tags of maps and other products."""
_KINDS_OF_SCENES = {"scenes", "samples"}
_OF_SCENES = "item_digest"
"""Tag of scene files that `polynya scenes` wrote."""


@dataclass(frozen=True)
class SceneRef:
    """Name and place of a scene that has not been opened yet."""

    id: str
    """Unique within a batch; letters, digits, dot, dash and underscore only, a letter or digit
    first."""
    uri: str
    """As the user spells it, where tables can hold that (`polynya.storage.stores.encodable`)."""


def find_scenes(patterns: Sequence[str], companions: Sequence[str] = ()) -> list[SceneRef]:
    """Expand files, folders, glob patterns and URIs to scenes.

    What leads nowhere stays in the list under its own name: it fails when it is opened, with the
    reason, and doesn't keep the other scenes of the batch from being done.

    Args:
        patterns: Paths, folders, globs, or URIs GDAL knows; s3:// and gs:// URIs that end in / are
            folders, and may be globs. A folder stands for every raster directly inside that isn't
            hidden, is no product of Polynya, and does not accompany a scene as X_truth or X_sky do.
        companions: Names of files beside scenes with "{stem}" for the scene's own
            (`Recipe.companions`). What is such a file of another scene that is found is left out,
            even if it is named, as a shell names all files of a glob.

    Returns:
        Scenes in order of their places, each place once however it is spelt, ids unique, also
        where capitals don't count.

    Raises:
        SceneError: A bucket can't be listed.
    """
    uris: dict[str, str] = {}
    for pattern in patterns:
        for uri in _expanded(pattern):
            uris.setdefault(place_of(uri), encodable(uri))
    _leave_out_companions(uris, companions)
    ordered = [uris[place] for place in sorted(uris)]
    stems = [scene_id(uri) for uri in ordered]
    repeated = {stem for stem, n in Counter(map(str.lower, stems)).items() if n > 1}
    return [
        SceneRef(unique_id(uri) if stem.lower() in repeated else stem, uri)
        for stem, uri in zip(stems, ordered, strict=True)
    ]


def _leave_out_companions(uris: dict[str, str], companions: Sequence[str]) -> None:
    """Take labels, maps of land and the like out of places and URIs; one line says how many."""
    beside_scenes = {
        place_of(path)
        for uri in uris.values()
        for name in companions
        if place_of(path := beside(uri, name)) != place_of(uri)
    }
    left_out = beside_scenes & uris.keys()
    for place in left_out:
        del uris[place]
    if left_out:
        console.print(
            f"{len(left_out)} files left out that go with other scenes ({', '.join(companions)}).",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _expanded(pattern: str) -> list[str]:
    if is_listing(pattern):
        found = [uri for uri in list_objects(pattern) if uri.lower().endswith(EXTENSIONS)]
    elif "://" in pattern or os.path.isfile(pattern):
        found = [pattern]
    elif os.path.isdir(pattern):
        found = _in_folder(Path(pattern))
    else:
        found = glob.glob(pattern, recursive=True)
    return found or [pattern]


def _in_folder(folder: Path) -> list[str]:
    """Scenes directly inside a folder; one line says what is left out."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise SceneError(
            f"The folder {printable(folder)} can't be listed ({error.strerror or error}); check its"
            " permissions."
        ) from None
    rasters = [n for n in names if n.lower().endswith(EXTENSIONS) and (folder / n).is_file()]
    left_out = Counter[str]()
    found = []
    for name in rasters:
        reason = _reason_to_leave_out(folder, name, rasters)
        if reason:
            left_out[reason] += 1
        else:
            found.append(str(folder / name))
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        console.print(
            f"{printable(folder)}: {sum(left_out.values())} of {len(rasters)} rasters left out"
            f" ({reasons}); name a file to take it.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    return found


def _reason_to_leave_out(folder: Path, name: str, rasters: Sequence[str]) -> str:
    if name.startswith("."):
        return "hidden"
    site, _, last = os.path.splitext(name)[0].rpartition("_")
    if site and last in COMPANIONS:
        others = (other for other in rasters if other.startswith(site + "_") and other != name)
        if any(os.path.splitext(other)[0].rpartition("_")[2] not in COMPANIONS for other in others):
            return "truth or sky of other scenes"
    return "made by Polynya" if is_product(folder / name) else ""


def is_product(path: Path) -> bool:
    """Whether a raster is a map, a picture or another product of Polynya's, and no scene.

    A folder's ledger knows; a product that was copied elsewhere has tags that say it.
    """
    kinds = folder_kinds(path.parent)
    if kinds and not kinds & _KINDS_OF_SCENES and is_ours(path):
        return True
    try:
        with opened_raster(str(path)) as source:
            tags = source.tags()
    except SceneError:
        return False  # It fails as a scene, with the reason.
    return _OF_SCENES not in tags and any(tag in tags for tag in _OF_PRODUCTS)
