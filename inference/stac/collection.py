"""The STAC collection of a folder of maps, and the STAC item of the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.products.paths import COLLECTION_FILE, MAP, model_file
from inference.stac.assets import CLASSIFICATION, FILE, class_entries, file_fields, label_fields
from inference.stac.item import ANY_TIME, check_no_item, collection_id, model_name, read_items
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme
from polynya.recipe.model import PIXEL_MODELS
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text
from polynya.storage.uris import href

_MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_WORLD = [-180.0, -90.0, 180.0, 90.0]


def write_collection(folder: Path, classes: ClassScheme) -> None:
    """Write the collection of all items in a folder, including items of earlier runs.

    Args:
        folder: Folder of maps.
        classes: Scheme of the codes.

    Raises:
        OutputError: The file can't be written, or a scene with the same name has its item there.
    """
    import pystac

    check_no_item(folder / COLLECTION_FILE)
    items = read_items(folder)
    collection = pystac.Collection(
        id=collection_id(classes),
        title=f"{'Masks' if classes.has_masks else 'Classes'} of scenes ({classes.name})",
        description=(
            f"Maps of {', '.join(classes.titles)}, made by segmentation of satellite scenes with"
            " Polynya."
        ),
        license="other",
        extent=pystac.Extent(
            pystac.SpatialExtent(spatial_extent([item.get("bbox") for item in items])),
            pystac.TemporalExtent([_temporal_extent(items)]),
        ),
        stac_extensions=[CLASSIFICATION],
        extra_fields={
            "item_assets": {
                "map": {
                    "type": pystac.MediaType.COG,
                    "roles": ["data"],
                    **label_fields(MAP, classes),
                }
            }
        },
    )
    collection.add_link(pystac.Link("root", COLLECTION_FILE, pystac.MediaType.JSON))
    for item in items:
        collection.add_link(
            pystac.Link("item", f"{item['id']}.json", pystac.MediaType.GEOJSON, title=item["id"])
        )
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    write_text(folder / COLLECTION_FILE, json.dumps(content, indent=2) + "\n")


def spatial_extent(boxes: Sequence[list[float] | None]) -> list[list[float]]:
    """Compute the overall bounding box, followed by each box, as STAC requires.

    Args:
        boxes: West, south, east, north in degrees, west > east across the antimeridian; None for
            scenes without a position.

    Returns:
        List of boxes. The first is the narrowest box around all boxes, perhaps across the
        antimeridian. Without any position, it is the whole world.
    """
    known = [box for box in boxes if box]
    if not known:
        return [_WORLD]
    # For each western edge, the span eastwards that covers all boxes; the smallest span is best.
    spans = [
        (max((box[0] - west) % 360 + (box[2] - box[0]) % 360 for box in known), west)
        for west in sorted({box[0] for box in known})
    ]
    width, west = min(spans)
    whole = any(box[2] - box[0] == 360 for box in known) or width >= 360
    east = west + width
    union = [
        -180.0 if whole else west,
        min(box[1] for box in known),
        180.0 if whole else round(east - 360 if east > 180 else east, 7),
        max(box[3] for box in known),
    ]
    return [union] if len(known) == 1 else [union, *known]


def _temporal_extent(items: list[dict[str, Any]]) -> list[datetime | None]:
    """Find the first and last known time; if none is known, the intervals' start and end."""
    texts: list[str] = []
    for properties in (item["properties"] for item in items):
        ends = [properties.get(name) for name in ANY_TIME]
        if properties["datetime"]:
            texts.append(properties["datetime"])
        elif ends != list(ANY_TIME.values()):
            texts += ends
    times = [datetime.fromisoformat(text).astimezone(UTC) for text in texts or ANY_TIME.values()]
    return [min(times), max(times)]


def write_model_item(
    folder: Path, model_path: Path, recipe: Recipe, *, parameters: int, framework_version: str
) -> None:
    """Write the STAC item of a model with the MLM extension.

    Specification: https://github.com/stac-extensions/mlm

    Args:
        folder: Folder of maps.
        model_path: The model's file.
        recipe: Recipe of the training.

        parameters: Number of the model's weights.
        framework_version: Version of the library that runs the model.

    Raises:
        OutputError: The file can't be written, or a scene with the same name has its item there.
    """
    import pystac

    digest = file_digest(model_path)
    check_no_item(folder / model_file(digest))
    task = "semantic-segmentation"
    channels = recipe.scene.seen_bands
    is_colors = recipe.scene.sees_colors
    has_trees = recipe.model.name in PIXEL_MODELS
    # MLM's schema requires the bands of an input in the properties. Then STAC's schema also
    # requires them in an asset.
    bands = [{"name": name} for name in channels]
    item = pystac.Item(
        id=model_name(digest),
        geometry=None,
        bbox=None,
        datetime=None,
        properties={
            **ANY_TIME,
            "title": f"Model of {recipe.classes.name} ({recipe.model.name})",
            "mlm:name": model_name(digest),
            "mlm:architecture": recipe.model.name,
            "mlm:tasks": [task],
            "mlm:framework": "XGBoost" if has_trees else "Keras",
            "mlm:framework_version": framework_version,
            "mlm:total_parameters": parameters,
            "mlm:batch_size_suggestion": recipe.inference.batch_size,
            "bands": bands,
            "mlm:input": [
                {
                    "name": "8-bit RGB image" if is_colors else "Values of bands, NaN if missing",
                    "bands": list(channels),
                    "input": _tensor(
                        [-1, -1, -1, len(channels)], "channel", "uint8" if is_colors else "float32"
                    ),
                    "value_scaling": None,
                    "resize_type": None,
                    "pre_processing_function": None,
                }
            ],
            "mlm:output": [
                {
                    "name": (
                        "Probabilities of masks"
                        if recipe.classes.has_masks
                        else "Class probabilities"
                    ),
                    "tasks": [task],
                    "result": _tensor([-1, -1, -1, recipe.classes.n_classes], "class", "float32"),
                    "classification:classes": class_entries(recipe.shown_classes)[:-1],
                    "post_processing_function": None,
                }
            ],
            "polynya:recipe_digest": recipe.digest(),
        },
        stac_extensions=[_MLM, CLASSIFICATION, FILE],
    )
    item.add_asset(
        "model",
        pystac.Asset(
            href(str(model_path), folder),
            title="Decision trees" if has_trees else "Weights and architecture",
            media_type=(
                "application/json; framework=xgboost"
                if has_trees
                else "application/octet-stream; framework=keras"
            ),
            roles=["mlm:model", "mlm:weights"],
            extra_fields={
                "mlm:artifact_type": (
                    "xgboost.Booster.save_model" if has_trees else "keras.Model.save"
                ),
                "bands": bands,
                **file_fields(model_path),
            },
        ),
    )
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    write_text(folder / model_file(digest), json.dumps(content, indent=2) + "\n")


def _tensor(shape: list[int], last: str, data_type: str) -> dict[str, Any]:
    return {
        "shape": shape,
        "dim_order": ["batch", "height", "width", last],
        "data_type": data_type,
    }
