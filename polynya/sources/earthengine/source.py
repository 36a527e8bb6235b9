"""The source `earthengine`: images without files; their pixels are requested in parts."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from polynya.sources.earthengine.images import list_items
from polynya.sources.earthengine.pixels import fetch_parts, part_paths
from polynya.sources.items.item import Item
from polynya.sources.items.scene_file import write_geotiff
from polynya.sources.source import Source
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import remove_file

_SCENES_AT_ONCE = 2
"""Number of scenes at once: while one scene is written, parts of the next scene arrive."""


def _write_scene(
    item: Item, path: Path, work: Path, requests: Executor, settings: dict[str, Any]
) -> None:
    folder = make_folder(work)
    write_geotiff(fetch_parts(item, folder, requests), path, settings)
    for part in part_paths(item, folder).values():
        remove_file(part)


SOURCE = Source(list_items, _write_scene, _SCENES_AT_ONCE)
