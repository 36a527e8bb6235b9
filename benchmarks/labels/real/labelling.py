"""Labels of real pictures by every variant: the methods, and more evidence where there is some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolabel.labels import Labelled, Method, label_and_filter
from autolabel.thresholds.profiles import ColorRange, Profile
from benchmarks.labels.methods import (
    ILLUMINATION,
    METHODS,
    PUBLISHED,
    THRESHOLDS,
    WITH_BANDS,
    title,
)
from benchmarks.labels.real.pictures import Mask, RealScene
from polynya.errors import PolynyaError
from polynya.recipe.classes import SEA_ICE
from polynya.scenes.scene import SceneLayers

Codes = NDArray[np.uint8]
"""(H, W), class codes; 255 where there is no label."""

WITH_CLOUD_LAYER = "illumination, cloud layer"
"""The illumination filter with the product's cloud layer as `SceneLayers.opaque_cloud`."""

DARK, BRIGHT = 30, 205
"""Greatest brightness V of open water and least brightness of thick ice, from the paper."""

BASE = title(THRESHOLDS)
"""Variant with which all others are compared."""


@dataclass(frozen=True)
class RealResult:
    """Labels of one scene by every variant."""

    scene: RealScene
    labelled: dict[str, Labelled]
    """Labels by variant: the methods, and `WITH_CLOUD_LAYER` if the scene has a cloud layer."""

    def shares(self, variant: str, area: Mask) -> NDArray[np.float64]:
        """Share of each class among the labels inside an area, (C,); NaN for an empty area."""
        counts = np.array(SEA_ICE.count(self.labelled[variant].label[area]), np.float64)
        return counts / counts.sum() if counts.any() else np.full(len(counts), np.nan)


def brightness_profile(dark: int, bright: int) -> Profile:
    """Make thresholds by brightness alone, from open water's greatest and thick ice's least."""
    if not 0 <= dark < bright - 1 < 255:
        raise PolynyaError(
            f"--water {dark} and --thick {bright} leave no brightness for thin ice: use numbers"
            " from 0 to 255, with at least one number between them"
        )
    ranges = (
        ColorRange(class_name="open_water", value=(0, dark)),
        ColorRange(class_name="thin_ice", value=(dark + 1, bright - 1)),
        ColorRange(class_name="thick_ice", value=(bright, 255)),
    )
    return Profile(name=f"brightness-{dark}-{bright}", ranges=ranges)


def label_real(scene: RealScene, profile: Profile) -> RealResult:
    """Label one scene by every method, and with its cloud layer or its bands if it has them."""

    def label(method: Method, layers: SceneLayers | None = None) -> Labelled:
        return label_and_filter(
            scene.rgb,
            method=method,
            profile=profile,
            valid=scene.valid,
            layers=layers,
            with_filtered=True,
        )

    labelled = {title(method): label(method) for method in METHODS}
    if scene.overcast is not None:
        layers = SceneLayers(None, None, None, opaque_cloud=scene.overcast, sun_azimuth=None)
        labelled[WITH_CLOUD_LAYER] = label(ILLUMINATION, layers)
    if scene.bands is not None:
        labelled[WITH_BANDS] = label(ILLUMINATION, scene.infrared())
    return RealResult(scene, labelled)


def variants_of(scene: RealScene) -> tuple[str, ...]:
    """Return the variants of the judges that have a truth: with bands only if the scene has any."""
    rgb_only = (BASE, PUBLISHED, ILLUMINATION)
    return rgb_only if scene.bands is None else (*rgb_only, WITH_BANDS)


def codes_of(scene: RealScene, variant: str, profile: Profile) -> Codes:
    """Label a scene by one of its variants (`variants_of`)."""
    methods: dict[str, Method] = {BASE: THRESHOLDS, PUBLISHED: PUBLISHED}
    return label_and_filter(
        scene.rgb,
        method=methods.get(variant, ILLUMINATION),
        profile=profile,
        valid=scene.valid,
        layers=scene.infrared() if variant == WITH_BANDS else None,
    ).label


def share_cells(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[str]:
    """Write two pictures' shares of each class and their difference in points, and "apart".

    "Apart" is half the sum of the absolute differences.

    Args:
        before: (C,), shares in the first picture, 0..1.
        after: (C,), shares in the second picture.
    """
    pairs = zip(100 * before, 100 * after, strict=True)
    cells = [f"{x:.1f} / {y:.1f} ({y - x:+.1f})" for x, y in pairs]
    return [*cells, f"{100 * np.abs(after - before).sum() / 2:.1f}"]


def columns_for(panels: int, height: int, width: int) -> int:
    """Return the number of panels in a row: two for wide pictures and for few panels, else three.

    Args:
        panels: Number of panels.
        height: Height of a panel in pixels.
        width: Width of a panel in pixels.
    """
    return 2 if width > 1.5 * height or panels <= 4 else 3
