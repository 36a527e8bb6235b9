"""Find cloud and shadow over a scene.

1. `without_cloud`: in the short-wave infrared cloud is bright and the ground is dark
   (`autolabel.filters.illumination.veil`), in the cirrus band nothing but high cloud is bright
   (`autolabel.filters.illumination.high_cloud`), and the shadow of this haze lies away from the sun
   (`autolabel.filters.illumination.shade`). No surface looks so.
2. `find_light`: shadow, and in a scene of colours alone haze as well, from the brightness of
   segments (`autolabel.filters.illumination.fields`). A surface may look so. Therefore each patch
   of this light comes with numbers that tell `autolabel.filters.illumination.judge` what speaks for
   it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.fields import light_of, solve_light
from autolabel.filters.illumination.high_cloud import solve_high_cloud
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import Light, Weights
from autolabel.filters.illumination.patches import describe_patches, find_patches
from autolabel.filters.illumination.segments import CellParts, Segments, cell_parts, find_segments
from autolabel.filters.illumination.shade import find_shade
from autolabel.filters.illumination.survey import Survey
from autolabel.filters.illumination.veil import find_veil, most_haze, solve_veil

_SHADOW_LIMITS = (0.03, 0.12)
_HAZE_LIMITS = (0.02, 0.1)
"""A shadow (1 - g) or haze (h) counts as real if it reaches the second value somewhere. It then
extends to the places where it falls below the first value."""

_TRUST_CELLS = (63, 63)
"""Size of the neighbourhood, in cells, in which the fit of the fields is judged: 20 km at 10 m."""
_MISFITS = (0.45, 0.6)
"""Limits of the root mean square deviation of segments from the light, relative to the expected
deviation. The light is fully trusted up to the first value, and not at all from the second value
on. Generated sea ice has 0.05 to 0.35, textured land or melting ice 0.6 and more."""

_LESS_HAZE = 0.025
"""Haze of the short waves that is left in the image: so well is the ground in them known. What is
left doesn't turn water into ice, but what is taken too much turns dark ice into water."""

_CLEAR = 0.03
"""Haze below this counts as clear sky."""
_NILAS = 60.0
"""Greatest V of dark surfaces: water and dark nilas."""
_MOST_NILAS = 0.5
"""Share of dark nilas among dark surfaces under a clear sky, from which on haze stays in the image.
Dark nilas is a few grey levels brighter than water, so a little too much haze taken off makes water
of it."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Light that may be a surface instead; rows x columns of cells."""

    shadow: Floats
    """(rows, columns), 1 - g."""
    haze: Floats
    """(rows, columns), h."""
    patches: NDArray[np.int32]
    """(rows, columns), number of each patch of shadow or haze, from 1; 0 is clear."""
    numbers: Floats
    """(patches, columns), what is known of each patch; see `describe_patches`."""
    ponds: Floats
    """(patches,), share of melt water in each patch, 0..1."""

    def kept(self, proven: Mask) -> tuple[Floats, Floats]:
        """Return the shadow and the haze of some patches; `proven` is bool (patches,)."""
        keep = np.append(False, proven)[self.patches]
        return np.where(keep, self.shadow, 0.0), np.where(keep, self.haze, 0.0)


@dataclass(frozen=True)
class Ground:
    """A scene without some light; rows x columns of cells."""

    survey: Survey
    stretch: tuple[float, float]
    """Reflectances of grey levels 0 and 255."""
    weights: Weights
    segments: Segments
    observed: CellParts
    """Segments by cell, as seen."""
    seen: Floats | None
    """(cells,), h as other bands show it; None if the scene doesn't tell."""
    levels: Levels
    """Brightness of the classes, and of cloud in this scene."""
    gain: Floats
    """(rows, columns), shadow gain g that is taken off."""
    haze: Floats
    """(rows, columns), opacity h that is taken off."""

    @classmethod
    def of(
        cls,
        survey: Survey,
        *,
        levels: Levels,
        stretch: tuple[float, float] = (0.0, 1.0),
        weights: Weights | None = None,
    ) -> Ground:
        """Cut a scene into segments, with all light on it.

        Args:
            survey: Survey of the scene, from `survey_scene`.
            levels: Brightness of the classes.
            stretch: Reflectances of grey levels 0 and 255.
            weights: Weights of the evidence.
        """
        segments = find_segments(survey.half)
        parts = cell_parts(survey.half, segments, survey.swir)
        seen = _seen_haze(parts, survey, levels)
        clear, nothing = np.ones(parts.grid), np.zeros(parts.grid)
        weights = weights or Weights()
        return cls(survey, stretch, weights, segments, parts, seen, levels, clear, nothing)

    def by_colours(self) -> Ground:
        """Return the same scene as if it had no other bands."""
        survey = replace(self.survey, swir=None, nir=None, cirrus=None, means=None)
        return replace(self, survey=survey, observed=replace(self.observed, swir=None), seen=None)

    def without(self, shadow: Floats, haze: Floats) -> Ground:
        """Take more light off: shadow 1 - g and haze h, (rows, columns)."""
        return replace(self, gain=self.gain * (1.0 - shadow), haze=np.maximum(self.haze, haze))

    @cached_property
    def parts(self) -> CellParts:
        """Segments by cell, without the light that is taken off."""
        cell = self.observed.cell
        veil, through = self.levels.cloud * self.haze, self.gain * (1.0 - self.haze)
        mean = (self.observed.mean - veil.ravel()[cell]) / through.ravel()[cell]
        return replace(self.observed, mean=mean)

    def light(self) -> Light:
        """Return what this light makes of the scene: the classes of its segments."""
        gain, haze = self.gain.ravel(), self.haze.ravel()
        return light_of(self.observed, gain, haze, self.levels, self.weights)

    def least_gain(self) -> Floats:
        """Return the deepest shadow over each segment, (segments,): the least g.

        Edges, number 0, have the deepest shadow of the scene.
        """
        parts = self.observed
        cell = parts.cell
        least = np.ones(len(parts.size))
        np.minimum.at(least, parts.segment, self.gain.ravel()[cell])
        least[0] = self.gain.min()
        return least

    def spread(self) -> Floats:
        """Return how much the parts of each segment differ, as deviation of V: (segments,)."""
        parts, count = self.parts, len(self.observed.size)
        total = np.maximum(np.bincount(parts.segment, parts.pixels, count), 1.0)
        mean = np.bincount(parts.segment, parts.pixels * parts.mean, count) / total
        square = parts.pixels * (parts.mean - mean[parts.segment]) ** 2
        return np.asarray(np.sqrt(np.bincount(parts.segment, square, count) / total), np.float64)


def without_cloud(ground: Ground) -> Ground:
    """Take off the haze that other bands show, and its shadow if the sun is known."""
    if ground.seen is None:
        return ground
    grid, sun = ground.observed.grid, ground.survey.sun
    haze = _where_real(ground.seen.reshape(grid), *_HAZE_LIMITS)
    # The other bands take W to be the least V of thick ice.
    levels = ground.levels._replace(cloud=ground.levels.bright)
    below = replace(ground, levels=levels).without(np.zeros(grid), haze)
    shade = None if sun is None else find_shade(below.parts, haze, sun)
    if shade is None:
        return below
    return below.without(_where_real(shade.shadow, *_SHADOW_LIMITS), np.zeros(grid))


def _seen_haze(parts: CellParts, survey: Survey, levels: Levels) -> Floats | None:
    """Return the haze that the short waves show, or else the cirrus band, (cells,).

    None if they show none, or if most dark surfaces are dark nilas.
    """
    veil = find_veil(parts, levels)
    if veil is not None:
        haze = np.maximum(solve_veil(parts, veil) - _LESS_HAZE, 0.0)
    elif survey.cirrus is None or (high := solve_high_cloud(parts, survey.cirrus, levels)) is None:
        return None
    else:
        haze = high
    return None if _nilas_share(parts, haze, levels) >= _MOST_NILAS else haze


def _nilas_share(parts: CellParts, haze: Floats, levels: Levels) -> float:
    """Return the share of dark nilas among the dark surfaces under a clear sky; 0 without any."""
    dark = (haze[parts.cell] < _CLEAR) & (parts.mean < _NILAS)
    nilas = dark & (parts.mean > levels.dark + 1.0)
    return float(parts.pixels[nilas].sum() / max(parts.pixels[dark].sum(), 1))


def find_light(ground: Ground) -> Found:
    """Find shadow and haze from the brightness of segments."""
    parts, levels, survey = ground.parts, ground.levels, ground.survey
    light = solve_light(
        parts,
        levels=levels,
        weights=ground.weights,
        clear_haze=survey.haze_prior(),
        most_haze=_most_haze(ground),
    )
    trust = _trust(light, parts.grid)
    shadow = trust * _where_real(1.0 - light.gain.reshape(parts.grid), *_SHADOW_LIMITS)
    haze = trust * _where_real(light.haze.reshape(parts.grid), *_HAZE_LIMITS)
    patches = find_patches(shadow, haze)
    infrared = survey.infrared(ground.stretch)
    numbers = describe_patches(patches, shadow, haze, parts, light, levels, infrared)
    ponds = _mean_by_patch(survey.ponds, patches)
    return Found(shadow, haze, patches, numbers, ponds)


def _mean_by_patch(values: Floats, patches: NDArray[np.int32]) -> Floats:
    """Return the mean over each patch of a number per cell, (patches,)."""
    count = int(patches.max(initial=0)) + 1
    cells = np.bincount(patches.ravel(), minlength=count)
    total = np.bincount(patches.ravel(), values, count)
    return np.asarray((total / np.maximum(cells, 1))[1:], np.float64)


def _most_haze(ground: Ground) -> Floats | None:
    """Return the haze that may still be found in each cell, (cells,); None: any."""
    if ground.seen is not None:
        return np.zeros(ground.haze.size)
    levels, parts = ground.levels, ground.observed
    bounds = (ground.survey.most_haze(levels, ground.stretch), most_haze(parts, levels))
    known = [bound for bound in bounds if bound is not None]
    return np.minimum.reduce(known) if known else None


def _where_real(field: Floats, low: float, high: float) -> Floats:
    """Keep the bumps of a field that reach `high`, down to `low`; set the rest to 0."""
    count, bump = cv2.connectedComponents((field > low).view(np.uint8), connectivity=8)
    highest = np.zeros(count)
    np.maximum.at(highest, bump.ravel(), field.ravel())
    real = (highest >= high) & (np.arange(count) > 0)
    # Keep values below `low` next to a real bump, so that the field fades out gently.
    return np.where(real[bump] | ((bump == 0) & _beside(real[bump])), field, 0.0)


def _trust(light: Light, grid: tuple[int, int]) -> Floats:
    """Return how well light can be told from surface in each cell, 0..1.

    Some surfaces change softly by themselves: bare land, melting ice, pixels wider than floes.
    There, segments change in ways that no smooth light explains. So the fields found there are not
    light.
    """
    misfit, evidence = (
        cv2.blur(part.reshape(grid), _TRUST_CELLS) for part in (light.misfit, light.evidence)
    )
    # Running sums can leave small negative remainders.
    deviation = np.sqrt(np.maximum(misfit, 0.0) / np.maximum(evidence, 1e-9))
    full, none = _MISFITS
    return np.asarray(np.clip((none - deviation) / (none - full), 0.0, 1.0), np.float64)


def _beside(mask: Mask) -> Mask:
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(grown > 0, np.bool_)
