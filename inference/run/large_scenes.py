"""Large scenes come before others: workers predict their parts, so one scene keeps all busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference.predict.opening import open_for_model
from inference.predict.parts import Part, part_file, predict_part, scene_parts
from inference.products.paths import ProductPaths
from inference.products.registry import needs_probabilities
from inference.run.map_names import NamedScene
from inference.run.options import MapOptions, model_of, take_one_core, wanted_of
from inference.run.scene import check_products, is_finished, prediction_tags
from polynya.attempt import Failure, attempt
from polynya.engines.engines import Engine, run_all, worker_died
from polynya.progress import progress
from polynya.scenes.finding import SceneRef
from polynya.storage.ownership import is_whole


@dataclass(frozen=True)
class ReadyScene:
    """A scene that is ready for its map. Small and picklable."""

    ref: SceneRef
    parts: tuple[Path, ...] = ()
    """Files with predicted strips; if empty, the task of the map predicts the scene."""
    failure: str = ""
    """Reason why the map can't be made; else empty."""


@dataclass(frozen=True)
class _PartTask:
    """A part of a large scene and the path of its file."""

    part: Part
    target: Path


def predict_parts(
    scenes: Sequence[NamedScene], engine: Engine, options: MapOptions
) -> list[ReadyScene]:
    """Let workers predict the missing parts of large scenes.

    Args:
        scenes: Scenes to map.
        engine: Engine that runs the tasks.
        options: Model, products and folder.

    Returns:
        The scenes in the same order; scenes that aren't large have no parts.
    """
    planned = [[] if scene.failure else _plan(scene.ref, options) for scene in scenes]
    tasks = [task for parts in planned for task in parts]
    left = [task for task in tasks if options.overwrite or not is_whole(task.target)]
    reasons: dict[Path, str] = {}
    with progress("Predicting parts of large scenes", len(left), enabled=bool(left)) as advance:
        task_of = partial(_predict_on_one_core, options=options)
        made = run_all(engine, task_of, left, _left_by, advance)
        for task, reason in zip(left, made, strict=True):
            reasons[task.target] = worker_died(task.part.uri) if reason is None else reason
    return [
        ReadyScene(
            scene.ref,
            tuple(task.target for task in parts),
            scene.failure or next((reasons[t.target] for t in parts if reasons.get(t.target)), ""),
        )
        for scene, parts in zip(scenes, planned, strict=True)
    ]


def _plan(ref: SceneRef, options: MapOptions) -> list[_PartTask]:
    """List the parts of a scene if it is large and not finished; else empty."""
    planned = attempt(lambda: _parts_of(ref, options), ref.uri, "mapped")
    # If planning failed, the task of the scene's map reports the reason.
    return [] if isinstance(planned, Failure) else planned


def _parts_of(ref: SceneRef, options: MapOptions) -> list[_PartTask]:
    model, wanted = model_of(options), wanted_of(options)
    scene = open_for_model(ref, model.recipe)
    parts = scene_parts(model, scene)
    if len(parts) == 1:
        return []
    if not options.overwrite and is_finished(model, scene, options.folder, wanted):
        return []
    check_products(ProductPaths(options.folder, ref.id), wanted, ref.uri)
    tags = prediction_tags(model, scene)
    tags["probabilities"] = str(needs_probabilities(wanted.products))
    return [_PartTask(part, part_file(options.folder, part, tags)) for part in parts]


def _left_by(task: _PartTask) -> str | None:
    """Find the result of a worker that died: it may have finished its part before."""
    return "" if is_whole(task.target) else None


def _predict_on_one_core(task: _PartTask, options: MapOptions) -> str:
    """Predict a part; return the reason of a failure, else an empty text."""
    take_one_core()
    made = attempt(lambda: _predict(task, options), task.part.uri, "predicted")
    return made.reason if isinstance(made, Failure) else ""


def _predict(task: _PartTask, options: MapOptions) -> None:
    model = model_of(options)
    predict_part(
        model,
        open_for_model(SceneRef(task.part.scene_id, task.part.uri), model.recipe),
        task.part,
        task.target,
        with_probabilities=needs_probabilities(wanted_of(options).products),
    )
