"""Scenes from Google Earth Engine."""
