"""Names of maps, so that no map replaces the map of another scene.

The STAC items of a folder name the scene of each map. A scene keeps its name from there. If its
files would have the names of another scene's files, it gets a unique name, like scenes with equal
names in a batch (`polynya.scenes.reading.unique_id`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from inference.products.paths import ProductPaths
from inference.products.registry import product_paths
from inference.stac.item import read_items
from polynya.attempt import Failure, attempt
from polynya.names import unique_id
from polynya.recipe.inference import ProductName
from polynya.scenes.finding import SceneRef
from polynya.storage.uris import href

_RESERVED = re.compile(r"collection|catalog|model_[0-9a-f]{16}", re.IGNORECASE)
"""Names of JSON files that belong to no scene, here or in any STAC catalogue."""


@dataclass(frozen=True)
class MappedScene:
    """A scene with a map in a folder."""

    id: str
    place: str
    """File of the scene: the real path, or a URI without secrets."""
    digest: str
    """Digest of the scene's content; empty if the item doesn't have it."""
    files: tuple[str, ...]
    """Names of the scene's files in the folder, with the item."""


@dataclass(frozen=True)
class NamedScene:
    """A scene and the name of its map."""

    ref: SceneRef
    failure: str = ""
    """Reason why there is no name for the map, one sentence; else empty."""


def mapped_scenes(folder: Path) -> list[MappedScene]:
    """List the scenes with maps in a folder, by name; items that can't be read are left out."""
    items = read_items(folder)
    found = [attempt(partial(_mapped, item, folder), item["id"], "read") for item in items]
    return [scene for scene in found if not isinstance(scene, Failure)]


def map_name(scene: SceneRef, folder: Path, mapped: Sequence[MappedScene]) -> str:
    """Find the name of a scene's map in a folder; without a map, the scene's own name."""
    place = _place(scene.uri, folder)
    return next((known.id for known in mapped if known.place == place), scene.id)


def name_scenes(
    refs: Sequence[SceneRef],
    folder: Path,
    products: Sequence[ProductName],
    digest: Callable[[SceneRef], str],
) -> list[NamedScene]:
    """Give each scene a name so that its files don't replace files of another scene.

    Some file systems treat a.tif and A.tif as the same file, so names must differ not only in case.

    Args:
        refs: Scenes, with their preferred names.
        folder: Folder of maps.
        products: Products beside the maps.
        digest: Function that computes the digest of a scene's content as in the items; it may
            raise an error.
    """
    mapped = mapped_scenes(folder)
    owners = {name.casefold(): scene.place for scene in mapped for name in scene.files}
    by_id = {scene.id: scene for scene in mapped}
    by_place = {scene.place: scene.id for scene in reversed(mapped)}
    named = []
    for ref in refs:
        place = _place(ref.uri, folder)
        places, known = {place}, by_place.get(place)
        if known is None and ref.id in by_id and _is_same(ref, by_id[ref.id], digest):
            # The scene's file or the folder of maps was moved.
            places.add(by_id[ref.id].place)
            known = ref.id
        wanted = [known] if known else [ref.id, unique_id(ref.uri)]
        free = [name for name in wanted if not _RESERVED.fullmatch(name)]
        for name in free:
            files = [
                path.name.casefold() for path in product_paths(ProductPaths(folder, name), products)
            ]
            taken = next((file for file in files if owners.get(file, place) not in places), None)
            if taken is None:
                named.append(NamedScene(SceneRef(name, ref.uri)))
                owners |= dict.fromkeys(files, place)
                break
        else:
            named.append(
                NamedScene(
                    ref,
                    f"{ref.uri} and {owners[taken or '']} would both write {taken}; rename one of"
                    " them, or map them into different folders.",
                )
            )
    return named


def _place(uri: str, folder: Path) -> str:
    """Bring different spellings of one file's path to the same text."""
    return _resolved(href(uri, folder), folder)


def _resolved(reference: str, folder: Path) -> str:
    """Find the file that an item in a folder refers to: its real path, or its URI."""
    if "://" in reference:
        return reference
    return os.path.realpath(os.path.join(folder, unquote(reference, errors="surrogateescape")))


def _is_same(ref: SceneRef, mapped: MappedScene, digest: Callable[[SceneRef], str]) -> bool:
    """Whether a scene has the same content as a scene that was mapped from another path."""
    found = attempt(lambda: digest(ref), ref.uri, "read")
    return bool(mapped.digest) and found == mapped.digest


def _mapped(item: dict[str, Any], folder: Path) -> MappedScene:
    sources = [link for link in item["links"] if link["rel"] == "derived_from"]
    source = next(link["href"] for link in sources if "mlm:name" not in link)
    name = item["id"]
    return MappedScene(
        name,
        _resolved(source, folder),
        item["properties"].get("polynya:source_digest", ""),
        (f"{name}.json", *(asset["href"] for asset in item["assets"].values())),
    )
