"""Description of the layers for GIS: capabilities of OGC WMTS 1.0.0 (OGC 07-057r7)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from morecantile.defaults import TileMatrixSets

from inference.maps.grids import extent_of
from inference.serve.layers import Layer, ServedMap
from inference.serve.tiles import code_of
from polynya.names import printable

_OWS = "http://www.opengis.net/ows/1.1"
_PIXEL = 0.28e-3
"""Size of a pixel on a screen in metres, of which WMTS makes denominators of scales."""


def capabilities(
    maps: Sequence[ServedMap],
    layers: Sequence[Layer],
    sets: TileMatrixSets,
    names: Sequence[str],
    address: str,
    token: str,
) -> str:
    """Write the capabilities: each layer of each map, in some sets of tiles.

    Args:
        maps: The maps.
        layers: Layers that a map may have.
        sets: Sets of tiles.
        names: Sets that are offered, the preferred one first.
        address: URL of the server, with / at the end.
        token: What each request for a tile must bring.
    """
    root = ET.Element(
        "Capabilities",
        {
            "xmlns": "http://www.opengis.net/wmts/1.0",
            "xmlns:ows": _OWS,
            "xmlns:xlink": "http://www.w3.org/1999/xlink",
            "version": "1.0.0",
        },
    )
    service = ET.SubElement(root, "ows:ServiceIdentification")
    _text(service, "ows:Title", "Polynya maps")
    _text(service, "ows:ServiceType", "OGC WMTS")
    _text(service, "ows:ServiceTypeVersion", "1.0.0")
    contents = ET.SubElement(root, "Contents")
    for served in maps:
        for layer in layers:
            if served.file(layer) is not None:
                _add_layer(contents, served, layer, names, address, token)
    for name in names:
        _add_set(contents, sets, name)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_layer(
    contents: ET.Element,
    served: ServedMap,
    layer: Layer,
    names: Sequence[str],
    address: str,
    token: str,
) -> None:
    found = ET.SubElement(contents, "Layer")
    _text(found, "ows:Title", f"{served.made.id}: {layer.title}")
    west, south, east, north = extent_of(served.made.scene, "EPSG:4326")
    if west < -180 or east > 180:
        west, east = -180.0, 180.0
    box = ET.SubElement(found, "ows:WGS84BoundingBox")
    _text(box, "ows:LowerCorner", f"{west:.7f} {south:.7f}")
    _text(box, "ows:UpperCorner", f"{east:.7f} {north:.7f}")
    _text(found, "ows:Identifier", f"{served.name}-{layer.id}")
    style = ET.SubElement(found, "Style", isDefault="true")
    _text(style, "ows:Identifier", "default")
    _text(found, "Format", "image/png")
    for name in names:
        link = ET.SubElement(found, "TileMatrixSetLink")
        _text(link, "TileMatrixSet", name)
    template = (
        f"{address}maps/{served.name}/{layer.id}/tiles/{{TileMatrixSet}}/{{TileMatrix}}/"
        f"{{TileCol}}/{{TileRow}}.png?{urlencode({'token': token})}"
    )
    ET.SubElement(found, "ResourceURL", format="image/png", resourceType="tile", template=template)


def _add_set(contents: ET.Element, sets: TileMatrixSets, name: str) -> None:
    of = sets.get(name)
    found = ET.SubElement(contents, "TileMatrixSet")
    _text(found, "ows:Identifier", name)
    _text(found, "ows:SupportedCRS", f"urn:ogc:def:crs:EPSG::{code_of(of).partition(':')[2]}")
    for matrix in of.tileMatrices:
        one = ET.SubElement(found, "TileMatrix")
        _text(one, "ows:Identifier", matrix.id)
        _text(one, "ScaleDenominator", repr(matrix.cellSize / _PIXEL))
        x, y = matrix.pointOfOrigin
        _text(one, "TopLeftCorner", f"{x} {y}")
        _text(one, "TileWidth", str(matrix.tileWidth))
        _text(one, "TileHeight", str(matrix.tileHeight))
        _text(one, "MatrixWidth", str(matrix.matrixWidth))
        _text(one, "MatrixHeight", str(matrix.matrixHeight))


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = printable(text)
