"""Scenes as a run finds them: opened, with a digest of their content, or why they can't be used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from polynya.attempt import Failure, attempt
from polynya.progress import track
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.label_raster import with_labels
from polynya.scenes.finding import SceneRef
from polynya.scenes.identity import labelled_digest
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene
from polynya.storage.stores import gdal_path, is_remote

_OPENED_AT_ONCE = 16
"""Scenes that are read at the same time: most of it is waiting."""


@dataclass(frozen=True)
class Found:
    """A scene of a batch."""

    ref: SceneRef
    scene: Scene | None = None
    """None if it can't be used."""
    digest: str = ""
    """Of its content and of all files that it depends on; empty if it can't be used."""
    reason: str = ""
    """Why it can't be used, one sentence."""

    @property
    def is_there(self) -> bool:
        """Whether there is something at its place, as far as this machine can tell."""
        return self.scene is not None or os.path.exists(gdal_path(self.ref.uri))


def find_contents(refs: Sequence[SceneRef], recipe: Recipe, retries: int) -> list[Found]:
    """Open scenes, find their labels if there are some, and read them once for their digest.

    Args:
        refs: Scenes of a batch.
        recipe: How scenes are read, and where their labels are.
        retries: Times that a scene that isn't on a disk is tried again.
    """
    found: list[Found] = []
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        one = partial(_find_content, recipe=recipe, retries=retries)
        found.extend(track(pool.map(one, refs), "Opening scenes", len(refs)))
    return found


def _find_content(ref: SceneRef, recipe: Recipe, retries: int) -> Found:
    def look() -> Found:
        scene = with_labels(open_scene(ref.uri, recipe.scene, ref.id), recipe)
        return Found(ref, scene, labelled_digest(scene))

    # What is not on a disk may have a bad moment.
    remote = is_remote(gdal_path(ref.uri))
    found = attempt(look, ref.uri, "opened", retries if remote else 0)
    return Found(ref, reason=found.reason) if isinstance(found, Failure) else found
