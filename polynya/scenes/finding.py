"""Finding scenes from files, folders, globs and URIs, each scene once."""

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
"""Last parts of names of rasters that belong to scenes: SITE_truth.tif beside SITE_clear.tif."""

_OF_PRODUCTS = ("polynya_version", "polynya:version", "model_digest")
"""Tags of maps and other products of Polynya."""
_KINDS_OF_SCENES = {"scenes", "samples"}
_OF_SCENES = "item_digest"
"""Tag of scene files that `polynya scenes` has written."""


@dataclass(frozen=True)
class SceneRef:
    """Name and place of a scene that has not been opened yet."""

    id: str
    """Unique id within a batch; only letters, digits, dot, dash and underscore, with a letter or
    digit first."""
    uri: str
    """Path or URI as the user wrote it, in a form that tables can hold
    (`polynya.storage.stores.encodable`)."""


def find_scenes(patterns: Sequence[str], companions: Sequence[str] = ()) -> list[SceneRef]:
    """Expand files, folders, glob patterns and URIs to scenes.

    A pattern that finds nothing stays in the list under its own name. It fails with the reason when
    it is opened, and the other scenes of the batch are still done.

    Args:
        patterns: Paths, folders, globs, or URIs that GDAL knows. An s3:// or gs:// URI is a folder
            if it ends in /, and may be a glob. A folder means every raster directly inside it,
            except hidden files, products of Polynya, and files such as X_truth and X_sky that
            belong to a scene.
        companions: Names of files beside scenes, with "{stem}" for the scene's name
            (`Recipe.companions`). A companion of another found scene is left out, even if a pattern
            names it, because a shell expands a glob to all files.

    Returns:
        Scenes sorted by place, each place once, even if it is spelt in several ways. Ids are
        unique, also on file systems that ignore upper and lower case.

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
    """Remove labels, maps of land and other companions from `uris`, and print their number."""
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
    """Scenes directly inside a folder; prints a line about rasters that are left out."""
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
    """Whether a raster is a map, a picture or another product of Polynya, and not a scene.

    The ledger of the folder tells it; a product that was copied elsewhere is known by its tags.
    """
    kinds = folder_kinds(path.parent)
    if kinds and not kinds & _KINDS_OF_SCENES and is_ours(path):
        return True
    try:
        with opened_raster(str(path)) as source:
            tags = source.tags()
    except SceneError:
        return False  # It will fail with the reason when it is opened as a scene.
    return _OF_SCENES not in tags and any(tag in tags for tag in _OF_PRODUCTS)
