"""Scenes from Sentinel-2 SAFE products."""
