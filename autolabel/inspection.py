"""Open the scenes of a run and find the digest of their content, or why they can't be used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from autolabel.importers.importer import ImportedScene
from autolabel.importers.samples import open_sample, sample_digest
from autolabel.words import words_of
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
"""Scenes that are read at the same time. Most of this time is waiting, so many can run."""


@dataclass(frozen=True)
class Found:
    """A scene of a batch, opened."""

    ref: SceneRef
    scene: Scene | None = None
    """None if it can't be used."""
    digest: str = ""
    """Digest of the scene's content and of all files it depends on; empty if it can't be used."""
    reason: str = ""
    """Why it can't be used, one sentence."""

    @property
    def is_there(self) -> bool:
        """Whether a file exists at the scene's URI, as far as this machine can tell."""
        return self.scene is not None or os.path.exists(gdal_path(self.ref.uri))


def find_contents(refs: Sequence[SceneRef], recipe: Recipe, retries: int) -> list[Found]:
    """Open scenes, find their labels if they have some, and read them once for their digest.

    Args:
        refs: Scenes of a batch.
        recipe: How scenes are read, and where their labels are.
        retries: How often a remote scene is retried.
    """
    found: list[Found] = []
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        one = partial(_find_content, recipe=recipe, retries=retries)
        found.extend(track(pool.map(one, refs), f"Opening {words_of(recipe).things}", len(refs)))
    return found


def content_digest(scene: Scene) -> str:
    """Digest of everything that the shards of a scene come from.

    Raises:
        SceneError: A file can't be read.
    """
    return sample_digest(scene) if isinstance(scene, ImportedScene) else labelled_digest(scene)


def _find_content(ref: SceneRef, recipe: Recipe, retries: int) -> Found:
    def look() -> Found:
        scene: Scene
        if recipe.imports is not None:
            scene = open_sample(ref, recipe)
        else:
            scene = with_labels(open_scene(ref.uri, recipe.scene, ref.id), recipe)
        return Found(ref, scene, content_digest(scene))

    # Errors of remote servers may be temporary.
    remote = is_remote(gdal_path(ref.uri))
    found = attempt(look, ref.uri, "opened", retries if remote else 0)
    return Found(ref, reason=found.reason) if isinstance(found, Failure) else found
