"""Recognises what a folder of a run is, by the files that Polynya writes into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.evaluate.results import RESULTS_FILE
from inference.products.paths import COLLECTION_FILE
from inference.run.scenes import SUMMARY_FILE
from inference.stac.item import read_items
from inference.studies.sweep.folder import ABOUT_FILE
from polynya.errors import SceneError
from polynya.names import printable
from polynya.shards.dataset import DATASET_FILE
from training.model_folder.folder import HISTORY_FILE, METRICS_FILE, RECIPE_FILE, model_path

Kind = Literal["model", "evaluation", "maps", "shards", "sweep", "benchmark"]

COMMAND_LINE = "Command: `"
"""How a page of a benchmark names its command."""

_WANTED = (
    f"a model ({RECIPE_FILE} with model.keras, trees.json, {METRICS_FILE} or {HISTORY_FILE}), an"
    f" evaluation ({RESULTS_FILE} or accuracy.csv), maps ({SUMMARY_FILE} or {COLLECTION_FILE}),"
    f" shards ({DATASET_FILE}), a sweep ({ABOUT_FILE}) or a benchmark (its result in .json, or a"
    " page in .md that names its command)"
)


@dataclass(frozen=True)
class RunPart:
    """A folder and what it is."""

    kind: Kind
    folder: Path


def find_parts(run: Path) -> list[RunPart]:
    """List what a run consists of: the folder itself, or the folders in it.

    Raises:
        SceneError: There is no such folder, or nothing in it is known.
    """
    shown = printable(run)
    if not run.is_dir():
        what = "is no folder" if run.exists() else "isn't there"
        raise SceneError(f"{shown} {what}; give the folder of a run, such as runs/demo.")
    try:
        inner = sorted(path for path in run.iterdir() if path.is_dir())
    except OSError as error:
        raise SceneError(
            f"{shown} can't be read ({error.strerror}); give another folder."
        ) from None
    found = [RunPart(kind, folder) for folder in (run, *inner) for kind in _kinds(folder)]
    own = [part for part in found if part.folder == run]
    if not found:
        raise SceneError(
            f"{shown} holds nothing to report on; looked in it and in its folders for {_WANTED}."
        )
    return own or found


def _kinds(folder: Path) -> list[Kind]:
    def has(*names: str) -> bool:
        return any((folder / name).is_file() for name in names)

    kinds: list[Kind] = []
    if has(ABOUT_FILE):
        return ["sweep"]
    if has(RECIPE_FILE) and has(model_path(folder).name, METRICS_FILE, HISTORY_FILE):
        kinds.append("model")
    if has(RESULTS_FILE, "accuracy.csv"):
        kinds.append("evaluation")
    if has(SUMMARY_FILE, COLLECTION_FILE) or read_items(folder):
        kinds.append("maps")
    if has(DATASET_FILE):
        kinds.append("shards")
    if not kinds and (benchmark_pages(folder) or benchmark_results(folder)):
        kinds.append("benchmark")
    return kinds


def benchmark_results(folder: Path) -> list[Path]:
    """Results of benchmarks in JSON, by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and {"format", "command", "measurements"} <= set(content):
            found.append(path)
    return found


def benchmark_pages(folder: Path) -> list[Path]:
    """Pages of a benchmark's tables, by name."""
    found = []
    for path in sorted(folder.glob("*.md")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if text.startswith("# ") and f"\n{COMMAND_LINE}" in text:
            found.append(path)
    return found
