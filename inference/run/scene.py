"""Makes all products of one scene: map, STAC item, picture, row of the summary and more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inference.ground.coordinates import why_without_ground
from inference.predict.decision import read_decision
from inference.predict.opening import open_for_model
from inference.predict.parts import read_parts
from inference.predict.predict import predict_scene, scene_windows, seen_slice
from inference.products.class_map import write_map
from inference.products.overview import draw_overview, read_preview
from inference.products.paths import ProductPaths
from inference.products.photos import upright
from inference.products.qgis import is_style, write_styles
from inference.products.registry import open_writers, product_paths, product_tags
from inference.products.summary import (
    has_data,
    summarise,
    summary_columns,
    threshold_columns,
)
from inference.stac.item import (
    finished_summary,
    mapped_files,
    read_item,
    remove_products,
    write_item,
)
from polynya.errors import OutputError, SceneError
from polynya.names import printable
from polynya.progress import console
from polynya.provenance import file_digest, provenance
from polynya.recipe.inference import InferenceOptions
from polynya.scenes.finding import SceneRef
from polynya.scenes.identity import scene_digest
from polynya.scenes.scene import Scene
from polynya.storage.ledger import folder_kinds
from polynya.storage.ownership import check_free, remove_file
from polynya.storage.uris import file_name, public_uri
from training.model_folder.folder import model_path

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

Status = Literal["done", "skipped", "nodata", "failed"]


@dataclass(frozen=True)
class MapResult:
    """Result of one scene."""

    scene_id: str
    uri: str
    status: Status
    """done: predicted now; skipped: finished by an earlier run with the same model and scene;
    nodata: done or skipped, but the scene has no valid pixel, so its map is all nodata."""
    reason: str = ""
    """Reason of a failure, one sentence."""
    summary: dict[str, str] | None = None
    """Row of `inference.products.summary.summarise`."""


def map_scene(
    model: TrainedModel,
    ref: SceneRef,
    folder: Path,
    *,
    overwrite: bool = False,
    options: InferenceOptions | None = None,
    parts: Sequence[Path] = (),
) -> MapResult:
    """Predict one scene and write its products.

    Args:
        model: Model from `training.model_folder.folder.load_model`.
        ref: The scene.
        folder: Folder for the products; it must exist.

        overwrite: Predict even if an earlier run finished this scene with this model.
        options: Products and their options; default from the model's recipe.
        parts: Files of `inference.predict.parts` with all strips of the scene, if other workers
            predicted them.

    Raises:
        SceneError: The scene can't be used.
        OutputError: A product can't be written, or a file that isn't ours has its name.
    """
    paths = ProductPaths(folder, ref.id)
    options = options or model.recipe.inference
    classes = model.recipe.shown_classes
    scene = open_for_model(ref, model.recipe)
    tags = prediction_tags(model, scene) | product_tags(options, classes)
    finished = None if overwrite else _finished(model, paths, options, tags)
    if finished is not None:
        status: Status = "skipped" if has_data(finished, classes) else "nodata"
        return MapResult(ref.id, ref.uri, status, summary=finished)
    check_products(paths, options, ref.uri)
    if not scene.has_colors and "overlay" in options.products:
        raise SceneError(
            f"{printable(ref.uri)} has no red, green and blue, which the product 'overlay' needs;"
            " leave it out of --products, or name the bands in the recipe's key 'scene.bands'."
        )
    if missing := why_without_ground(scene):
        console.print(
            f"{printable(public_uri(scene.uri))}: areas or footprint can't be known, as {missing}.",
            markup=False,
            soft_wrap=True,
        )
    with ExitStack() as undo:
        with (
            upright(scene, paths.folder) as seen,
            open_writers(paths, seen, classes, options, tags) as writers,
            ThreadPoolExecutor(1) as aside,
        ):
            preview = aside.submit(read_preview, seen, model.recipe)
            prediction = predict_scene(
                model,
                seen,
                show_progress=True,
                on_band=writers.add,
                bands=read_parts(parts, classes.nodata) if parts else None,
            )
            codes = prediction.codes
            thresholds = threshold_columns(prediction.thresholds, classes)
            # From here on, the products of an earlier run are incomplete. The new products are
            # complete when the item is written.
            remove_products(paths.item)
            undo.callback(_remove, product_paths(paths, options.products))
            summary = summarise(codes, seen, classes) | thresholds | writers.finish(codes)
            overview = aside.submit(
                draw_overview, paths.picture, preview.result(), seen, codes, model.recipe
            )
            write_map(paths.map, codes, seen, classes, tags | thresholds)
            write_styles(paths, classes, options.products)
            overview.result()
        # The item comes last: if there is an item with these tags, all other files are complete.
        write_item(paths, replace(seen, uri=scene.uri), classes, options.products, tags, summary)
        undo.pop_all()
    status = "done" if has_data(summary, classes) else "nodata"
    return MapResult(ref.id, ref.uri, status, summary=summary)


def _remove(files: Sequence[Path]) -> None:
    """Delete the files of a failed scene."""
    for file in files:
        with suppress(OutputError):  # The scene's own error is more helpful.
            remove_file(file)


def check_products(paths: ProductPaths, options: InferenceOptions, uri: str) -> None:
    """Check, before any computation, that products would replace only products.

    Raises:
        OutputError: A product would replace the scene or a file that is not a product.
    """
    # A style that a user has changed stays as it is (`write_styles`).
    files = [file for file in product_paths(paths, options.products) if not is_style(file)]
    if any(is_same_file(file, uri) for file in files):
        raise OutputError(
            f"A product of {uri} would replace the scene; choose another --out folder."
        )
    check_free(files)
    # If other commands also use the folder, a file may be ours but not belong to a map.
    if folder_kinds(paths.folder) - {"maps"}:
        known = mapped_files(paths.folder)
        other = next((file for file in files if file.exists() and file not in known), None)
        if other is not None:
            raise OutputError(
                f"{other} was written by another command; choose another --out folder."
            )


def _finished(
    model: TrainedModel, paths: ProductPaths, options: InferenceOptions, tags: dict[str, str]
) -> dict[str, str] | None:
    """Read the summary of the scene if an earlier run with the same provenance finished it."""
    assets = read_item(paths.item).get("assets", {}).values()
    sizes = {paths.folder / asset["href"]: asset.get("file:size") for asset in assets}
    sizes[paths.item] = None
    for file in product_paths(paths, options.products):
        # Only sizes are compared: checksums would need reading all files, and sizes show files that
        # are cut.
        if not file.is_file():
            return None
        if not is_style(file) and sizes.get(file, 0) not in (None, file.stat().st_size):
            return None
    has_thresholds = read_decision(model.folder, model.recipe).threshold == "otsu"
    columns = summary_columns(model.classes, has_thresholds)
    return finished_summary(paths.item, tags, columns)


def is_finished(model: TrainedModel, scene: Scene, folder: Path, options: InferenceOptions) -> bool:
    """Whether `map_scene` would skip the scene."""
    tags = prediction_tags(model, scene) | product_tags(options, model.classes)
    return _finished(model, ProductPaths(folder, scene.id), options, tags) is not None


def is_same_file(path: Path, uri: str) -> bool:
    """Whether a path is the file of a scene, even if under another name."""
    return path.exists() and os.path.exists(uri) and path.samefile(uri)


def prediction_tags(model: TrainedModel, scene: Scene) -> dict[str, str]:
    """List what decides a map's content, as metadata: version, recipe, model, scene, windows."""
    windows, options = scene_windows(model, scene), model.recipe.inference
    decision = read_decision(model.folder, model.recipe)
    seen = seen_slice(model)
    resized = "" if seen is None else f", resized to {seen[0]} x {seen[1]}"
    return provenance(
        model.recipe,
        model_digest=file_digest(model_path(model.folder)),
        source=printable(file_name(scene.uri)),
        source_digest=scene_digest(scene),
        window_size=f"{windows.rows.size} x {windows.columns.size}{resized}",
        window_overlap=f"{windows.rows.overlap}, {options.blend}",
        filter=options.filter,
        backend=f"{options.backend}, {options.precision}",
        decision=decision.model_dump_json(exclude_defaults=True),
    )
