"""What a source of scenes says of itself.

The source `some-name` of the recipe's section `acquire` is `SOURCE` of the module
`polynya.sources.some_name.source`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from polynya.sources.items.item import Item

WriteScene = Callable[[Item, Path, Path, Executor, dict[str, Any]], None]
"""Writes the GeoTIFF of an item: the item, its path, a folder for parts that are kept until it is
whole, who runs requests, and GDAL's settings."""


@dataclass(frozen=True)
class Source:
    """A kind of place that scenes come from."""

    list_items: Callable[[Any], list[Item]]
    """From the options of the source to what fits, in any order. An item with which something is
    wrong has a `problem`. It raises SourceError if the source can't be used, SceneError if a bucket
    can't be listed, MissingDependencyError if a package is not installed."""
    write_scene: WriteScene | None = None
    """None: items have files, which a scene can refer to (`--in-place`), and whose versions tell
    when a scene must be made again."""
    scenes_at_once: int | None = None
    """Scenes in work at once; None: the recipe's `at_once`."""
    gdal_settings: Callable[[Any], dict[str, Any]] = lambda options: {}
    """Settings of GDAL for reading the files, beside those for servers."""

    @property
    def has_files(self) -> bool:
        return self.write_scene is None


def find_source(name: str) -> Source:
    """The source of a name in the recipe."""
    source: Source = import_module(f"polynya.sources.{name.replace('-', '_')}.source").SOURCE
    return source
