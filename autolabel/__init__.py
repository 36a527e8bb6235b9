"""Stage 1: labels for scenes by colour thresholds, after a thin-cloud and shadow filter."""

from autolabel.labels import filter_image, label_image
from autolabel.thresholds import PROFILES, ColorRange, Profile

__all__ = ["PROFILES", "ColorRange", "Profile", "filter_image", "label_image"]
