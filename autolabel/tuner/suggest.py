"""Limits between water, thin and thick ice that follow from a scene's own brightness.

The paper finds limits of a region and season by trial and error. Here they come from the histogram
of V = max(R, G, B) in three steps:

1. Light. In another season a scene is brighter or darker as a whole: V = a + b V0, with V0 the
   summer of the Ross Sea, where the paper's limits hold. The brightest surfaces are snow and the
   darkest are water, so the ends of the histogram give b and a. The paper's limits under this light
   are the first guess.
2. Valley. Modes of a histogram are surfaces, and few pixels lie between two of them. So each limit
   moves to a valley near its first guess (valley seeking: Prewitt & Mendelsohn 1966, "The analysis
   of cell images", Ann. N. Y. Acad. Sci. 128, 1035). Each position has a chance: a Gaussian about
   the first guess, divided by the density there. The likeliest position wins. A valley alone isn't
   enough: thin ice of several ages has valleys of its own.
3. Doubt. The other positions, each by its chance, would give another class to a share of the scene.
   Cloud and shadow do the same; this second share is what the illumination filter would change, in
   the scene brought to the light of the summer.

Otsu's thresholds for three classes (Otsu 1979; Liao et al. 2001, "A fast algorithm for multilevel
thresholding") look for classes of the same spread and weight; `otsu_limits` is for comparison. Hue
and saturation are not used: light changes them for all classes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autolabel.thresholds.profiles import ROSS_SEA_SUMMER, Profile, brightness_steps
from polynya.errors import RecipeError, SceneError
from polynya.recipe.thresholds import ColorRange

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

SURE = 0.985
"""Least sureness of a suggestion that can be used without a look."""

_LIMITS = (30.5, 204.5)
"""Limits of the paper in V0, between its whole numbers."""
_SNOW, _SNOW_SHARE = 249.0, 0.995
"""V0 below which this share of a scene lies: the brightest snow, without glints."""
_WATER, _WATER_SHARE = 5.0, 0.002
"""V0 below which this share of a scene with water lies."""
_MOST_AIR = 18.0
"""Greatest a / b, so that the darkest ice of a scene without water is not taken for water."""
_SPREAD = 0.03
"""Standard deviation of a limit about its first guess, relative to b 255."""
_SMOOTHING, _LEAST_SMOOTHING = 0.006, 0.7
"""Width of the kernel that smooths the histogram, relative to b 255, and in grey levels."""
_FLOOR = 0.00765
"""Density that counts as empty, relative to a scene whose V are all equally frequent."""


class Limits(NamedTuple):
    """Limits between the classes, and what they were found from."""

    water: int
    """Greatest V of open water."""
    thick: int
    """Least V of thick ice."""
    strength: float
    """Brightness of the light relative to the summer of the Ross Sea, b."""
    air: float
    """Brightness of the air in grey levels, a."""
    doubt: float
    """Share of pixels that other plausible limits would give another class, 0..1."""


@dataclass(frozen=True)
class Suggestion:
    """Suggested limits for some scenes."""

    limits: Limits
    under_sky: float
    """Share of pixels with another class after the illumination filter, mean over scenes, 0..1."""

    @property
    def sureness(self) -> float:
        """Estimated share of pixels whose class is right by these limits without a filter, 0..1."""
        return max(0.0, 1.0 - self.limits.doubt - self.under_sky)

    @property
    def is_sure(self) -> bool:
        """Whether the limits can be used without a look at them."""
        return self.sureness >= SURE

    def profile(self, name: str, classes: Sequence[str]) -> Profile:
        """Return the limits as a profile; `classes` are the names from dark to bright."""
        ends = ((0, self.limits.water), (self.limits.water + 1, self.limits.thick - 1),
                (self.limits.thick, 255))  # fmt: skip
        ranges = (
            ColorRange(class_name=title, value=values)
            for title, values in zip(classes, ends, strict=True)
        )
        return Profile(name=name, ranges=tuple(ranges))


def classes_by_brightness(profile: Profile) -> tuple[str, ...]:
    """Return the names of a profile's three classes, from dark to bright.

    Raises:
        RecipeError: The profile doesn't cut the brightness into three classes.
    """
    in_order = sorted(profile.ranges, key=lambda color: color.value)
    names = tuple(dict.fromkeys(color.class_name for color in in_order))
    by_value = all(
        color.hue == (0, 179) and color.saturation == (0, 255) for color in profile.ranges
    )
    if len(names) != 3 or len(profile.ranges) != 3 or not by_value:
        raise RecipeError(
            f"The profile '{profile.name}' doesn't cut the brightness (value) into three classes,"
            " so no limits can be suggested for it; name a profile in 'label.profile' that does,"
            f" such as {ROSS_SEA_SUMMER.name}."
        )
    return names


def suggest(scenes: Sequence[tuple[Image, Mask]]) -> Suggestion:
    """Suggest limits for scenes of one region and season.

    Args:
        scenes: Image, uint8 (H, W, 3), and valid pixels, bool (H, W), of each; large scenes may be
            reduced to every n-th pixel. Each scene has the same weight.

    Raises:
        SceneError: No scene has a valid pixel.
    """
    from autolabel.thresholds.brightness import brightness

    values = [(brightness(rgb), valid) for rgb, valid in scenes if valid.any()]
    if not values:
        raise SceneError("No scene has a pixel with data, so no limits can be suggested.")
    histograms = [np.bincount(value[valid], minlength=256) for value, valid in values]
    limits = suggest_limits(np.sum([counts / counts.sum() for counts in histograms], axis=0))
    changed = [_changed_by_filter(value, valid, limits) for value, valid in values]
    return Suggestion(limits, float(np.mean(changed)))


def suggest_limits(histogram: NDArray[np.generic]) -> Limits:
    """Find the limits between three classes in a histogram of V.

    Args:
        histogram: (256,), counts or shares of V; not all 0.
    """
    shares = np.asarray(histogram, np.float64) / histogram.sum()
    below = np.concatenate([[0.0], np.cumsum(shares)])
    dark, bright = (int(np.searchsorted(below[1:], share)) for share in (_WATER_SHARE, _SNOW_SHARE))
    strength = max(bright - dark, 1) / (_SNOW - _WATER)
    air = float(np.clip(dark - _WATER * strength, 0.0, _MOST_AIR * strength))
    strength = max(bright - air, 1.0) / _SNOW

    width = 255.0 * strength
    density = width * _smoothed(shares, max(_SMOOTHING * width, _LEAST_SMOOTHING))
    # Limit i lies between the brightness i - 1 and i.
    between = np.concatenate([density[:1], (density[1:] + density[:-1]) / 2, density[-1:]])
    places = np.arange(257) - 0.5
    found, doubt = list[int](), 0.0
    for limit in _LIMITS:
        distance = (places - (air + strength * limit)) / (_SPREAD * width)
        chance = -np.log(between + _FLOOR) - 0.5 * distance**2
        # Each class keeps a brightness of its own.
        first, last = (1, 254) if not found else (found[0] + 1, 255)
        best = first + int(np.argmax(chance[first : last + 1]))
        weights = np.exp(chance - chance.max())
        moved = np.abs(below - below[best])
        doubt += float((weights * moved).sum() / weights.sum())
        found.append(best)
    return Limits(found[0] - 1, found[1], strength, air, min(doubt, 1.0))


def otsu_limits(histogram: NDArray[np.generic]) -> tuple[int, int]:
    """Otsu's two thresholds: greatest V of the darkest and least V of the brightest class.

    They make the variance between three classes greatest (Otsu 1979, IEEE Trans. SMC 9, 62, by the
    sums of Liao et al. 2001, J. Inf. Sci. Eng. 17, 713).

    Args:
        histogram: (256,), counts or shares of V; not all 0.
    """
    shares = np.asarray(histogram, np.float64) / histogram.sum()
    weight = np.concatenate([[0.0], np.cumsum(shares)])
    moment = np.concatenate([[0.0], np.cumsum(shares * np.arange(256))])
    low, high = np.meshgrid(np.arange(1, 256), np.arange(1, 256), indexing="ij")

    def term(start: NDArray[np.intp] | int, stop: NDArray[np.intp] | int) -> Floats:
        mass = np.asarray(weight[stop] - weight[start])
        return np.asarray((moment[stop] - moment[start]) ** 2 / np.maximum(mass, 1e-12))

    spread = np.where(low < high, term(0, low) + term(low, high) + term(high, 256), -1.0)
    one, other = np.unravel_index(int(np.argmax(spread)), spread.shape)
    return int(one), int(other) + 1


def _smoothed(shares: Floats, sigma: float) -> Floats:
    reach = int(4 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(shares, reach, mode="edge"), kernel / kernel.sum(), "valid")


def _changed_by_filter(value: Image, valid: Mask, limits: Limits) -> float:
    """Share of pixels with another class if all light that the filter finds were removed.

    Light that it can't prove to be light makes limits doubtful too.
    The filter knows the summer of the Ross Sea. So V is brought there: straight lines from limit to
    limit.
    """
    from autolabel.filters.illumination.sky import clear_brightness, estimate_sky

    snow = max(limits.air + _SNOW * limits.strength, limits.thick + 1.0)
    table = np.interp(
        np.arange(256), [0.0, limits.water + 0.5, limits.thick - 0.5, snow, 256.0],
        [1.0, *_LIMITS, _SNOW, 255.0],
    )  # fmt: skip
    usual = np.where(valid, np.rint(table).astype(np.uint8)[value], np.uint8(0))
    sky = estimate_sky(np.repeat(usual[..., None], 3, axis=2), valid, value=usual)
    cleared = clear_brightness(usual, valid, sky.doubted() or sky)
    steps = np.array(brightness_steps(ROSS_SEA_SUMMER))
    changed = np.digitize(usual, steps) != np.digitize(cleared, steps)
    return float(changed[valid].mean())
