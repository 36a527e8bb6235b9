"""The description of a model: scores as plain values, and the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from polynya.recipe.classes import ClassScheme
from polynya.recipe.model import XgboostOptions
from polynya.recipe.recipe import Recipe
from training.input.split import Split
from training.metrics.confusion import Scores
from training.metrics.registry import measured
from training.metrics.tally import Tally


def scores_record(tally: Tally, classes: ClassScheme) -> dict[str, Any]:
    """Turn the scores of a tally into plain values, for JSON.

    Args:
        tally: The samples.
        classes: Class scheme of the tally.

    Returns:
        Each score of all pixels together; `classes`, the scores of each class by its name;
        `per_image`, the same as means over images; and `confusion`.
    """
    return {
        **_plain(tally.together(), classes),
        "per_image": _plain(tally.per_image(), classes),
        "confusion": tally.confusion.tolist(),
    }


def _plain(scores: Scores, classes: ClassScheme) -> dict[str, Any]:
    by_class = {name: value for name, value in scores.items() if np.ndim(value)}
    return {
        **{name: float(value) for name, value in scores.items() if name not in by_class},
        "classes": {
            name: {score: float(values[code]) for score, values in by_class.items()}
            for code, name in enumerate(classes.names)
        },
    }


def model_card(
    recipe: Recipe,
    split: Split,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, str],
    *,
    network: str = "",
    importances: str = "",
) -> str:
    """Write the text of the model card.

    Args:
        recipe: Recipe of the training.
        split: Scenes of the training.
        metrics: Content of metrics.json.
        provenance: Content of provenance.json.
        network: Facts of the network; "" for decision trees.
        importances: Table of what bands and indices are worth, for decision trees.

    Returns:
        Markdown.
    """
    classes, augment = recipe.classes, recipe.training.augment
    names = (
        *("dihedral", "flip_horizontal", "flip_vertical", "rotation", "shift", "haze", "shade"),
        *("brightness", "contrast", "hue", "noise"),
    )
    changes = [name for name in names if getattr(augment, name)]
    about = "\n".join(f"- {key}: {value}" for key, value in sorted(provenance.items()))
    scene = recipe.scene
    values = "values 0..255" if scene.sees_colors else "float32 values with NaN where missing"
    derived = f" Indices: {', '.join(recipe.features.indices)}." if recipe.features.indices else ""
    images = f"images (B, H, W, {len(scene.seen_bands)})"
    kind = "8-bit RGB" if scene.sees_colors else "satellite"
    learnt = f"Random changes of the training tiles: {', '.join(changes) or 'none'}."
    opened = 'in Keras with\n`keras.saving.load_model("model.keras")`'
    looks_at = f"\n## Network\n\n{network}\n" if network else ""
    if isinstance(recipe.model, XgboostOptions):
        opened = "in Python with\n`polynya.load_model(FOLDER).predictor.predict_on_batch`"
        learnt = (
            f"It learnt from {provenance['pixels']} pixels, each on its own, without their"
            " neighbours."
        )
        looks_at = f"\n## Bands and indices\n\n{importances}\n\n![](importances.png)\n"
    return f"""# {recipe.model.name} for {classes.name}

{_task_text(kind, classes)}
Open it with `polynya predict FOLDER SCENE --out DIR`, or {opened}: {images} in, {values},
of the bands {", ".join(scene.seen_bands)}; probabilities out.{derived}
It sees {_seen_text(recipe)}.

## Data

{_labels_text(recipe)}
{_split_text(split)}
{learnt}

## Scores

{_scores_text(recipe, split, metrics)}
{looks_at}
## Provenance

{about}
"""


def _task_text(kind: str, classes: ClassScheme) -> str:
    titles = ", ".join(classes.titles)
    if classes.has_masks:
        return (
            f"Finds masks in {kind} scenes, each on its own, so they may overlap: {titles}."
            if classes.n_classes > 1
            else f"Finds one mask in {kind} scenes: {titles}."
        )
    return f"Segments {kind} scenes into {classes.n_classes} classes: {titles}."


def _labels_text(recipe: Recipe) -> str:
    if recipe.imports is not None:
        return f"Labels were made elsewhere and imported: kind `{recipe.imports.kind}`."
    if recipe.label.raster is not None:
        return f"Labels come from rasters beside the scenes: `{recipe.label.raster}`."
    return (
        f"Labels come from colour thresholds, not from people: profile"
        f" `{recipe.label.profile_name}`,\nfilter `{recipe.label.method}`."
    )


def _split_text(split: Split) -> str:
    scenes = (
        f"Scenes: {len(split.training)} for training, {len(split.validation)} for validation\n"
        "(`split.json`)"
    )
    if split.training_tiles is None or split.validation_tiles is None:
        return f"{scenes}; none is on both sides."
    tiles = f"Tiles: {len(split.training_tiles)} and {len(split.validation_tiles)}."
    if split.is_random:
        return f"{scenes}. {tiles}\nThey were split at random, so the scores below are too good."
    return f"{scenes}. {tiles}\nThe split keeps tiles that resemble each other on one side."


def _seen_text(recipe: Recipe) -> str:
    if recipe.inference.filter != "as-trained":
        return f"scenes after the filter `{recipe.inference.filter}`"
    if recipe.label.images == "filtered" and recipe.label.method != "none":
        return f"scenes after the filter `{recipe.label.method}`, as in training"
    return "scenes as they are"


def _scores_text(recipe: Recipe, split: Split, metrics: Mapping[str, Any]) -> str:
    if not split.validation:
        return "No scene was held out, so there are none."
    validation = metrics["validation"]
    reached = f"epoch {metrics['epoch']} of {recipe.training.epochs}"
    if "averaged_moments" in metrics:
        reached = f"mean of the weights at {metrics['averaged_moments']} moments of the training"
    if isinstance(recipe.model, XgboostOptions):
        reached = f"after {recipe.model.rounds} rounds"
    lines = [
        f"Of the validation scenes, {reached}.",
        "They say how well the model repeats its labels.",
        "",
        f"Accuracy {_text(validation['accuracy'])}, mean IoU {_text(validation['mean_iou'])}.",
    ]
    if "accuracy" in metrics["training"]:
        known = metrics["training"]
        lines.append(
            f"Of the training tiles: accuracy {_text(known['accuracy'])}, mean IoU"
            f" {_text(known['mean_iou'])}."
        )
    lines += ["", "| score | all pixels together | mean over tiles |", "|---|---|---|"]
    chosen = measured(recipe.training.metrics.further)
    for metric in chosen:
        both = [_text(part[metric.overall]) for part in (validation, validation["per_image"])]
        lines.append(f"| {' | '.join((metric.heading, *both))} |")
    of_classes = [metric for metric in chosen if metric.per_class]
    titles = " | ".join(metric.title for metric in of_classes)
    lines += ["", f"| class | {titles} |", "|---" * (1 + len(of_classes)) + "|"]
    for name, title in zip(recipe.classes.names, recipe.classes.titles, strict=True):
        values = validation["classes"][name]
        cells = " | ".join(_text(values[metric.name]) for metric in of_classes)
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def _text(score: float) -> str:
    return "undefined" if math.isnan(score) else f"{score:.4f}"
