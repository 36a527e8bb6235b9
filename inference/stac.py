"""STAC items that describe maps: where, when, what the codes mean, and what they were made from."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rasterio.crs import CRS

from inference.footprint import scene_footprint
from polynya import __version__
from polynya.classes import ClassScheme
from polynya.files import whole_file
from polynya.scenes import Scene

_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"

_TIME_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d{6})(?:T(\d{6}))?(?!\d)")
# STAC wants some time; an interval that holds every scene says "unknown" without making one up.
_ANY_TIME = {
    "start_datetime": "1970-01-01T00:00:00Z",
    "end_datetime": "2099-12-31T23:59:59Z",
}


def write_item(
    path: Path,
    map_path: Path,
    picture_path: Path,
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
    summary: dict[str, str],
) -> None:
    """Write the STAC item of a map.

    Args:
        path: JSON file to write; it is replaced as a whole.
        map_path: The map, in the same folder.
        picture_path: The overview picture, in the same folder.
        scene: What the map was made from.
        classes: Meaning of the codes.
        tags: Provenance of the map.
        summary: Row of `inference.summary.summarise`.
    """
    item = build_item(path.parent, map_path.name, picture_path.name, scene, classes, tags, summary)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(item, indent=2) + "\n", encoding="utf-8")


def build_item(
    folder: Path,
    map_name: str,
    picture_name: str,
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
    summary: dict[str, str],
) -> dict[str, Any]:
    """The STAC item of a map as JSON content; links are relative to `folder`."""
    import pystac

    footprint = scene_footprint(scene)
    when = acquisition_time(scene.id)
    item = pystac.Item(
        id=scene.id,
        geometry=footprint.geometry if footprint else None,
        bbox=footprint.bbox if footprint else None,
        datetime=when,
        properties={
            **(_ANY_TIME if when is None else {}),
            "title": f"Classes of {scene.id} ({classes.name})",
            "processing:software": {"polynya": __version__},
            "processing:lineage": "Segmentation of overlapping windows, probabilities blended.",
            **{f"polynya:{key}": value for key, value in {**tags, **_numbers(summary)}.items()},
            **_projection(scene),
        },
        stac_extensions=[_CLASSIFICATION, _PROCESSING, _PROJECTION],
    )
    item.add_link(pystac.Link("derived_from", _relative(scene.uri, folder), title=scene.id))
    item.add_asset(
        "map",
        pystac.Asset(
            map_name,
            title="Class codes",
            media_type=pystac.MediaType.COG,
            roles=["data"],
            extra_fields={
                "data_type": "uint8",
                "nodata": classes.nodata,
                "classification:classes": _class_entries(classes),
            },
        ),
    )
    item.add_asset(
        "overview",
        pystac.Asset(
            picture_name,
            title="Scene, threshold labels and classes",
            media_type=pystac.MediaType.PNG,
            roles=["overview"],
        ),
    )
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def acquisition_time(name: str) -> datetime | None:
    """Time in a scene's name, such as 20190723T150911 or 20220913; None if there is none."""
    for date, time in _TIME_IN_NAME.findall(name):
        try:
            return datetime.strptime(date + (time or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:  # Eight digits that are no date.
            continue
    return None


def _projection(scene: Scene) -> dict[str, Any]:
    properties: dict[str, Any] = {"proj:shape": [scene.height, scene.width]}
    if scene.crs is None:
        properties["proj:code"] = None
    elif scene.crs.startswith("EPSG:"):
        properties["proj:code"] = scene.crs
    else:
        properties["proj:code"] = None
        properties["proj:wkt2"] = CRS.from_user_input(scene.crs).to_wkt(version="WKT2_2019")
    if scene.transform is not None:
        properties["proj:transform"] = list(scene.transform)
    return properties


def _class_entries(classes: ClassScheme) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "value": c.code,
            "name": c.name,
            "title": c.title,
            "color_hint": "".join(f"{part:02X}" for part in c.color),
        }
        for c in classes.classes
    ]
    return [
        *entries,
        {"value": classes.nodata, "name": "nodata", "title": "No data", "nodata": True},
    ]


def _numbers(summary: dict[str, str]) -> dict[str, Any]:
    kept = {
        key: value for key, value in summary.items() if value and key not in ("height", "width")
    }
    return {key: float(value) for key, value in kept.items()}


def _relative(uri: str, folder: Path) -> str:
    """A local path as seen from the item, so that both can move together; URIs as they are."""
    return uri if "://" in uri else Path(os.path.relpath(uri, folder)).as_posix()
