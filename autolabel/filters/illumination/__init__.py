"""The filter `illumination`: light and haze of a whole scene, found and taken out."""

from autolabel.filters.illumination.filter import FILTER

__all__ = ["FILTER"]
