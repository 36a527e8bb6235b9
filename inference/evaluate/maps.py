"""Maps of 'polynya predict' that are compared with the truth as they are.

A map may have been made in other windows, by another back end or with another decision than the
model would use today. It is taken as it is, and the user is told. A map of another model or another
scene is an error of this scene. No scene is ever predicted in place of a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from inference.evaluate.sources import Codes, Found
from inference.products.class_map import map_tags, read_map
from inference.products.paths import ProductPaths
from inference.products.probability import NODATA, PROBABILITY_ENDING, STEP
from inference.run.map_names import MappedScene, map_name, mapped_scenes
from inference.run.scene import prediction_tags
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.progress import console
from polynya.provenance import file_digest
from polynya.quiet import ignore_warnings
from polynya.rasters.opening import tile_window
from polynya.recipe.classes import ClassScheme
from polynya.scenes.finding import SceneRef
from polynya.scenes.identity import scene_digest
from polynya.scenes.scene import Scene
from polynya.shards.dataset import StoredTile
from training.model_folder.folder import model_path

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

# Metadata of a map. `_NAMES`: if one differs, the map can't be used. `_WAYS`: if one differs, the
# map is used and the difference is told.
_NAMES = {"model_digest": "model", "source_digest": "scene"}
_WAYS = ("decision", "window_size", "window_overlap", "filter", "backend")


@dataclass(frozen=True)
class MapFolder:
    """Maps of 'polynya predict'."""

    folder: Path
    mapped: list[MappedScene]
    """Scenes of the maps."""
    told: set[str]
    """Differences from new maps of the model that were already reported to the user."""

    @classmethod
    def of(cls, folder: Path) -> MapFolder:
        """Find the maps of a folder by their STAC items; SceneError if there is no such folder."""
        if not folder.is_dir():
            raise SceneError(f"There is no folder of maps {folder}; make one with polynya predict.")
        return cls(folder, mapped_scenes(folder), set())

    def checked_path(self, scene: Scene, model: TrainedModel | None) -> Path:
        """Find the map of a scene, and make sure that it is of this scene and model.

        Args:
            scene: The scene.
            model: Model that should have made the map; None: any.

        Raises:
            SceneError: There is no map, or it is of another scene or model.
        """
        name = map_name(SceneRef(scene.id, scene.uri), self.folder, self.mapped)
        path = self.folder / f"{name}.tif"
        if not path.is_file():
            raise SceneError(f"There is no map {path}; predict the scene first, or leave it out.")
        found = map_tags(path)
        if model is None:
            if found.get("source_digest", digest := scene_digest(scene)) != digest:
                raise SceneError(
                    f"The map {path} is of another scene than {scene.uri}, or the scene has"
                    " changed; predict it again."
                )
            return path
        wanted = prediction_tags(model, scene)
        other = [what for key, what in _NAMES.items() if found.get(key) != wanted[key]]
        if other:
            raise SceneError(
                f"The map {path} is of another {' and '.join(other)} than {model.folder} and"
                f" {scene.uri}; predict it again, or leave --maps or --model out."
            )
        for key in _WAYS:
            self._tell(f"{key} {found.get(key)} instead of {wanted[key]}", found, wanted, key)
        return path

    def _tell(
        self, difference: str, found: dict[str, str], wanted: dict[str, str], key: str
    ) -> None:
        if found.get(key) == wanted[key] or difference in self.told:
            return
        self.told.add(difference)
        console.print(
            f"Maps in {self.folder} were made with {difference}; they are taken as they are.",
            markup=False,
            soft_wrap=True,
        )

    def of_tile(
        self, tile: StoredTile, classes: ClassScheme, model: TrainedModel | None, wanted: bool
    ) -> Found:
        """Cut the place of a tile out of the map of its scene.

        Args:
            tile: The tile.
            classes: Classes of the map.
            model: See `checked_path`.
            wanted: Whether probabilities are wanted.

        Raises:
            SceneError: There is no map, it is of another model, or the tile lies beyond it.
        """
        path = self.folder / f"{tile.scene_id}.tif"
        if not path.is_file():
            raise SceneError(f"There is no map {path}; predict the scene first, or leave it out.")
        if model is not None and map_tags(path).get("model_digest") != file_digest(
            model_path(model.folder)
        ):
            raise SceneError(
                f"The map {path} is of another model than {model.folder}; predict it again, or"
                " leave --maps or --model out."
            )
        there = Tile(tile.row, tile.col, *tile.label.shape)
        codes = read_codes(path, classes, there)
        if codes.shape != tile.label.shape:
            raise SceneError(
                f"The map {path} ends before the tile at row {tile.row}, column {tile.col}, so it"
                " is of another scene; predict it again."
            )
        return Found(codes, read_probabilities(path, classes, there) if wanted else None)


def read_codes(path: Path, classes: ClassScheme, window: Tile | None = None) -> Codes:
    """Read the labels of a map, uint8 (H, W).

    Raises:
        SceneError: It can't be read, or has labels that the classes don't have.
    """
    codes = read_map(path, window)
    wrong = (codes != classes.nodata) & (codes >= classes.n_labels)
    if wrong.any():
        raise SceneError(
            f"The map {path} has the label {codes[wrong][0]}, which the classes of"
            f" '{classes.name}' don't have; it is of a model with other classes."
        )
    return codes


def read_probabilities(
    path: Path, classes: ClassScheme, window: Tile | None = None
) -> NDArray[np.float32]:
    """Read the probabilities beside a map, float32 (H, W, C), with an error of at most 0.002.

    Raises:
        SceneError: They are missing, can't be read, or are of other classes.
    """
    beside = ProductPaths(path.parent, path.stem).named(PROBABILITY_ENDING)
    if not beside.is_file():
        raise SceneError(
            f"The map {path} has no probabilities {beside.name} beside it, which the metric needs;"
            " predict with --products probability, or leave the metric out."
        )
    ignore_warnings(NotGeoreferencedWarning)
    try:
        with rasterio.open(beside) as source:
            steps = source.read(window=tile_window(window))
    except RasterioError as error:
        raise SceneError(f"{beside} can't be read ({error}); predict it again.") from None
    if len(steps) != classes.n_classes:
        raise SceneError(
            f"{beside} has {len(steps)} bands and '{classes.name}' {classes.n_classes} classes; it"
            " is of a model with other classes."
        )
    shares = np.where(steps == NODATA, 0, steps).astype(np.float32) * np.float32(STEP)
    return np.moveaxis(shares, 0, -1)
