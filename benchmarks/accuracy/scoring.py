"""Scores of filters and models on held-out scenes, kept on disk for interrupted runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.models import BenchModel, Workplace
from benchmarks.common.scenes import write_image
from benchmarks.common.workers import for_each_scene
from benchmarks.labels.scenes import BenchScene, make_bench_scene
from benchmarks.labels.scoring import Counts, SceneResult, count_labels, score_scene
from benchmarks.labels.sets import SceneSpec
from inference.predict.predict import open_model, predict_scene
from polynya.progress import track
from polynya.scenes.reading import open_scene
from polynya.storage.files import output_folder, write_text
from training.model_folder.folder import TrainedModel, model_path

FILTERS = "filters"
"""Folder for the scores of thresholds and filters, beside the folders of the models."""


def score_all(
    specs: Sequence[SceneSpec],
    models: Sequence[BenchModel],
    place: Workplace,
    jobs: int | None = None,
) -> list[SceneResult]:
    """Score thresholds, filters and trained models on every scene.

    Results are in the order of `specs`. Methods are first the filters, then the models by name.
    """
    folder = output_folder(place.out / "scores")
    kept = output_folder(folder / FILTERS)
    missing = [spec for spec in specs if not _file(kept, spec).is_file()]
    for_each_scene(partial(_score_filters, kept), missing, "Labelling by filters", jobs)
    counts = {spec: _read(_file(kept, spec)) for spec in specs}
    for model in models:
        for spec, found in _score_model(model, specs, place, folder).items():
            counts[spec][model.name] = found
    return [SceneResult(spec, counts[spec]) for spec in specs]


def _score_filters(folder: Path, spec: SceneSpec) -> None:
    _write(_file(folder, spec), score_scene(spec).counts)


def _score_model(
    model: BenchModel, specs: Sequence[SceneSpec], place: Workplace, folder: Path
) -> dict[SceneSpec, Counts]:
    """Score one model; kept scores count only if they come from the same weights."""
    weights = model_path(place.model(model)).read_bytes()
    kept = output_folder(folder / f"{model.slug}-{hashlib.sha256(weights).hexdigest()[:12]}")
    missing = [spec for spec in specs if not _file(kept, spec).is_file()]
    if missing:
        label = model_labels(open_model(place.model(model)))
        for spec in track(missing, f"Mapping by the {model.name}", total=len(missing)):
            scene = make_bench_scene(spec)
            _write(_file(kept, spec), {model.name: count_labels(scene.truth, label(scene))})
    return {spec: _read(_file(kept, spec))[model.name] for spec in specs}


def model_labels(model: TrainedModel) -> Callable[[BenchScene], NDArray[np.uint8]]:
    """Return a function that maps a scene as `polynya predict` does: uint8 (H, W), class codes."""

    def label(scene: BenchScene) -> NDArray[np.uint8]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "scene.tif"
            write_image(path, scene.observed, zlevel=1)
            return predict_scene(model, open_scene(str(path), model.recipe.scene)).codes

    return label


def _file(folder: Path, spec: SceneSpec) -> Path:
    return folder / f"{spec.name}-{spec.size}.json"


def _write(path: Path, counts: dict[str, Counts]) -> None:
    write_text(path, json.dumps({method: found.tolist() for method, found in counts.items()}))


def _read(path: Path) -> dict[str, Counts]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return {method: np.array(found, np.int64) for method, found in content.items()}
