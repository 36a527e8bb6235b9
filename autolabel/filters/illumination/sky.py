"""The illumination filter: find thin cloud and shadow over a scene and remove them.

`estimate_sky` cuts an image into segments along its sharp edges, solves for two smooth fields of
light (`autolabel.filters.illumination.fields`) and finds the class of each segment. `clear_sky`
brings every pixel to the brightness that it would have under a clear sky. Where the sky is clear,
the pixels stay exactly the same.

To find the sky, the filter needs a whole scene: a tile has too few surfaces to tell light from ice.
It gathers what it needs strip by strip (`autolabel.filters.illumination.survey`). To clear some
rows, it needs only the sky over these rows (`Sky.rows`). So it filters scenes of any size in parts
and gives the same bits as for the whole scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.clearing import (
    CLEAR_GAIN,
    CLEAR_HAZE,
    NO_KIND,
    SOFT,
    clear_rows,
    recolor,
)
from autolabel.filters.illumination.finding import Found, Ground, find_light, without_cloud
from autolabel.filters.illumination.judge import prove_light
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import THICK, Weights
from autolabel.filters.illumination.segments import SCALE, at_pixels
from autolabel.filters.illumination.survey import (
    CELL_PIXELS,
    Strip,
    Survey,
    survey_scene,
)
from autolabel.thresholds.brightness import brightness
from polynya.scenes.scene import SceneLayers

_LEAST_SEGMENT = 12
"""Smallest segment, in segment pixels, that decides for pixels whose own value is in doubt."""

_MOST_SPREAD = 10.0
"""Deviation of V between the parts of a segment, in grey levels, up to which it is one surface."""

_LEAST_PROVEN = 0.5
"""Share of the haze that other bands show, of which colours must prove at least as much."""

_NO_SHADOW = 0.97
"""Least g over a segment without shadow. Where other bands told the haze, the value of a pixel
is better known than the class of its segment, but for thick ice in a shadow."""

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Sky:
    """Light over a scene of H x W pixels, or over some of its rows, and the surfaces below."""

    shape: tuple[int, int]
    """H, W of the scene or rows."""
    top: int
    """Number of the first row in the scene."""
    cell_gain: Field
    """Shadow gain g of each cell of 32 x 32 pixels of the whole scene: 1 in clear light."""
    cell_haze: Field
    """Opacity h of thin cloud of each cell of the whole scene: 0 in clear air."""
    doubted_gain: Field
    """Gain of each cell as it was found, also where it may be the surface instead of light."""
    doubted_haze: Field
    """Opacity of each cell as it was found, in the same way."""
    kind: NDArray[np.int8]
    """Kind of the segment at each pixel of half resolution: WATER, BETWEEN or THICK of
    `autolabel.filters.illumination.light`; NO_KIND where no segment is large enough."""
    surface: Image
    """V of the segment at each pixel of half resolution, under a clear sky."""
    levels: Levels
    cloud_color: Field
    """(3,), RGB of opaque cloud."""
    opaque: Mask | None
    """(H, W), cloud that hides the ground completely, found from layers and not from brightness."""

    def rows(self, top: int, height: int, opaque: Mask | None = None) -> Sky:
        """Return the sky over some rows of the scene.

        Args:
            top: First row.
            height: Number of rows.
            opaque: bool (height, W), opaque cloud over the rows
                (`autolabel.filters.illumination.survey.opaque_cloud`).
        """
        first, last = top // SCALE, (top + height - 1) // SCALE
        offset = self.top // SCALE
        half = slice(first - offset, last - offset + 1)
        return replace(
            self,
            shape=(height, self.shape[1]),
            top=top,
            kind=self.kind[half],
            surface=self.surface[half],
            opaque=opaque,
        )

    def doubted(self) -> Sky | None:
        """Return the sky with all light that was found; None if all of it was proven."""
        if np.array_equal(self.cell_gain, self.doubted_gain) and np.array_equal(
            self.cell_haze, self.doubted_haze
        ):
            return None
        return replace(self, cell_gain=self.doubted_gain, cell_haze=self.doubted_haze)

    def gain(self) -> Field:
        """Shadow gain g of each pixel, float32 (H, W)."""
        gain = self._at_pixels(self.cell_gain)
        gain[gain > CLEAR_GAIN] = 1.0
        return gain

    def haze(self) -> Field:
        """Haze opacity h of each pixel, float32 (H, W)."""
        haze = self._at_pixels(self.cell_haze)
        haze[haze < CLEAR_HAZE] = 0.0
        return haze

    def veiled(self) -> Mask:
        """Where there is cloud or shadow: bool (H, W)."""
        veiled = (self.gain() < 1.0) | (self.haze() > 0.0)
        return veiled if self.opaque is None else veiled | self.opaque

    def hidden(self, most_haze: float) -> Mask:
        """Where cloud hides the ground: haze above a limit, or opaque cloud; bool (H, W)."""
        hidden = self.haze() > most_haze
        return hidden if self.opaque is None else hidden | self.opaque

    def _at_pixels(self, field: Field) -> Field:
        """Interpolate cells to pixels, bilinear between the centres of cells: float32 (H, W)."""
        height, width = self.shape
        # One more cell above and below gives the rows the same values as in the whole scene.
        first = max(self.top // CELL_PIXELS - 1, 0)
        last = min((self.top + height - 1) // CELL_PIXELS + 2, len(field))
        size = (field.shape[1] * CELL_PIXELS, (last - first) * CELL_PIXELS)
        fine = cv2.resize(field[first:last], size, interpolation=cv2.INTER_LINEAR)
        start = self.top - first * CELL_PIXELS
        return np.ascontiguousarray(fine[start : start + height, :width])


def estimate_sky(
    rgb: Image,
    valid: Mask,
    *,
    levels: Levels | None = None,
    layers: SceneLayers | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
    weights: Weights | None = None,
    value: Image | None = None,
) -> Sky:
    """Find thin cloud and shadow over a scene.

    Args:
        rgb: uint8 (H, W, 3).
        valid: bool (H, W).
        levels: Brightness of open water and thick ice; default the paper's thresholds.
        layers: More evidence, if the scene has it. Opaque cloud (from the product's own cloud
            layer, or bright in the short-wave infrared, where snow is dark) is no evidence for
            light. The darkest near infrared of a cell limits its haze. Haze is likelier where the
            cirrus band is bright.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.
        weights: Weights of the evidence.
        value: uint8 (H, W), V of the image, if it is known already.
    """
    levels = levels or Levels()
    shape = (valid.shape[0], valid.shape[1])
    whole = Strip.of(rgb, valid, layers, stretch, value)
    survey = survey_scene([whole], shape, levels)
    sky = solve_sky(survey, levels=levels, stretch=stretch, weights=weights)
    return replace(sky, opaque=whole.opaque)


def solve_sky(
    survey: Survey,
    *,
    levels: Levels,
    stretch: tuple[float, float] = (0.0, 1.0),
    weights: Weights | None = None,
) -> Sky:
    """Find thin cloud and shadow from a survey of a scene; see `estimate_sky`.

    The result has no opaque cloud. `Sky.rows` adds it.

    Args:
        survey: Survey of the scene, from `survey_scene`.
        levels: Brightness of the classes.
        stretch: Reflectances of grey levels 0 and 255.
        weights: Weights of the evidence.
    """
    ground = Ground.of(survey, levels=levels, stretch=stretch, weights=weights)
    if ground.seen is not None and (sky := _sky_by_colours(ground)) is not None:
        return sky
    below = without_cloud(ground)
    found = find_light(below)
    return sky_of(below, found, prove_light(found.numbers, found.ponds))


def _sky_by_colours(ground: Ground) -> Sky | None:
    """Return the sky as colours prove it; None if they don't prove the haze that other bands show.

    Between sharp borders colours tell the haze better than other bands: its density follows from
    surfaces that come out the same on both sides, and not from the brightness of cloud.
    """
    colours = ground.by_colours()
    found = find_light(colours)
    proven = prove_light(found.numbers, found.ponds)
    seen, haze = ground.seen, found.kept(proven)[1].ravel()
    assert seen is not None  # The caller has asked.
    if np.minimum(seen, haze).sum() < _LEAST_PROVEN * seen.sum():
        return None
    return sky_of(colours, found, proven)


def sky_of(below: Ground, found: Found, proven: Mask) -> Sky:
    """Return the sky that keeps only some patches of the light that was found.

    Args:
        below: The ground on which it was found.
        found: The light.
        proven: bool (patches,), the patches of it that are light.
    """
    ground = below.without(*found.kept(proven))
    doubted = below.without(found.shadow, found.haze)
    light, levels, survey = ground.light(), ground.levels, ground.survey
    kind = np.where(ground.parts.size < _LEAST_SEGMENT, NO_KIND, light.code)
    kind = np.where(ground.spread() > _MOST_SPREAD, SOFT, kind)
    if ground.seen is not None:
        shaded = (kind == THICK) & (ground.least_gain() <= _NO_SHADOW)
        kind = np.where(shaded, kind, SOFT)
    kind = kind.astype(np.int8)
    surface = np.clip(np.rint(light.brightness), 0, 255).astype(np.uint8)
    of_pixels = at_pixels(ground.segments.label, kind, surface)
    white = np.ones(3) if survey.white is None else survey.white
    return Sky(
        shape=survey.shape,
        top=0,
        cell_gain=ground.gain.astype(np.float32),
        cell_haze=ground.haze.astype(np.float32),
        doubted_gain=doubted.gain.astype(np.float32),
        doubted_haze=doubted.haze.astype(np.float32),
        kind=of_pixels[0],
        surface=of_pixels[1],
        levels=levels,
        cloud_color=(levels.cloud * white / white.max()).astype(np.float32),
        opaque=None,
    )


def clear_brightness(value: Image, valid: Mask, sky: Sky) -> Image:
    """Return V of each pixel under a clear sky, in the range of the pixel's class.

    Args:
        value: uint8 (H, W), V of the pixels under `sky`.
        valid: bool (H, W).
        sky: Sky over the pixels.

    Returns:
        uint8 (H, W), 0 where there is no data.
    """
    cleared = np.zeros_like(value)
    _fill(value, valid, sky, cleared, None)
    return cleared


def clear_sky(rgb: Image, valid: Mask, sky: Sky) -> Image:
    """Return the image as it would be under a clear sky.

    Args:
        rgb: uint8 (H, W, 3), the pixels under `sky`.
        valid: bool (H, W).
        sky: Sky over the pixels.

    Returns:
        uint8 (H, W, 3), 0 where there is no data. V comes from `clear_brightness`. Hue comes from
        the image after haze is subtracted; haze has the colour of the scene's brightest surfaces.
    """
    value = brightness(rgb)
    cleared = clear_brightness(value, valid, sky)
    result = np.zeros_like(rgb)
    recolor(np.ascontiguousarray(rgb), value, cleared, sky.haze(), sky.cloud_color, result)
    return result


def confidence(value: Image, valid: Mask, sky: Sky) -> Field:
    """Return how sure the class of each pixel is.

    Args:
        value: uint8 (H, W), V of the pixels under `sky`.
        valid: bool (H, W).
        sky: Sky over the pixels.

    Returns:
        float32 (H, W), 0.5..1 where there is data, else 0. It is an estimate of the chance that the
        class is correct. It depends on the distance to the nearest limit between classes and on
        the amount of light that was corrected. It is 0.5 where light that was found, but not
        proven, would give another class.
    """
    sure = np.zeros(valid.shape, np.float32)
    _fill(value, valid, sky, None, sure)
    if (doubted := sky.doubted()) is not None:
        levels = sky.levels
        classes = (levels.classes(clear_brightness(value, valid, s)) for s in (sky, doubted))
        sure[valid & np.not_equal(*classes)] = 0.5
    return sure


def _fill(value: Image, valid: Mask, sky: Sky, cleared: Image | None, sure: Field | None) -> None:
    clear_rows(
        value,
        np.ascontiguousarray(valid),
        sky.top,
        sky.kind,
        sky.surface,
        sky.cell_gain,
        sky.cell_haze,
        sky.levels,
        cleared,
        sure,
    )
