"""One scene from its file to its products: map, STAC item, picture, a row of numbers and more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inference.choice import product_tags
from inference.decision import read_decision
from inference.ground import why_without_ground
from inference.maps import source_digest, write_map
from inference.overview import draw_overview, read_preview
from inference.parts import read_parts
from inference.paths import ProductPaths
from inference.photos import upright
from inference.predict import predict_scene, scene_windows
from inference.stac import finished_summary, remove_products, write_item
from inference.summary import summarise, summary_columns
from inference.writers import open_writers
from polynya.errors import OutputError, PolynyaError
from polynya.inference_options import InferenceOptions
from polynya.progress import console
from polynya.provenance import file_digest, provenance
from polynya.scenes import Scene, SceneRef, open_scene
from polynya.uris import file_name
from training.model_folder import MODEL_FILE

if TYPE_CHECKING:
    from training.model_folder import TrainedModel

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class MapResult:
    """What became of one scene."""

    scene_id: str
    uri: str
    status: Status
    """done: predicted now; skipped: finished by an earlier run with the same model and scene."""
    reason: str = ""
    """Why it failed, one sentence."""
    summary: dict[str, str] | None = None
    """Row of `inference.summary.summarise`."""


def map_scene(
    model: TrainedModel,
    ref: SceneRef,
    folder: Path,
    *,
    overwrite: bool = False,
    batch_size: int | None = None,
    overlap: float | None = None,
    options: InferenceOptions | None = None,
    parts: Sequence[Path] = (),
) -> MapResult:
    """Predict one scene and write its products.

    A scene that can't be used doesn't raise: the result says why.

    Args:
        model: From `training.model_folder.load_model`.
        ref: Which scene.
        folder: Where the products go; it exists.

        overwrite: Predict even if an earlier run finished this scene with this model.

        batch_size: Windows per call of the model; default from the model's recipe.
        overlap: Share that neighbouring windows have in common; default from the recipe.

        options: Which products, and how; default from the model's recipe.
        parts: Files of `inference.parts` with all bands of the scene, if others predicted them.
    """
    paths = ProductPaths(folder, ref.id)
    options = options or model.recipe.inference
    try:
        return _map_scene(model, ref, paths, options, overwrite, batch_size, overlap, parts)
    except PolynyaError as error:
        return MapResult(ref.id, ref.uri, "failed", str(error))
    except MemoryError:
        reason = f"{ref.uri} needs more memory than this machine has; cut it into parts."
        return MapResult(ref.id, ref.uri, "failed", reason)


def _map_scene(
    model: TrainedModel,
    ref: SceneRef,
    paths: ProductPaths,
    options: InferenceOptions,
    overwrite: bool,
    batch_size: int | None,
    overlap: float | None,
    parts: Sequence[Path],
) -> MapResult:
    classes = model.recipe.shown_classes
    scene = open_scene(ref.uri, model.recipe.scene, ref.id)
    files = paths.of(options.products)
    if any(is_same_file(file, ref.uri) for file in files):
        raise OutputError(
            f"A product of {ref.uri} would replace the scene; choose another --out folder."
        )
    tags = prediction_tags(model, scene, overlap) | product_tags(options, model.recipe)
    finished = None if overwrite else _finished(model, paths, options, tags)
    if finished is not None:
        return MapResult(ref.id, ref.uri, "skipped", summary=finished)
    if missing := why_without_ground(scene):
        console.print(
            f"{scene.uri}: areas or footprint can't be known, as {missing}.",
            markup=False,
            soft_wrap=True,
        )
    with (
        upright(scene, paths.folder) as seen,
        open_writers(paths, seen, classes, options, tags) as writers,
        ThreadPoolExecutor(1) as aside,
    ):
        preview = aside.submit(read_preview, seen, model.recipe)
        codes = predict_scene(
            model,
            seen,
            batch_size=batch_size,
            overlap=overlap,
            show_progress=True,
            on_band=writers.add,
            bands=read_parts(parts, classes.nodata) if parts else None,
        ).codes
        # What an earlier run left is complete no longer.
        remove_products(paths.item)
        summary = summarise(codes, seen, classes) | writers.finish(codes)
        overview = aside.submit(
            draw_overview, paths.picture, preview.result(), seen, codes, model.recipe
        )
        write_map(paths.map, codes, seen, classes, tags)
        overview.result()
    # The item comes last: where it is, with these tags, the others are too.
    write_item(paths, replace(seen, uri=scene.uri), classes, options.products, tags, summary)
    return MapResult(ref.id, ref.uri, "done", summary=summary)


def _finished(
    model: TrainedModel, paths: ProductPaths, options: InferenceOptions, tags: dict[str, str]
) -> dict[str, str] | None:
    """Summary of the scene if an earlier run with the same provenance finished it."""
    if not all(file.is_file() for file in paths.of(options.products)):
        return None
    return finished_summary(paths.item, tags, summary_columns(model.recipe.classes))


def is_finished(
    model: TrainedModel,
    scene: Scene,
    folder: Path,
    overlap: float | None,
    options: InferenceOptions,
) -> bool:
    """Whether `map_scene` would skip the scene."""
    tags = prediction_tags(model, scene, overlap) | product_tags(options, model.recipe)
    return _finished(model, ProductPaths(folder, scene.id), options, tags) is not None


def is_same_file(path: Path, uri: str) -> bool:
    """Whether a path is the file of a scene, under whatever name."""
    return path.exists() and os.path.exists(uri) and path.samefile(uri)


def prediction_tags(
    model: TrainedModel, scene: Scene, overlap: float | None = None
) -> dict[str, str]:
    """What decides the content of a map, as metadata: version, recipe, model, scene and windows."""
    windows, options = scene_windows(model, scene, overlap=overlap), model.recipe.inference
    decision = read_decision(model.folder, model.recipe.classes.n_classes)
    return provenance(
        model.recipe,
        model_digest=file_digest(model.folder / MODEL_FILE),
        source=file_name(scene.uri),
        source_digest=source_digest(scene.uri),
        window_size=f"{windows.rows.size} x {windows.columns.size}",
        window_overlap=f"{windows.rows.overlap}, {options.blend}",
        filter=options.filter,
        backend=f"{options.backend}, {options.precision}",
        decision=decision.model_dump_json(exclude_defaults=True),
    )
