"""STAC item of a mosaic: its place, the time of its maps, and which maps they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.ground.footprint import scene_footprint
from inference.maps.grids import Grid
from inference.maps.made_map import MadeMap
from inference.products.paths import COG, MAP, QML, ProductPaths
from inference.stac.assets import (
    CLASSIFICATION,
    FILE,
    file_fields,
    label_fields,
    raster_fields,
)
from inference.stac.item import (
    PROCESSING,
    PROJECTION,
    RASTER,
    collection_id,
    interval_fields,
    projection_fields,
)
from polynya import __version__
from polynya.scenes.times import Interval
from polynya.storage.files import write_text
from polynya.storage.uris import href

if TYPE_CHECKING:
    from pystac import Asset


def write_mosaic_item(
    paths: ProductPaths,
    maps: Sequence[MadeMap],
    grid: Grid,
    tags: dict[str, str],
    sources: str,
) -> None:
    """Write the STAC item of a mosaic; all its files must be complete.

    Args:
        paths: Files of the mosaic.
        maps: Maps in the order in which they decide; the raster of sources numbers them from 1.
        grid: Grid of the mosaic.
        tags: Provenance.
        sources: End of the name of the raster of sources.

    Raises:
        OutputError: The file can't be written.
    """
    import pystac

    scene, classes = grid.scene(paths.scene_id), maps[0].classes
    footprint, when = scene_footprint(scene), _interval(maps)
    item = pystac.Item(
        id=paths.scene_id,
        geometry=footprint.geometry if footprint else None,
        bbox=footprint.bbox if footprint else None,
        datetime=when.start if when and when.is_moment else None,
        properties={
            **interval_fields(when),
            "title": f"{'Masks' if classes.has_masks else 'Classes'} of {len(maps)} maps",
            "processing:software": {"polynya": __version__},
            "processing:lineage": "Maps of scenes on one grid, by the nearest neighbour.",
            **{f"polynya:{key}": text for key, text in tags.items()},
            "polynya:classes": collection_id(classes),
            "polynya:sources": [
                {"value": number, "name": made.id, "sha256": made.digest}
                for number, made in enumerate(maps, start=1)
            ],
            **projection_fields(scene),
        },
        stac_extensions=[CLASSIFICATION, FILE, PROCESSING, PROJECTION, RASTER],
    )
    for made in maps:
        place = href(str(made.path.with_suffix(".json").absolute()), paths.folder)
        item.add_link(pystac.Link("derived_from", place, pystac.MediaType.GEOJSON, title=made.id))
    for key, asset in _assets(paths, maps, sources).items():
        item.add_asset(key, asset)
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    write_text(paths.item, json.dumps(content, indent=2) + "\n")


def _assets(paths: ProductPaths, maps: Sequence[MadeMap], sources: str) -> dict[str, Asset]:
    import pystac

    classes = maps[0].classes
    labels = file_fields(paths.map) | raster_fields(paths.map)
    meaning = label_fields(MAP, classes)
    if "bands" in meaning:
        pairs = zip(labels["bands"], meaning["bands"], strict=True)
        meaning["bands"] = [raster | label for raster, label in pairs]
    of_sources = paths.named(f"{sources}.tif")

    def asset(name: str, title: str, kind: str, role: str, fields: dict[str, Any]) -> Asset:
        return pystac.Asset(name, title, media_type=kind, roles=[role], extra_fields=fields)

    described = {
        "mosaic": asset(paths.map.name, "Mosaic", COG, "data", labels | meaning),
        "source": asset(
            of_sources.name,
            "Number of the map that each pixel is from",
            COG,
            "data",
            file_fields(of_sources) | raster_fields(of_sources),
        ),
    }
    for key, ending in (("mosaic-style", ".qml"), ("source-style", f"{sources}.qml")):
        style = paths.named(ending)
        described[key] = asset(style.name, "Style for QGIS", QML, "metadata", file_fields(style))
    return described


def _interval(maps: Sequence[MadeMap]) -> Interval | None:
    """Time from the first to the last map; None if no map has a time."""
    known = [made.when for made in maps if made.when]
    if not known:
        return None
    return Interval(min(one.start for one in known), max(one.end for one in known))
