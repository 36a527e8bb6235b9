"""Sources of labels that are on disk already: maps, and labels of shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from inference.evaluate.maps import MapFolder, read_codes, read_probabilities
from inference.evaluate.results import Method
from inference.evaluate.sources import Codes, Found, Mask
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene
from polynya.shards.dataset import ShardSet, StoredTile
from training.model_folder.folder import model_path, trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


class MapSource:
    """Maps on disk. They are used as they are, and never predicted again.

    Args:
        name: Name in tables.
        maps: The maps.
        classes: Their classes.
        model: Model that made them, to make sure of it; None takes any map of a scene.
    """

    needs_colors = False
    has_probabilities = True

    def __init__(
        self, name: str, maps: MapFolder, classes: ClassScheme, model: TrainedModel | None = None
    ) -> None:
        self.maps, self.classes, self.model = maps, classes, model
        self.about = Method(
            name=name, kind="maps", family=name, images="", folder=str(maps.folder),
            digest=None if model is None else file_digest(model_path(model.folder)),
        )  # fmt: skip

    def of_scene(self, scene: Scene, image: Codes, valid: Mask, wanted: bool) -> Found:
        path = self.maps.checked_path(scene, self.model)
        codes = read_codes(path, self.classes)
        if codes.shape != valid.shape:
            raise SceneError(
                f"The map {path} has {codes.shape[0]} x {codes.shape[1]} pixels and its scene"
                f" {scene.uri} {valid.shape[0]} x {valid.shape[1]}; predict it again."
            )
        return Found(codes, read_probabilities(path, self.classes) if wanted else None)

    def of_tiles(self, tiles: list[StoredTile], wanted: bool) -> list[Found | Failure]:
        def read(tile: StoredTile) -> Found:
            return self.maps.of_tile(tile, self.classes, self.model, wanted)

        return [attempt(partial(read, tile), tile.scene_id, "read") for tile in tiles]

    def trained_on(self, scenes: Sequence[Scene]) -> set[str]:
        return set() if self.model is None else trained_on(self.model.folder, scenes)


class LabelSource:
    """Labels of a data set of shards, to compare them with a truth of scenes."""

    needs_colors = False
    has_probabilities = False

    def __init__(self, name: str, shards: ShardSet) -> None:
        self.shards = shards
        # Tiles come scene by scene, so the labels of one scene are enough.
        self._labels_of = lru_cache(maxsize=2)(self._read_labels)
        self.about = Method(
            name=name, kind="labels", family=name, images="", folder=str(shards.folder)
        )

    def of_scene(self, scene: Scene, image: Codes, valid: Mask, wanted: bool) -> Found:
        if scene.id not in self.shards.scene_ids:
            raise SceneError(
                f"The shards in {self.shards.folder} have no tile of the scene {scene.id}; label it"
                " first, or leave the scene out."
            )
        codes: Codes = np.full(valid.shape, self.shards.classes.nodata, np.uint8)
        for tile in self.shards.tiles(self.shards.row_groups([scene.id])):
            height, width = tile.label.shape
            if tile.row + height > codes.shape[0] or tile.col + width > codes.shape[1]:
                raise SceneError(
                    f"The shards in {self.shards.folder} have tiles beyond the"
                    f" {codes.shape[0]} x {codes.shape[1]} pixels of {scene.uri}, so they are of"
                    " another scene; label it again."
                )
            codes[tile.row : tile.row + height, tile.col : tile.col + width] = tile.label
        return Found(codes)

    def of_tiles(self, tiles: list[StoredTile], wanted: bool) -> list[Found | Failure]:
        return [attempt(partial(self._of_tile, tile), tile.scene_id, "read") for tile in tiles]

    def _of_tile(self, tile: StoredTile) -> Found:
        own = self._labels_of(tile.scene_id).get((tile.row, tile.col))
        if own is None or own.shape != tile.label.shape:
            raise SceneError(
                f"The shards in {self.shards.folder} have no tile of {tile.label.shape[0]} x"
                f" {tile.label.shape[1]} pixels at row {tile.row}, column {tile.col} of the scene"
                f" {tile.scene_id}; label it in tiles of the same size."
            )
        return Found(own)

    def trained_on(self, scenes: Sequence[Scene]) -> set[str]:
        return set()

    def _read_labels(self, scene_id: str) -> dict[tuple[int, int], Codes]:
        """Labels of the tiles of a scene by row and column; empty if it has none."""
        if scene_id not in self.shards.scene_ids:
            return {}
        tiles = self.shards.tiles(self.shards.row_groups([scene_id]))
        return {(tile.row, tile.col): tile.label for tile in tiles}
