"""A model over a whole scene: the image it was trained on, window by window, to class codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.predict.backends import open_forward
from inference.predict.decision import Decision, decided, read_decision, tidy_labels
from inference.predict.prefetch import ahead
from inference.predict.rows import row_reader
from inference.predict.windows import BAND_ROWS, Axis, Band, Windows, blend_bands, fitted
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene
from polynya.scenes.xarrays import to_xarray

if TYPE_CHECKING:  # Keras takes seconds to load and isn't needed to look at windows or maps.
    import xarray

    from training.model_folder.folder import TrainedModel


@dataclass(frozen=True)
class Prediction:
    """Classes of a whole scene."""

    codes: NDArray[np.uint8]
    """uint8 (H, W), class codes, or a bit for each mask (`ClassScheme`); the scheme's nodata (255)
    exactly where the scene has none."""
    scene: Scene
    """What was classified."""
    classes: ClassScheme
    """What the codes mean."""
    probabilities: NDArray[np.float32] | None = None
    """float32 (H, W, C), if asked for."""

    def to_xarray(self) -> xarray.DataArray:
        """Class codes or masks with coordinates, CRS and names; see `polynya.to_xarray`."""
        return to_xarray(self.codes, self.scene, classes=self.classes)


def open_model(folder: str | Path) -> TrainedModel:
    """Open a model folder; ModelError if it holds none. Loads Keras, which takes some seconds."""
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.model_folder.folder import load_model

    return load_model(folder)


def predict_scene(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    decision: Decision | None = None,
    with_probabilities: bool = False,
    show_progress: bool = False,
    on_band: Callable[[Band], None] | None = None,
    bands: Iterable[Band] | None = None,
) -> Prediction:
    """Classify a scene of any size.

    Args:
        model: From `training.model_folder.folder.load_model`.
        scene: From `polynya.scenes.reading.open_scene`, with the scene options of the model's
        recipe.

        batch_size: Windows per call of the model; default from the model's recipe.
        overlap: Share that neighbouring windows have in common; default from the recipe.

        decision: How probabilities become labels; default what the model's folder says.
        with_probabilities: Keep the blended probabilities too (4 bytes a pixel and class).
        show_progress: Show how many rows of windows are done.
        on_band: Gets every band of finished rows, from the top.
        bands: Finished rows that others predicted; default: they are predicted now.

    Raises:
        SceneError: The scene can't be read.
        ModelError: The decision is none on the classes of the model.
    """
    classes = model.recipe.classes
    decision = decision or read_decision(model.folder, classes)
    decision.check_classes(classes, "The decision")
    codes = np.full((scene.height, scene.width), classes.nodata, np.uint8)
    probabilities = []
    if bands is None:
        bands = predict_bands(
            model,
            scene,
            batch_size=batch_size,
            overlap=overlap,
            decision=decision,
            show_progress=show_progress,
        )
    for band in bands:
        codes[band.row : band.row + len(band.valid)] = decision.labels(band, classes)
        if on_band is not None:
            on_band(band)
        if with_probabilities:
            probabilities.append(band.probabilities)
    return Prediction(
        tidy_labels(codes, decision, classes),
        scene,
        classes,
        np.concatenate(probabilities) if with_probabilities else None,
    )


def predict_bands(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    decision: Decision | None = None,
    part: range | None = None,
    show_progress: bool = False,
) -> Iterator[Band]:
    """Classify a scene band by band, from the top.

    Memory depends on the width of the scene only, except where the model wants images that the
    published filter made of whole scenes. Reading, the model and what is done with the bands run
    side by side.

    Args:
        model: As for `predict_scene`, like the following.
        scene: What is classified.
        batch_size: Windows per call of the model.
        overlap: Share that neighbouring windows have in common.
        decision: Gives how often and how smoothly a window is seen.
        part: Only these bands, by their numbers in `scene_windows(...).spans()`; default all.
        show_progress: Show how many bands are done.
    """
    recipe = model.recipe
    decision = decision or read_decision(model.folder, recipe.classes)
    windows = scene_windows(model, scene, batch_size, overlap)
    spans = windows.spans()
    wanted = part if part is not None else range(len(spans))
    count = sum(-(-(end - start) // BAND_ROWS) for start, end in spans[wanted.start : wanted.stop])
    forward = open_forward(model.keras_model, recipe.inference, recipe.classes.has_masks)
    bands = blend_bands(
        row_reader(scene, recipe, spans[wanted.start][0] - windows.rows.size),
        decided(forward, decision),
        windows,
        n_classes=recipe.classes.n_classes,
        part=part,
    )
    title = f"Predicting {scene.id}"
    return iter(track(ahead(bands), title, total=count, enabled=show_progress))


def scene_windows(
    model: TrainedModel,
    scene: Scene,
    batch_size: int | None = None,
    overlap: float | None = None,
) -> Windows:
    """Windows as large as the recipe says, or as little smaller as lets them fit the scene.

    Args:
        model: Its recipe gives what isn't given here, and a model of fixed size gives that.
        scene: What is cut.
        batch_size: Windows per call of the model.
        overlap: Share that neighbouring windows have in common.
    """
    recipe, options = model.recipe, model.recipe.inference
    share = options.overlap if overlap is None else overlap
    multiple = recipe.model.multiple
    largest = multiple * max(1, round(max(options.window, recipe.tiles.size) / multiple))

    def axis(length: int, fixed: int | None) -> Axis:
        if fixed:
            return Axis(length, fixed, share, options.blend)
        return fitted(Axis(length, largest, share, options.blend), multiple)

    _, fixed_height, fixed_width, _ = model.keras_model.input_shape
    return Windows(
        axis(scene.height, fixed_height),
        axis(scene.width, fixed_width),
        options.batch_size if batch_size is None else batch_size,
    )
