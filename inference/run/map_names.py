"""Under which name a scene is mapped, so that no map takes the place of another scene's.

The STAC items of a folder say which scene each of its maps is of. A scene keeps the name that it
has there. One whose files would have the names of another scene's gets a name of its own, as scenes
of one name do in a batch (`polynya.scenes.reading.unique_id`).
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
"""Names of JSON files that are no scene's, here or in any STAC catalogue."""


@dataclass(frozen=True)
class MappedScene:
    """A scene whose map is in a folder."""

    id: str
    place: str
    """Its file: the real path, or a URI without what is secret in it."""
    digest: str
    """Of its content; empty if the item doesn't say it."""
    files: tuple[str, ...]
    """Names of its files in the folder, that of the item too."""


@dataclass(frozen=True)
class NamedScene:
    """A scene and the name under which it is mapped."""

    ref: SceneRef
    failure: str = ""
    """Why there is no name for it; one sentence."""


def mapped_scenes(folder: Path) -> list[MappedScene]:
    """The scenes whose maps are in a folder, by name; items that can't be read are left out."""
    items = read_items(folder)
    found = [attempt(partial(_mapped, item, folder), item["id"], "read") for item in items]
    return [scene for scene in found if not isinstance(scene, Failure)]


def map_name(scene: SceneRef, folder: Path, mapped: Sequence[MappedScene]) -> str:
    """Name of a scene's map in a folder; that of the scene if there is no map of it."""
    place = _place(scene.uri, folder)
    return next((known.id for known in mapped if known.place == place), scene.id)


def name_scenes(
    refs: Sequence[SceneRef],
    folder: Path,
    products: Sequence[ProductName],
    digest: Callable[[SceneRef], str],
) -> list[NamedScene]:
    """Give each scene a name under which its files are no other scene's.

    File systems may hold a.tif and A.tif for the same, so case doesn't make names different.

    Args:
        refs: Scenes, with the names that they would like.
        folder: Folder of maps.
        products: What is written beside the maps.
        digest: Digest of a scene's content, as it is in the items; it may raise.
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
            # Its file was moved, or the folder of maps.
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
    """What two spellings of one file have in common."""
    return _resolved(href(uri, folder), folder)


def _resolved(reference: str, folder: Path) -> str:
    """The file that an item in a folder refers to: its real path, or its URI."""
    if "://" in reference:
        return reference
    return os.path.realpath(os.path.join(folder, unquote(reference, errors="surrogateescape")))


def _is_same(ref: SceneRef, mapped: MappedScene, digest: Callable[[SceneRef], str]) -> bool:
    """Whether a scene has the content of one that was mapped from another place."""
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
