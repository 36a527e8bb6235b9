"""STAC items of maps: position, time, meaning of the codes, provenance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio.crs import CRS

from inference.ground.footprint import scene_footprint
from inference.products.paths import COLLECTION_FILE, ProductPaths, model_file
from inference.stac.assets import CLASSIFICATION, FILE, product_assets
from polynya import __version__
from polynya.errors import OutputError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.inference import ProductName
from polynya.scenes.scene import Scene
from polynya.scenes.times import Interval, acquired
from polynya.storage.files import write_text
from polynya.storage.ownership import is_ours, remove_file
from polynya.storage.uris import href

if TYPE_CHECKING:
    from pystac import Link

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
_PREFIX = "polynya:"

# STAC requires a time. An interval that contains every scene means "unknown", without a false time.
ANY_TIME = {
    "start_datetime": "1970-01-01T00:00:00Z",
    "end_datetime": "2099-12-31T23:59:59Z",
}


def write_item(
    paths: ProductPaths,
    scene: Scene,
    classes: ClassScheme,
    products: Iterable[ProductName],
    tags: dict[str, str],
    summary: dict[str, str],
) -> None:
    """Write the STAC item of a scene's products; all products must be complete.

    Args:
        paths: Files of the scene.
        scene: Scene of the products.
        classes: Scheme of the codes.
        products: Products in addition to the map.
        tags: Provenance of the map.
        summary: Row of `inference.products.summary`.
    """
    item = build_item(paths, scene, classes, products, tags, summary)
    write_text(paths.item, json.dumps(item, indent=2) + "\n")


def build_item(
    paths: ProductPaths,
    scene: Scene,
    classes: ClassScheme,
    products: Iterable[ProductName],
    tags: dict[str, str],
    summary: dict[str, str],
) -> dict[str, Any]:
    """Build the STAC item as JSON content; links are relative to the item's folder."""
    import pystac

    footprint = scene_footprint(scene)
    when = acquired(scene)
    item = pystac.Item(
        id=scene.id,
        geometry=footprint.geometry if footprint else None,
        bbox=footprint.bbox if footprint else None,
        datetime=when.start if when and when.is_moment else None,
        properties={
            **interval_fields(when),
            "title": (
                f"{'Masks' if classes.has_masks else 'Classes'} of {scene.id} ({classes.name})"
            ),
            "processing:software": {"polynya": __version__},
            "processing:lineage": "Segmentation of overlapping windows, probabilities blended.",
            **{f"{_PREFIX}{key}": value for key, value in {**tags, **_numbers(summary)}.items()},
            **projection_fields(scene),
        },
        stac_extensions=[CLASSIFICATION, FILE, PROCESSING, PROJECTION, RASTER],
        collection=collection_id(classes),
    )
    item.add_link(pystac.Link("derived_from", href(scene.uri, paths.folder), title=scene.id))
    if "model_digest" in tags:
        item.add_link(model_link(tags["model_digest"]))
    for relation in ("collection", "parent", "root"):
        item.add_link(pystac.Link(relation, COLLECTION_FILE, pystac.MediaType.JSON))
    for key, asset in product_assets(paths, classes, products).items():
        item.add_asset(key, asset)
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def model_link(digest: str) -> Link:
    """Make a link to the item of a model, beside the maps (MLM: maps are derived from a model)."""
    import pystac

    return pystac.Link(
        "derived_from",
        model_file(digest),
        pystac.MediaType.JSON,
        title="The model",
        extra_fields={"mlm:name": model_name(digest)},
    )


def finished_summary(
    path: Path, tags: dict[str, str], columns: Iterable[str]
) -> dict[str, str] | None:
    """Read the summary of a scene that an earlier run finished.

    Args:
        path: Item of the scene.
        tags: Provenance that the products must have.
        columns: Names of columns of `inference.products.summary`.

    Returns:
        Text by column; None if there is no readable item or it has other tags.
    """
    properties = read_item(path).get("properties", {})
    if not {f"{_PREFIX}{key}": value for key, value in tags.items()}.items() <= properties.items():
        return None
    height, width = properties["proj:shape"]
    found = {"height": height, "width": width}
    found |= {name: properties.get(f"{_PREFIX}{name}") for name in columns if name not in found}
    return {
        name: str(value) if isinstance(value, int) else f"{value:.6f}"
        for name, value in found.items()
        if value is not None
    }


def remove_products(path: Path) -> None:
    """Remove an item that we wrote, and the files that it names if we wrote them.

    So no product of another model or of other options stays beside new products.
    """
    item = read_item(path)
    for asset in item.get("assets", {}).values():
        name = asset["href"]
        file = path.with_name(Path(name).name)
        if Path(name).name == name and is_ours(file):
            remove_file(file)
    if item and is_ours(path):
        remove_file(path)


def read_item(path: Path) -> dict[str, Any]:
    """Read the item of a map that Polynya wrote; empty if the file isn't such an item."""
    return read_document(path, ("map",))


def read_document(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a STAC item that Polynya wrote; empty if the file isn't such an item.

    Args:
        path: File of the item.
        keys: Keys of assets; the item must have one of them, a raster of the item's own name.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ours = "polynya" in content["properties"]["processing:software"]
        hrefs = {key: asset["href"] for key, asset in content["assets"].items()}
        # A copy of an item under another name doesn't count: its id must equal its file name.
        named = f"{path.stem}.tif" in [hrefs.get(key) for key in keys]
        complete = content["id"] == path.stem and named
        return content if ours and complete and _are_texts(hrefs.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def check_no_item(path: Path) -> None:
    """Make sure that a document doesn't replace the item of a map.

    Raises:
        OutputError: There is an item, because a scene has the same name as the document.
    """
    if read_item(path):
        raise OutputError(
            f"{path} is the STAC item of a scene called '{path.stem}', which is the name of a file"
            " of the whole folder; rename the scene and delete its products."
        )


def read_items(folder: Path) -> list[dict[str, Any]]:
    """Read the items of all maps in a folder, sorted by name."""
    return [item for path in sorted(folder.glob("*.json")) if (item := read_item(path))]


def mapped_files(folder: Path) -> dict[Path, str]:
    """Map each file of the maps in a folder, with the items, to the id of its scene."""
    return {
        folder / name: item["id"]
        for item in read_items(folder)
        for name in (f"{item['id']}.json", *(a["href"] for a in item["assets"].values()))
    }


def collection_id(classes: ClassScheme) -> str:
    """Id of the collection of all maps in a folder. A folder may move, so its name isn't used."""
    return "polynya-" + re.sub(r"[^A-Za-z0-9._-]", "-", classes.name)


def model_name(digest: str) -> str:
    """Name of a model in catalogues."""
    return f"polynya-{digest}"


def interval_fields(when: Interval | None) -> dict[str, str]:
    """Write STAC's start and end if no single time is known."""
    if when is None:
        return ANY_TIME
    if when.is_moment:
        return {}
    return {"start_datetime": _text(when.start), "end_datetime": _text(when.end)}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def projection_fields(scene: Scene) -> dict[str, Any]:
    """Describe size and coordinate system of a scene, for the projection extension."""
    properties: dict[str, Any] = {"proj:shape": [scene.height, scene.width]}
    # Without a geotransform, pixels have no coordinates in a CRS, even with control points.
    if scene.crs is None or not scene.has_place:
        properties["proj:code"] = None
    elif scene.crs.startswith("EPSG:"):
        properties["proj:code"] = scene.crs
    else:
        properties["proj:code"] = None
        properties["proj:wkt2"] = CRS.from_user_input(scene.crs).to_wkt(version="WKT2_2019")
    if scene.transform is not None:
        properties["proj:transform"] = list(scene.transform)
    return properties


def _numbers(summary: dict[str, str]) -> dict[str, int | float]:
    kept = {
        key: value for key, value in summary.items() if value and key not in ("height", "width")
    }
    return {key: int(text) if text.isdigit() else float(text) for key, text in kept.items()}
