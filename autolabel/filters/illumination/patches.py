"""Patches of light: what the filter knows about each connected area of shadow or haze it found.

Light that was found may be a soft change of the surface instead: young ice that thickens over
kilometres, snow that drifts. `describe_patches` puts into numbers what tells the two apart: how
well one light explains the changes of dark, middle and bright segments, how the surfaces that come
out compare with those under the clear sky around, and how much of the scene the light would cover.
`autolabel.filters.illumination.judge` decides from these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import BETWEEN, THICK, WATER, Light
from autolabel.filters.illumination.segments import CellParts, ranges

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_RING = np.ones((7, 7), np.uint8)
"""Cells around a patch with which it is compared: three on each side."""
_BESIDE = np.ones((3, 3), np.uint8)

_LEAST_SEGMENT = 12
"""Smallest segment, in segment pixels, that is counted as a surface of its class."""
_LEAST_PIXELS, _MOST_PIXELS = 4.0, 32.0
"""A change between two cells needs the first number of pixels in both; more than the second say
nothing more."""
_BRIGHTNESSES = ((0.0, 45.0), (45.0, 100.0), (100.0, 160.0), (160.0, 300.0))
"""Ranges of brightness under a clear sky, whose changes are compared with the light one by one:
water and dark nilas, nilas and grey ice, grey-white ice, snow."""

_COMPOSITION = ("water", "thick", "water_before", "thick_before")
_SURFACES = tuple(f"{kind}_{of}" for kind in ("thick", "between") for of in ("mean", "spread"))
_WHERE = ("patch", "ring", "clear")

NAMES: tuple[str, ...] = (
    "cells", "share", "grid", "border",
    "shadow_mean", "shadow_most", "shadow_wide", "haze_mean", "haze_most", "haze_wide",
    "misfit", "misfit_scene", "evidence",
    *(f"{name}_{where}" for where in _WHERE for name in (*_COMPOSITION, *_SURFACES, "water_mean")),
    "thick_to_ring", "thick_to_clear", "between_to_ring", "between_to_clear",
    "explained", "changes", "pairs",
    *(f"{name}_{low:.0f}" for low, _ in _BRIGHTNESSES for name in ("part", "slope", "explained")),
    "relabelled", "segments", "segment_size",
    "swir_follows", "swir_to_ring", "swir_to_value", "nir_to_clear",
)  # fmt: skip
"""Names of the numbers, in the order of the columns of `describe_patches`. `_patch` is inside,
`_ring` the clear cells around, `_clear` all clear cells of the scene, `_before` before any light is
removed. The last four need infrared and are NaN without it."""


@dataclass(frozen=True)
class Infrared:
    """Mean infrared of each cell, in the grey levels of the image."""

    nir: Floats
    """(cells,), NaN without data."""
    swir: Floats
    """(cells,), NaN without data."""
    value: Floats
    """(cells,), mean V of the image on the same pixels."""


def find_patches(shadow: Floats, haze: Floats) -> NDArray[np.int32]:
    """Number the connected areas of cells with shadow or haze.

    Args:
        shadow: float64 (rows, cols), 1 - g.
        haze: float64 (rows, cols), h.

    Returns:
        int32 (rows, cols); 0 is clear.
    """
    veiled = ((shadow > 0) | (haze > 0)).astype(np.uint8)
    return np.asarray(cv2.connectedComponents(veiled, connectivity=8)[1], np.int32)


def describe_patches(
    patches: NDArray[np.int32],
    shadow: Floats,
    haze: Floats,
    parts: CellParts,
    light: Light,
    levels: Levels,
    infrared: Infrared | None,
) -> Floats:
    """Describe each patch by numbers.

    Args:
        patches: (rows, cols), from `find_patches`.
        shadow: (rows, cols), 1 - g that would be removed.
        haze: (rows, cols), h that would be removed.
        parts: Brightness of segments by cell.
        light: The light that was found from `parts`.
        levels: Brightness of the classes.
        infrared: Infrared of the cells, if the scene has it.

    Returns:
        float64 (patches, len(NAMES)), NaN where a number can't be known.
    """
    found = _Found.of(parts, light, levels)
    scene = _Scene(patches, shadow, haze, parts, light, found, infrared)
    clear = found.surfaces(parts.cells_parts(np.flatnonzero(patches.ravel() == 0)))
    count = int(patches.max(initial=0))
    return np.array([scene.describe(patch, clear) for patch in range(1, count + 1)]).reshape(
        count, len(NAMES)
    )


@dataclass(frozen=True)
class _Found:
    """What the light makes of each part, and of each change between two parts of a segment."""

    weight: Floats
    """(P,), pixels."""
    corrected: Floats
    """(P,), V under a clear sky."""
    kind: NDArray[np.int8]
    """(P,), class of its segment under a clear sky."""
    before: NDArray[np.int8]
    """(P,), class by its own V."""
    large: NDArray[np.bool_]
    """(P,), whether its segment is large enough to count as a surface."""
    change_start: NDArray[np.intp]
    """(cells + 1,), index of the first change of each cell."""
    change_weight: Floats
    """(E,)."""
    change: Floats
    """(E,), change of V from the cell before."""
    foretold: Floats
    """(E,), the change that the light foretells."""
    surface: Floats
    """(E,), V of the surface under a clear sky."""

    @classmethod
    def of(cls, parts: CellParts, light: Light, levels: Levels) -> _Found:
        cell = parts.cell
        through = light.gain * (1.0 - light.haze)
        veil = levels.cloud * light.haze
        corrected = (parts.mean - veil[cell]) / through[cell]
        before = np.full(len(cell), BETWEEN, np.int8)
        before[parts.mean >= levels.bright] = THICK
        before[parts.mean < levels.dark + 0.5] = WATER
        changes = []
        for neighbour in (parts.left, parts.above):
            here = np.flatnonzero(neighbour >= 0)
            there = neighbour[here].astype(np.intp)
            weight = np.minimum(parts.pixels[here], parts.pixels[there]).astype(np.float64)
            enough = weight >= _LEAST_PIXELS
            here, there = here[enough], there[enough]
            weight = np.minimum(weight[enough], _MOST_PIXELS)
            surface = 0.5 * (corrected[here] + corrected[there])
            surface = np.clip(surface, levels.darkest, levels.brightest)
            to, come = cell[here], cell[there]
            foretold = surface * (through[to] - through[come]) + veil[to] - veil[come]
            changes.append((to, weight, parts.mean[here] - parts.mean[there], foretold, surface))
        of_cell, *columns = (np.concatenate(column) for column in zip(*changes, strict=True))
        order = np.argsort(of_cell, kind="stable")
        start = np.searchsorted(of_cell[order], np.arange(len(parts.start)))
        return cls(
            parts.pixels.astype(np.float64),
            corrected,
            light.code[parts.segment],
            before,
            parts.size[parts.segment] >= _LEAST_SEGMENT,
            start,
            *(column[order] for column in columns),
        )

    def surfaces(self, chosen: Indices) -> dict[str, float]:
        """Describe the surfaces of some parts by their classes and brightness."""
        weight, kind, before = self.weight[chosen], self.kind[chosen], self.before[chosen]
        result = {
            "water": _mean(kind == WATER, weight),
            "thick": _mean(kind == THICK, weight),
            "water_before": _mean(before == WATER, weight),
            "thick_before": _mean(before == THICK, weight),
        }
        brightness, large = self.corrected[chosen], self.large[chosen]
        for name, code in (("thick", THICK), ("between", BETWEEN), ("water", WATER)):
            mask = large & (kind == code)
            mean = _mean(brightness[mask], weight[mask])
            result[f"{name}_mean"] = mean
            if code != WATER:
                variance = _mean((brightness[mask] - mean) ** 2, weight[mask])
                result[f"{name}_spread"] = float(np.sqrt(variance))
        return result


@dataclass(frozen=True)
class _Scene:
    """All that `describe_patches` is given."""

    patches: NDArray[np.int32]
    shadow: Floats
    haze: Floats
    parts: CellParts
    light: Light
    found: _Found
    infrared: Infrared | None

    def describe(self, patch: int, clear: dict[str, float]) -> list[float]:
        """Return the numbers of one patch, in the order of `NAMES`."""
        # Only a window around the patch is looked at, so that many patches take no more time.
        rows, cols = np.nonzero(self.patches == patch)
        grid = self.parts.grid
        top, left = max(rows.min() - 3, 0), max(cols.min() - 3, 0)
        window = np.s_[top : rows.max() + 4, left : cols.max() + 4]
        numbers = self.patches[window]
        inside = numbers == patch
        beside = cv2.dilate(inside.view(np.uint8), _BESIDE) > 0
        ring = (cv2.dilate(inside.view(np.uint8), _RING) > 0) & (numbers == 0)

        def cells(mask: NDArray[np.bool_]) -> Indices:
            y, x = np.nonzero(mask)
            return np.asarray((y + top) * grid[1] + x + left, np.intp)

        within, near, around = cells(inside), cells(beside), cells(ring)
        border = (rows == 0) | (cols == 0) | (rows == grid[0] - 1) | (cols == grid[1] - 1)
        chosen = self.parts.cells_parts(within)
        own = self.found.surfaces(chosen)
        other = self.found.surfaces(self.parts.cells_parts(around))
        values = {
            "cells": np.log(len(rows)),
            "share": len(rows) / self.patches.size,
            "grid": np.log(self.patches.size),
            "border": float(border.sum() / np.sqrt(len(rows))),
            **self._of_light(within),
            **{f"{name}_patch": value for name, value in own.items()},
            **{f"{name}_ring": value for name, value in other.items()},
            **{f"{name}_clear": value for name, value in clear.items()},
            "thick_to_ring": own["thick_mean"] - other["thick_mean"],
            "thick_to_clear": own["thick_mean"] - clear["thick_mean"],
            "between_to_ring": own["between_mean"] - other["between_mean"],
            "between_to_clear": own["between_mean"] - clear["between_mean"],
            **self._of_changes(near),
            "relabelled": _mean(
                self.found.kind[chosen] != self.found.before[chosen], self.found.weight[chosen]
            ),
            "segments": len(np.unique(self.parts.segment[chosen])) / len(rows),
            "segment_size": float(
                np.log1p(
                    _mean(self.parts.size[self.parts.segment[chosen]], self.found.weight[chosen])
                )
            ),
            **self._of_infrared(within, around),
        }
        return [float(values[name]) for name in NAMES]

    def _of_light(self, within: Indices) -> dict[str, float]:
        shadow, haze = self.shadow.ravel()[within], self.haze.ravel()[within]
        misfit, evidence = self.light.misfit, self.light.evidence
        return {
            "shadow_mean": shadow.mean(),
            "shadow_most": shadow.max(),
            "shadow_wide": float(np.mean(shadow > 0.05)),
            "haze_mean": haze.mean(),
            "haze_most": haze.max(),
            "haze_wide": float(np.mean(haze > 0.05)),
            "misfit": _root_ratio(misfit[within].sum(), evidence[within].sum()),
            "misfit_scene": _root_ratio(misfit.sum(), evidence.sum()),
            "evidence": evidence[within].sum() / len(within),
        }

    def _of_changes(self, near: Indices) -> dict[str, float]:
        """Compare changes inside segments with the changes that the light foretells."""
        found = self.found
        chosen = ranges(found.change_start, near)
        weight, change = found.change_weight[chosen], found.change[chosen]
        foretold, surface = found.foretold[chosen], found.surface[chosen]
        result = {
            "explained": _explained(weight, change, foretold),
            "changes": _root_ratio((weight * change**2).sum(), weight.sum()),
            "pairs": weight.sum() / len(near),
        }
        for low, high in _BRIGHTNESSES:
            mask = (surface >= low) & (surface < high)
            w, c, f = weight[mask], change[mask], foretold[mask]
            strength = (w * f * f).sum()
            slope = (w * c * f).sum() / strength if strength > 1.0 else np.nan
            result[f"part_{low:.0f}"] = w.sum() / max(weight.sum(), 1e-9)
            result[f"slope_{low:.0f}"] = np.clip(slope, -5.0, 5.0)
            result[f"explained_{low:.0f}"] = _explained(w, c, f)
        return result

    def _of_infrared(self, within: Indices, around: Indices) -> dict[str, float]:
        names = ("swir_follows", "swir_to_ring", "swir_to_value", "nir_to_clear")
        if self.infrared is None:
            return dict.fromkeys(names, np.nan)
        swir, haze = self.infrared.swir[within], self.haze.ravel()[within]
        known = np.isfinite(swir)
        follows = np.nan
        if known.sum() > 5 and swir[known].std() > 0 and haze[known].std() > 0:
            follows = np.corrcoef(swir[known], haze[known])[0, 1]
        ratio = self.infrared.nir / np.maximum(self.infrared.value, 1.0)
        free = self.patches.ravel() == 0
        values = (
            follows,
            _mean(swir) - _mean(self.infrared.swir[around]),
            _mean(swir) / max(_mean(self.infrared.value[within]), 1.0),
            _mean(ratio[within]) - _mean(ratio[free]),
        )
        return dict(zip(names, values, strict=True))


def _mean(values: NDArray[np.generic], weight: Floats | None = None) -> float:
    """Return the weighted mean of what is not NaN; NaN of nothing."""
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    weights = known.astype(np.float64) if weight is None else weight * known
    total = weights.sum()
    return float((np.where(known, numbers, 0.0) * weights).sum() / total) if total else np.nan


def _explained(weight: Floats, change: Floats, foretold: Floats) -> float:
    """Return the share of the changes that the light explains; NaN for few changes."""
    if weight.sum() < 20.0:
        return np.nan
    rest = (weight * (change - foretold) ** 2).sum()
    return max(1.0 - rest / max((weight * change**2).sum(), 1e-6), -5.0)


def _root_ratio(part: float, whole: float) -> float:
    return float(np.sqrt(max(part, 0.0) / whole)) if whole > 0.0 else np.nan
