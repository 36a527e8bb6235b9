"""What a finished training says of itself."""

from __future__ import annotations

import json
from pathlib import Path

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
    path = folder / METRICS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["validation"]
        numbers = [found["mean_iou"], *(found["classes"][n]["iou"] for n in recipe.classes.names)]
        values = [np.nan if number is None else float(number) for number in numbers]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{path} is damaged or missing; remove the folder {folder} and give the command again"
            " with --resume."
        ) from None
    return values[0], values[1:]
