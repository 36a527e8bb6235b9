"""The product `polygons`: outlines of a map's regions, in a GeoPackage and as GeoParquet."""

from inference.products.polygons.product import PRODUCT

__all__ = ["PRODUCT"]
