"""Scenes from raster files that hold all their bands."""
