"""What Deepness reads of a model: keys of the ONNX file's metadata, each value as JSON.

The keys are those of Deepness' page "Adding metadata to ONNX model".
"""

from __future__ import annotations

import json

from inference.predict.decision import Decision
from polynya.recipe.classes import ClassScheme
from training.ballots import HALF


def deepness_metadata(
    classes: ClassScheme,
    decision: Decision,
    *,
    bands: int,
    edge: int,
    overlap: float,
    resolution: float | None,
) -> dict[str, str]:
    """List the metadata of a model of `inference.deepness.conversion`.

    Args:
        classes: Classes, or masks, each of which is an output of its own.
        decision: Decision of the model, for the threshold of masks.
        bands: Channels of a tile.
        edge: Rows and columns of a tile.
        overlap: Overlap of tiles, as a share.
        resolution: Metres a pixel of what the model sees; None if it isn't known.

    Returns:
        Text by key.
    """
    names: object = {str(code): title for code, title in enumerate(classes.titles)}
    if classes.has_masks and classes.n_classes > 1:
        names = [{"0": title} for title in classes.titles]
    values: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": names,
        "tile_size": edge,
        "tiles_overlap": round(100 * overlap),
        "seg_thresh": mask_threshold(decision) if classes.has_masks else 0,
        "seg_small_segment": 0,
        # The model scales its input itself. Without these, older versions assume three channels.
        "standardization_mean": [0.0] * bands,
        "standardization_std": [1.0] * bands,
    }
    if resolution is not None:
        values["resolution"] = round(100 * resolution, 6)  # Centimetres.
    return {key: json.dumps(value) for key, value in values.items()}


def mask_threshold(decision: Decision) -> float:
    """Threshold of all masks, as Deepness has only one; 0.5 if they have different ones."""
    thresholds = set(decision.thresholds)
    return thresholds.pop() if len(thresholds) == 1 and decision.threshold == "fixed" else HALF


def left_out(classes: ClassScheme, decision: Decision) -> list[str]:
    """Keys of a decision that Deepness can't follow."""
    same = Decision()
    if classes.has_masks and decision.threshold == "fixed" and len(set(decision.thresholds)) == 1:
        same = same.model_copy(update={"thresholds": decision.thresholds})
    return [key for key in Decision.model_fields if getattr(decision, key) != getattr(same, key)]
