"""What a finished training says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polynya.errors import ModelError
from polynya.recipe.recipe import Recipe
from training.model_folder.folder import METRICS_FILE


def validation_scores(folder: Path, recipe: Recipe) -> tuple[float, list[float]]:
    """Read mean IoU and IoU of each class of a model's best epoch; NaN if undefined.

    Args:
        folder: Folder of a finished training with validation tiles.
        recipe: Its recipe, with the classes.

    Raises:
        ModelError: The file with the scores is damaged or missing.
    """
    names = ["mean_iou", *(f"classes.{name}.iou" for name in recipe.classes.names)]
    mean, *of_classes = named_scores(folder, names)
    return mean, of_classes


def named_scores(folder: Path, names: Sequence[str]) -> list[float]:
    """Read scores of the validation tiles of a finished training; NaN if undefined.

    Args:
        folder: Folder of the model.
        names: Dotted keys below `validation` in metrics.json, such as classes.kelp.iou.

    Raises:
        ModelError: The file with the scores is damaged or missing, or lacks one.
    """
    path = folder / METRICS_FILE
    try:
        validation = json.loads(path.read_text(encoding="utf-8"))["validation"]
        return [named_score(validation, name) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{path} is damaged or missing; remove the folder {folder} and give the command again"
            " with --resume."
        ) from None


def named_score(scores: Any, name: str) -> float:
    """Take a score by its dotted key; NaN if it is undefined, or if there are no scores (None).

    Raises:
        KeyError: There is no such score.
    """
    found = scores
    for key in name.split("."):
        found = None if found is None else found[key]
    return np.nan if found is None else float(found)
