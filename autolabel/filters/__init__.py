"""Filters that take thin cloud and shadow out of a scene."""
