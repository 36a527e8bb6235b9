"""Make the outline of land that maps of reports show: `inference/report/static/land.json`.

The shapes are Natural Earth's at 1:110 million, which are in the public domain. The package pyogrio
carries them along for its tests. Run in `.venv`.
"""

from __future__ import annotations

import json
from importlib.resources import files

import geopandas
import shapely

from steps import ROOT

OUTLINE = ROOT / "inference/report/static/land.json"
_TOLERANCE, _LEAST = 0.15, 0.3
"""Degrees by which a simplified outline may move; square degrees of the least island."""


def make_outline() -> list[list[int]]:
    """Outer rings of land: tenths of degrees, longitude and latitude in turn."""
    shapes = files("pyogrio") / "tests/fixtures/naturalearth_lowres/naturalearth_lowres.shp"
    countries = geopandas.read_file(str(shapes)).geometry.buffer(0)
    land = shapely.simplify(shapely.union_all(countries.values), _TOLERANCE)
    rings = [piece.exterior.coords for piece in land.geoms if piece.area >= _LEAST]
    return [[round(10 * degrees) for point in ring for degrees in point] for ring in rings]


if __name__ == "__main__":
    OUTLINE.write_text(json.dumps(make_outline(), separators=(",", ":")) + "\n", encoding="utf-8")
