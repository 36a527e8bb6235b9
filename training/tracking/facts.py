"""What trackers are told before the first step: parameters, environment, revision of the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from polynya import __version__
from polynya.machine import processor_model
from polynya.recipe.recipe import Recipe

_PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "horovod", "mpi4py", "numpy", "pyarrow", "rasterio"),
    *("xgboost-cpu", "mlflow-skinny", "tensorboard"),
)
_SECONDS = 5.0
"""Greatest time for one question to git."""


def flat_parameters(recipe: Recipe) -> dict[str, str]:
    """Flatten a recipe to texts by dotted key, such as training.batch_size; lists become JSON."""
    content = recipe.model_dump(mode="json")
    content["training"].pop("tracking")
    return dict(sorted(_flat(content, "").items()))


def _flat(content: Any, prefix: str) -> dict[str, str]:
    if isinstance(content, dict) and content:
        found: dict[str, str] = {}
        for key, value in content.items():
            found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: content if isinstance(content, str) else json.dumps(content)}


def environment_facts(ranks: int) -> dict[str, str]:
    """Describe where a training runs: versions, machine, ranks, revision of the code.

    Args:
        ranks: Number of ranks.
    """
    facts = {
        "polynya": __version__,
        "python": platform.python_version(),
        "ranks": str(ranks),
        "machine": platform.node(),
        "system": platform.platform(),
        "processor": processor_model(),
        "cores": str(os.cpu_count()),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    for name, folder in (
        ("polynya_revision", Path(__file__).resolve().parents[2]),
        ("working_folder_revision", Path.cwd()),
    ):
        revision = git_revision(folder)
        if revision:
            facts[name] = revision
    return facts


def git_revision(folder: Path) -> str:
    """Return the commit of a git clone, with "-dirty" if files were changed; "" if it is none.

    Args:
        folder: A folder; of Polynya's own code, the top of a clone.
    """
    # Not --dirty of `git describe`, which would write to the index.
    options = ["git", "--no-optional-locks", "-C", str(folder)]
    commit = _output([*options, "rev-parse", "--verify", "HEAD"])
    if not commit:
        return ""
    changes = _output([*options, "status", "--porcelain", "--untracked-files=no"])
    return f"{commit}-dirty" if changes else commit


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
