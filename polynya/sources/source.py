"""The interface of a source of scenes.

The source `some-name` in the recipe's section `acquire` is the object `SOURCE` in the module
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
"""Writes the GeoTIFF of an item. Arguments: the item, the path of the GeoTIFF, a folder for parts
that are kept until the GeoTIFF is complete, the executor of requests, and GDAL's settings."""


@dataclass(frozen=True)
class Source:
    """A kind of place that scenes come from."""

    list_items: Callable[[Any], list[Item]]
    """Lists the items that match the options of the source, in any order. An unusable item has a
    `problem`. Raises SourceError if the source can't be used, SceneError if a bucket can't be
    listed, MissingDependencyError if a package is not installed."""
    write_scene: WriteScene | None = None
    """Function that writes a scene. None for items with files: a scene can refer to these files
    (`--in-place`), and is made again if their versions change."""
    scenes_at_once: int | None = None
    """Number of scenes that are fetched at the same time; None: the recipe's `at_once`."""
    gdal_settings: Callable[[Any], dict[str, Any]] = lambda options: {}
    """Returns GDAL settings for reading the files, in addition to the settings for servers."""

    @property
    def has_files(self) -> bool:
        return self.write_scene is None


def find_source(name: str) -> Source:
    """Source with a name from the recipe."""
    source: Source = import_module(f"polynya.sources.{name.replace('-', '_')}.source").SOURCE
    return source
