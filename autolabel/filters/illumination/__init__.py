"""The filter `illumination`: finds shadow and haze over a whole scene and removes them."""

from autolabel.filters.illumination.filter import FILTER

__all__ = ["FILTER"]
