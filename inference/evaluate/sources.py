"""Sources of labels: what `polynya evaluate` compares with the truth.

A `Source` labels whole scenes, and tiles of shards. Thresholds after a filter and models are here,
maps on disk and labels of shards in `stored_sources.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Filter
from autolabel.labels import label_and_filter
from autolabel.thresholds.profiles import Profile
from inference.evaluate.results import Method
from inference.predict.decision import read_decision
from inference.predict.opening import open_for_model
from inference.predict.predict import open_for_tiles, predict_scene
from inference.predict.windows import Forward
from polynya.attempt import Failure, attempt
from polynya.errors import RecipeError
from polynya.provenance import file_digest
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.finding import SceneRef
from polynya.scenes.scene import Scene
from polynya.shards.dataset import StoredTile
from training.model_folder.folder import model_path, trained_on

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

Codes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

ORIGINAL, AS_TRAINED = "original", "as-trained"
"""Images that a model sees: without a filter; as it saw them in training."""


@dataclass(frozen=True)
class Found:
    """Labels of a scene or tile."""

    codes: Codes
    """uint8 (H, W), labels of the scheme; nodata where the source has none."""
    probabilities: NDArray[np.float32] | None = None
    """float32 (H, W, C), if the source has them and they are asked for."""


class Source(Protocol):
    """Labels scenes and tiles."""

    @property
    def about(self) -> Method:
        """What it is."""

    @property
    def has_probabilities(self) -> bool:
        """Whether `Found.probabilities` can be had."""

    @property
    def needs_colors(self) -> bool:
        """Whether it looks at the red, green and blue of a scene."""

    def of_scene(self, scene: Scene, image: Codes, valid: Mask, wanted: bool) -> Found:
        """Label a scene.

        Args:
            scene: The scene.
            image: Its colours, uint8 (H, W, 3).
            valid: bool (H, W), True where it has data.
            wanted: Whether probabilities are wanted.

        Raises:
            PolynyaError: The scene can't be labelled.
        """

    def of_tiles(self, tiles: list[StoredTile], wanted: bool) -> list[Found | Failure]:
        """Label tiles of shards; an entry for each tile."""

    def trained_on(self, scenes: Sequence[Scene]) -> set[str]:
        """Ids of the scenes that the source has learnt from."""


@dataclass(frozen=True)
class FilterSource:
    """Colour thresholds after a filter."""

    filter: Filter
    recipe: Recipe
    profile: Profile
    has_probabilities: bool = False
    needs_colors: bool = True

    @property
    def about(self) -> Method:
        images = self.filter.name if self.filter.changes_images else ORIGINAL
        return Method(name=self.filter.title, kind="thresholds", family="thresholds", images=images)

    def of_scene(self, scene: Scene, image: Codes, valid: Mask, wanted: bool) -> Found:
        layers = read_layers(scene) if self.filter.layers else None
        found = label_and_filter(
            image,
            method=self.filter.name,
            profile=self.profile,
            valid=valid,
            classes=self.recipe.classes,
            layers=layers,
            stretch=self.recipe.scene.stretch,
        )
        return Found(found.label)

    def of_tiles(self, tiles: list[StoredTile], wanted: bool) -> list[Found | Failure]:
        return [attempt(partial(self._of_tile, t), t.scene_id, "labelled") for t in tiles]

    def _of_tile(self, tile: StoredTile) -> Found:
        found = label_and_filter(
            np.ascontiguousarray(tile.image),
            method=self.filter.name,
            profile=self.profile,
            classes=self.recipe.classes,
        )
        return Found(found.label)

    def trained_on(self, scenes: Sequence[Scene]) -> set[str]:
        return set()


class ModelSource:
    """A model, which sees images as in training, without a filter, or after one.

    Args:
        name: Name of the model in tables.
        model: The model.
        images: `AS_TRAINED`, `ORIGINAL` or the name of a filter.
        alone: Whether it is the only choice of images, so its name needs none.
    """

    needs_colors = False
    has_probabilities = True

    def __init__(self, name: str, model: TrainedModel, images: str, alone: bool) -> None:
        self.model = model_on(model, images)
        label = self.model.recipe.label
        seen: str = label.method if label.images == "filtered" else ORIGINAL
        if self.model.recipe.inference.filter != AS_TRAINED:
            seen = self.model.recipe.inference.filter
        self.about = Method(
            name=name if alone else f"{name}, {seen}",
            kind="model",
            family=name,
            images=seen,
            folder=str(model.folder),
            digest=file_digest(model_path(model.folder)),
        )
        self._decision = read_decision(model.folder, self.model.recipe)
        self._images = images

    def of_scene(self, scene: Scene, image: Codes, valid: Mask, wanted: bool) -> Found:
        # Another model may want other bands, or another stretch.
        own = open_for_model(SceneRef(scene.id, scene.uri), self.model.recipe)
        found = predict_scene(self.model, own, with_probabilities=wanted)
        return Found(found.codes, found.probabilities)

    def of_tiles(self, tiles: list[StoredTile], wanted: bool) -> list[Found | Failure]:
        from inference.studies.out_of_fold import predicted, tile_labels  # It imports Keras.

        recipe, classes = self.model.recipe, self.model.classes
        found: list[Found | Failure] = []
        for tile, shares in zip(tiles, predicted(tiles, self._forward, recipe), strict=True):
            labels = tile_labels(tile, shares, self._decision, classes)
            found.append(Found(labels, shares if wanted else None))
        return found

    def trained_on(self, scenes: Sequence[Scene]) -> set[str]:
        return trained_on(self.model.folder, scenes)

    @cached_property
    def _forward(self) -> Forward:
        return open_for_tiles(self.model, self._decision)


def images_title(images: str) -> str:
    """What the images are called in tables."""
    return "original images" if images == ORIGINAL else f"{images} filter"


def model_on(model: TrainedModel, images: str) -> TrainedModel:
    """Let a model see other images than in training.

    Args:
        model: The model.
        images: See `ModelSource`.

    Raises:
        RecipeError: The model sees named bands, for which there is no filter.
    """
    if images == AS_TRAINED:
        return model
    recipe = model.recipe
    if not recipe.scene.sees_colors:
        raise RecipeError(
            f"The model in {model.folder} sees named bands, and filters change colours only; leave"
            " --images out."
        )
    filtered = images != ORIGINAL
    changes = {"images": "filtered" if filtered else "original", "scope": "scene", "raster": None}
    label = recipe.label.model_copy(update=changes | ({"method": images} if filtered else {}))
    inference = recipe.inference.model_copy(update={"filter": AS_TRAINED})
    return replace(model, recipe=recipe.model_copy(update={"label": label, "inference": inference}))


def named(text: str) -> tuple[str | None, str]:
    """Divide NAME=PLACE; a text without a name is a place. A path may hold = after a separator."""
    name, is_there, place = text.partition("=")
    if is_there and name and "/" not in name and not Path(text).exists():
        return name, place
    return None, text
