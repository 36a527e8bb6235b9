"""Judge: the same sea by Terra and, an hour or two later, by Aqua.

Cloud has moved between the two pictures, and floes hardly. So what is bright ice to one should be
bright ice to the other. No truth is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.thresholds.profiles import Profile
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report, percent
from benchmarks.labels.methods import ILLUMINATION, PUBLISHED, WITH_BANDS
from benchmarks.labels.real.labelling import BASE, RealResult, label_real, share_cells
from benchmarks.labels.real.pictures import SAME_DAY, Image, Mask, RealScene
from polynya.progress import track
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

VARIANTS = (BASE, PUBLISHED, ILLUMINATION, WITH_BANDS)

OPAQUE_BAND_7 = 170
"""Number in band 7 of cloud that hides the ground: the upper quartile over the overcast right part
of both pictures. 8 bits, stretched for viewing."""
LIMITS = (0.5, 0.7)
"""Opacities below which labels are compared."""

_BRIGHT_ICE = SEA_ICE.names.index("thick_ice")
_MOST_PIXELS = 800_000
"""Most pixels in all panels of the picture together."""
_BOTH, _FIRST, _SECOND, _NEITHER = (240, 240, 240), (255, 140, 0), (0, 200, 230), (70, 70, 70)
"""Colours of bright ice to both pictures, to Terra alone, to Aqua alone, and to neither. No class
has them."""


def opacity(bands: Image) -> NDArray[np.float32]:
    """Opacity of cloud, linear in band 7: 0 at 0, and 1 from `OPAQUE_BAND_7` on.

    Args:
        bands: uint8 (H, W, 3), bands 7, 2 and 1.

    Returns:
        float32 (H, W), 0..1.
    """
    return np.minimum(bands[..., 0] / np.float32(OPAQUE_BAND_7), np.float32(1))


def kappa(first: Mask, second: Mask) -> float:
    """Cohen's kappa of two yes-or-no answers: 1 if all agree, 0 if as often as by chance.

    Args:
        first: bool (N,), answers of the first picture.
        second: bool (N,), answers of the second picture at the same places.

    Returns:
        Kappa; NaN if chance alone would make all agree, or without any place.
    """
    if not len(first):
        return np.nan
    agreed, a, b = np.mean(first == second), np.mean(first), np.mean(second)
    by_chance = a * b + (1.0 - a) * (1.0 - b)
    return float((agreed - by_chance) / (1.0 - by_chance)) if by_chance < 1.0 else np.nan


def measure_same_day(pictures: dict[str, RealScene], profile: Profile) -> list[RealResult]:
    """Label both pictures by every variant."""
    return [label_real(pictures[name], profile) for name in track(SAME_DAY, "Terra and Aqua")]


def compared_areas(first: RealScene, second: RealScene) -> dict[str, Mask]:
    """Return the areas of sea over which both are compared, by their description."""
    assert first.bands is not None  # Both pictures of the pair have bands.
    assert second.bands is not None
    sea = first.counted & second.counted
    most = np.maximum(opacity(first.bands), opacity(second.bands))
    areas = {f"opacity below {limit:g} in both": sea & (most < limit) for limit in LIMITS}
    return {**areas, "all sea": sea}


def write_same_day(results: list[RealResult], report: Report) -> list[Path]:
    """Print the tables, write them, and draw both pictures: `same_day.png`."""
    first, second = results
    areas = compared_areas(first.scene, second.scene)
    agreement = kappa_table(first, second, areas)
    shares = [pair_table(first, second, about, area) for about, area in areas.items()]
    about = (
        "The same sea by Terra and, an hour or two later, by Aqua, without land. Cloud has moved,"
        ' and floes hardly. "Kappa" is Cohen\'s kappa of "bright ice or not" (thick_ice) between'
        " the two: 1 is full agreement, 0 is chance. Opacity is linear in band 7 (2.1 um, 8 bits,"
        f" stretched for viewing): number / {OPAQUE_BAND_7}, at most 1. {OPAQUE_BAND_7} is the"
        " upper quartile over the overcast right part of both pictures. Methods see the whole"
        " pictures. A cell of the shares has Terra / Aqua and the difference in points; apart is"
        " half the sum of the absolute differences."
    )
    files = {"real_same_day": agreement, "real_same_day_shares": share_rows(results, areas)}
    report.write("real_same_day", "Terra and Aqua on one day", about, files, [agreement, *shares])
    return [draw_same_day(first, second, areas, report.folder / "same_day.png")]


def kappa_table(first: RealResult, second: RealResult, areas: dict[str, Mask]) -> Table:
    """Kappa of bright ice or not: a row per area, a column per variant."""
    rows = []
    for about, area in areas.items():
        cells = [
            "" if np.isnan(value) else f"{value:.3f}"
            for value in (_kappa_of(first, second, variant, area) for variant in VARIANTS)
        ]
        rows.append((about, str(int(area.sum())), *cells))
    heading = "Kappa of bright ice or not between Terra and Aqua"
    return Table(heading, ("area", "pixels", *VARIANTS), tuple(rows))


def pair_table(first: RealResult, second: RealResult, about: str, area: Mask) -> Table:
    """Shares of classes in both pictures: a row per variant, a column per class."""
    rows = [
        (variant, *share_cells(first.shares(variant, area), second.shares(variant, area)))
        for variant in VARIANTS
    ]
    heading = f"{about} ({int(area.sum()):,} pixels): % Terra / Aqua (points)"
    return Table(heading, ("method", *SEA_ICE.names, "apart"), tuple(rows))


def share_rows(results: list[RealResult], areas: dict[str, Mask]) -> Table:
    """Shares of classes by area, picture and variant, one number per cell."""
    rows = []
    for about, area in areas.items():
        for result in results:
            for variant in VARIANTS:
                shares = (percent(share, 3) for share in result.shares(variant, area))
                rows.append((about, str(int(area.sum())), result.scene.name, variant, *shares))
    columns = ("area", "pixels", "picture", "method", *SEA_ICE.names)
    return Table("Shares of classes, %", columns, tuple(rows))


def draw_same_day(
    first: RealResult, second: RealResult, areas: dict[str, Mask], path: Path
) -> Path:
    """Draw both pictures, their bands and labels, and where they agree about bright ice."""
    about, area = list(areas.items())[len(LIMITS) - 1]
    names = [result.scene.name.removeprefix("modis_").title() for result in (first, second)]
    panels = []
    for result, name in zip((first, second), names, strict=True):
        scene = result.scene
        assert scene.bands is not None  # Both pictures of the pair have bands.
        labels = [
            (
                f"{name}: {variant}",
                np.where(scene.counted, result.labelled[variant].label, np.uint8(SEA_ICE.nodata)),
            )
            for variant in VARIANTS
        ]
        panels.append([(name, scene.rgb), (f"{name}: bands 7, 2, 1", scene.bands), *labels])
    both = [panel for pair in zip(*panels, strict=True) for panel in pair]
    for variant in VARIANTS:
        value = _kappa_of(first, second, variant, area)
        both.append((f"{variant}: kappa {value:.2f}", _agreement(first, second, variant, area)))
    title = (
        "Last four: white is bright ice to both, orange to Terra alone, cyan to Aqua alone;\n"
        f"sea with {about}"
    )
    step = step_for(len(both), first.scene.valid.size, _MOST_PIXELS)
    draw_thinned(path, both, title, step, columns=2)
    return path


def _bright(result: RealResult, variant: str) -> Mask:
    return np.asarray(result.labelled[variant].label == _BRIGHT_ICE, np.bool_)


def _kappa_of(first: RealResult, second: RealResult, variant: str, area: Mask) -> float:
    return kappa(_bright(first, variant)[area], _bright(second, variant)[area])


def _agreement(first: RealResult, second: RealResult, variant: str, area: Mask) -> Image:
    """Paint where the two agree, uint8 (H, W, 3); black outside the area."""
    a, b = _bright(first, variant), _bright(second, variant)
    colors = np.array([_NEITHER, _SECOND, _FIRST, _BOTH], np.uint8)
    painted = colors[2 * a.astype(np.intp) + b]
    return np.where(area[..., None], painted, np.uint8(0))
