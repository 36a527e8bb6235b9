"""Tile matrix sets, and the routes of TiTiler that make tiles of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import attr
import numpy as np
import pyproj
import rasterio
from fastapi import APIRouter, HTTPException, Path, Query
from morecantile import TileMatrixSet, tms
from morecantile.defaults import TileMatrixSets
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.utils import render
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import TilerFactory

from inference.maps.grids import NORTH, SOUTH, extent_of
from inference.maps.made_map import MadeMap
from inference.serve.layers import STEPS, Layer, ServedMap
from polynya.errors import SceneError

NORTH_POLE, SOUTH_POLE, MERCATOR = "north-polar", "south-polar", "WebMercatorQuad"
PROJECTIONS = (NORTH_POLE, SOUTH_POLE, MERCATOR)
"""Names of tile matrix sets."""
_HALF = 4_194_304
"""Half of the edge of the polar sets in metres, as NASA's GIBS has it; a pixel of the coarsest
level is then 32768 m, of each further level half of it."""
_POLAR = 55.0
"""Latitude in degrees beyond which maps are shown on a polar projection."""
_DEEPEST = 16
_LARGEST_TILE = 1024


def tile_sets() -> TileMatrixSets:
    """Make the sets of tiles that are offered."""
    found = {MERCATOR: tms.get(MERCATOR)}
    for name, crs in ((NORTH_POLE, NORTH), (SOUTH_POLE, SOUTH)):
        found[name] = TileMatrixSet.custom(
            [-_HALF, -_HALF, _HALF, _HALF],
            pyproj.CRS(crs),
            id=name,
            title=f"Polar stereographic, {crs}",
            maxzoom=_DEEPEST,
        )
    return TileMatrixSets(found)


def choose_projection(maps: Sequence[MadeMap]) -> str:
    """Choose the set of tiles for maps: polar beyond 55 degrees, by the hemisphere of most maps."""
    latitudes = [(box[1] + box[3]) / 2 for box in map(_degrees, maps)]
    middle = float(np.median(latitudes))
    if abs(middle) < _POLAR:
        return MERCATOR
    return NORTH_POLE if middle > 0 else SOUTH_POLE


def _degrees(made: MadeMap) -> tuple[float, float, float, float]:
    return extent_of(made.scene, "EPSG:4326")


def described_set(sets: TileMatrixSets, name: str) -> dict[str, Any]:
    """Describe a set of tiles for the page: origin and size of a pixel of each level."""
    found = sets.get(name)
    return {
        "name": name,
        "title": found.title or name,
        "crs": code_of(found),
        "tile": found.tileMatrices[0].tileWidth,
        "levels": [
            {
                "id": int(matrix.id),
                "pixel": matrix.cellSize,
                "left": matrix.pointOfOrigin[0],
                "top": matrix.pointOfOrigin[1],
                "columns": matrix.matrixWidth,
                "rows": matrix.matrixHeight,
            }
            for matrix in found.tileMatrices
        ],
    }


def code_of(found: TileMatrixSet) -> str:
    """'EPSG:n' of a set of tiles."""
    return f"EPSG:{found.crs.to_epsg()}"


def extent_in(made: MadeMap, sets: TileMatrixSets, name: str) -> list[float] | None:
    """Left, bottom, right and top of a map in a set of tiles; None if it has no place there."""
    found = sets.get(name)
    try:
        left, bottom, right, top = extent_of(made.scene, code_of(found))
    except SceneError:
        return None
    whole = found.xy_bbox
    box = [max(left, whole.left), max(bottom, whole.bottom), min(right, whole.right),
           min(top, whole.top)]  # fmt: skip
    return box if box[0] < box[2] and box[1] < box[3] else None


@attr.s
class GeoTiffReader(Reader):
    """Opens files as GeoTIFF only: a virtual raster could refer to other files and servers."""

    def __attrs_post_init__(self) -> None:
        if not self.dataset:
            self.dataset = self._ctx_stack.enter_context(rasterio.open(self.input, driver="GTiff"))
        super().__attrs_post_init__()


class _LayerFactory(TilerFactory):
    """TiTiler's routes for tiles and TileJSON, and no others."""

    def register_routes(self) -> None:
        self.tile()
        self.tilejson()


@dataclass
class _NoChoice(DefaultDependency):
    """Nothing that a request could choose."""


def tile_routes(
    maps: Mapping[str, ServedMap], layers: Mapping[str, Layer], sets: TileMatrixSets
) -> APIRouter:
    """Make the routes /maps/MAP/LAYER/tiles/SET/Z/X/Y.png and /maps/MAP/LAYER/SET/tilejson.json.

    Files are named by the ids of maps and layers alone; requests can't name paths or addresses.
    """

    def layer_named(layer: Annotated[str, Path()]) -> Layer:
        if layer not in layers:
            raise HTTPException(404)
        return layers[layer]

    def path_of(
        map_id: Annotated[str, Path()],
        layer: Annotated[str, Path()],
        tilesize: Annotated[int | None, Query(gt=0, le=_LARGEST_TILE)] = None,
    ) -> str:
        wanted = layer_named(layer)
        path = maps[map_id].file(wanted) if map_id in maps else None
        if path is None:
            raise HTTPException(404)
        return str(path)

    @dataclass
    class Band(DefaultDependency):
        """The band of the layer."""

        layer: Annotated[str, Path()]

        def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
            return {"indexes": (layer_named(self.layer).band,)}

    def colors_of(layer: Annotated[str, Path()]) -> dict[int, tuple[int, int, int, int]]:
        return layer_named(layer).colors

    # TiTiler calls what this returns with the image; it needn't be one of its own algorithms.
    def in_steps(layer: Annotated[str, Path()]) -> Any:
        return _to_steps if layer_named(layer).is_measure else None

    factory = _LayerFactory(
        router_prefix="/maps/{map_id}/{layer}",
        reader=GeoTiffReader,
        path_dependency=path_of,
        layer_dependency=Band,
        dataset_dependency=_NoChoice,
        tile_dependency=_NoChoice,
        process_dependency=in_steps,
        colormap_dependency=colors_of,
        render_dependency=_NoChoice,
        environment_dependency=lambda: {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"},
        supported_tms=sets,
        add_preview=False,
        add_part=False,
        add_viewer=False,
    )
    return factory.router


def empty_tile() -> bytes:
    """PNG of a tile beside the map: transparent, 256 x 256 pixels."""
    transparent = np.zeros((1, 256, 256), np.uint8)
    return bytes(render(transparent, transparent[0], img_format="PNG"))


def _to_steps(image: ImageData) -> ImageData:
    """Turn measures of floating point, 0 to 1, into the steps that have colours."""
    if image.array.dtype.kind == "f":
        steps = np.rint(np.ma.clip(np.nan_to_num(image.array.data), 0, 1) * STEPS)
        mask = np.ma.getmaskarray(image.array) | ~np.isfinite(image.array.data)
        image.array = np.ma.MaskedArray(steps.astype(np.uint8), mask)
    return image
