"""Maps that were made before, in place of predicting a scene again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.predict.predict import predict_scene
from inference.products.class_map import map_tags, read_map
from inference.run.map_names import MappedScene, map_name, mapped_scenes
from inference.run.scene import prediction_tags
from polynya.errors import SceneError
from polynya.progress import console
from polynya.scenes.finding import SceneRef
from polynya.scenes.identity import scene_digest
from polynya.scenes.scene import Scene

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

# Metadata of a map. `_NAMES`: if one differs, the map can't be used. `_WAYS`: if one differs, the
# map is nearly the same and is used.
_NAMES = {"model_digest": "model", "source_digest": "scene", "decision": "decision of the model"}
_WAYS = ("window_size", "window_overlap", "filter", "backend")

Codes = NDArray[np.uint8]


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
        """Find the maps of a folder by their STAC items."""
        return cls(folder, mapped_scenes(folder), set())

    def path(self, scene: Scene) -> Path:
        """Path of the map of a scene; the map need not exist."""
        return (
            self.folder / f"{map_name(SceneRef(scene.id, scene.uri), self.folder, self.mapped)}.tif"
        )


def model_codes(
    model: TrainedModel | None, maps: MapFolder | None, scene: Scene, valid: NDArray[np.bool_]
) -> Codes:
    """Find the classes of a scene: from a map of this model if there is one, else predict them.

    Args:
        model: Model that predicts if it has no map of the scene; None uses any map of the scene.
        maps: Existing maps; None to predict.
        scene: Scene to classify.
        valid: bool (H, W), True where the scene has data.

    Returns:
        uint8 (H, W), class codes.

    Raises:
        SceneError: There is neither a map nor a model, or the map is of another scene.
    """
    path = maps.path(scene) if maps else None
    if (
        maps is not None
        and path is not None
        and path.is_file()
        and _is_usable(path, maps, scene, model)
    ):
        codes = read_map(path)
        if codes.shape != valid.shape:
            raise SceneError(f"The map {path} has another size than {scene.uri}; predict it again.")
        return codes
    if model is None:
        raise SceneError(f"There is no map {path}; predict it first, or give --model.")
    return predict_scene(model, scene).codes


def _is_usable(path: Path, maps: MapFolder, scene: Scene, model: TrainedModel | None) -> bool:
    """Whether a map is of this scene and this model; tells the user about other differences."""
    found = map_tags(path)
    if model is None:
        if found.get("source_digest", digest := scene_digest(scene)) != digest:
            raise SceneError(
                f"The map {path} is of another scene than {scene.uri}, or the scene has changed;"
                " predict it again."
            )
        return True
    wanted = prediction_tags(model, scene)
    other = [_NAMES[key] for key in _NAMES if found.get(key) != wanted[key]]
    if other:
        _tell(f"{path} is of another {' and '.join(other)}, so {scene.id} is predicted again.")
        return False
    for key in _WAYS:
        difference = f"{key} {found.get(key)} instead of {wanted[key]}"
        if found.get(key) != wanted[key] and difference not in maps.told:
            maps.told.add(difference)
            _tell(f"Maps in {maps.folder} were made with {difference}; they are taken as they are.")
    return True


def _tell(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
