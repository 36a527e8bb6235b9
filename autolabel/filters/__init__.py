"""Filters that remove thin cloud and shadow from a scene."""
