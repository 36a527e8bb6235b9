"""The filter `none`: images stay as they are."""

from __future__ import annotations

from autolabel.filters.filter import Filter, Image, Mask, Stretch
from polynya.scenes.scene import SceneLayers


def _clear(rgb: Image, valid: Mask, layers: SceneLayers | None, stretch: Stretch) -> Image:
    return rgb


FILTER = Filter(name="none", title="thresholds alone", clear=_clear, changes_images=False)
