"""Stage 1: labels for scenes by colour thresholds, after a thin-cloud and shadow filter."""

from typing import TYPE_CHECKING

from polynya.lazy import lazy_names

if TYPE_CHECKING:
    from autolabel.labels import filter_image, label_image
    from autolabel.thresholds.profiles import PROFILES, ColorRange, Profile

__all__ = ["PROFILES", "ColorRange", "Profile", "filter_image", "label_image"]

# Commands that only ask for help needn't wait for OpenCV.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "PROFILES": "autolabel.thresholds.profiles:PROFILES",
        "ColorRange": "autolabel.thresholds.profiles:ColorRange",
        "Profile": "autolabel.thresholds.profiles:Profile",
        "filter_image": "autolabel.labels:filter_image",
        "label_image": "autolabel.labels:label_image",
    },
)
