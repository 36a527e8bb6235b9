"""Polygons of a map's regions, in a GeoPackage."""
