"""Judge: clear pictures, whole and in crops. A filter should change nothing there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from autolabel.thresholds.profiles import Profile
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report, percent
from benchmarks.labels.methods import ILLUMINATION, PUBLISHED, WITH_BANDS
from benchmarks.labels.real.labelling import BASE, Codes, codes_of, columns_for, variants_of
from benchmarks.labels.real.pictures import (
    CLEAR_AREA,
    CLEAR_PICTURES,
    Image,
    RealScene,
    clear_part,
    cropped,
    scaled,
)
from benchmarks.labels.real.skies import SCALES
from polynya.progress import track
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

WHOLE = 0
"""Size that stands for the whole picture."""
CROPS = (256, 400, 700)
"""Heights and widths of crops, in pixels."""
VARIANTS = (PUBLISHED, ILLUMINATION, WITH_BANDS)

_LEAST_COUNTED = 0.1
"""Least share of counted pixels in a crop; crops with fewer are left out."""
_MOST_PIXELS = 520_000
"""Most pixels in all panels of a picture together."""
_CHANGED, _SAME = (255, 140, 0), (200, 200, 200)
"""Colours that no class has."""


@dataclass(frozen=True)
class ClearResult:
    """Number of labels that each filter changed in a clear picture, or in a part of it."""

    picture: str
    scale: float
    size: int
    """Height and width of the crop in pixels; `WHOLE` for the whole picture."""
    row: int
    column: int
    """Upper left pixel."""
    pixels: int
    """Number of counted pixels."""
    changed: dict[str, int]
    """Number of counted pixels with another label than by thresholds, by variant."""

    @property
    def place(self) -> str:
        """Name of the part, with its place in the scaled picture."""
        where = "whole" if self.size == WHOLE else f"{self.size} px"
        at = "" if self.size == WHOLE else f" at row {self.row}, column {self.column}"
        return f"{self.picture} x {self.scale:g}, {where}{at}"

    def share(self, variant: str) -> float:
        """Return the share of changed labels, 0..1."""
        return self.changed[variant] / self.pixels


def parts_of(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the upper left pixels of crops that cover a picture; the last ones end at its edge.

    No crops are made if one would be the whole picture.
    """
    if size >= height and size >= width:
        return
    yield from product(_starts(height, size), _starts(width, size))


def _starts(length: int, size: int) -> list[int]:
    last = max(0, length - size)
    return [*range(0, last, size), last]


def measure_clear(pictures: dict[str, RealScene], profile: Profile) -> list[ClearResult]:
    """Label all clear pictures by every variant, at all scales, whole and in crops."""
    results = []
    for name, scale in track(list(product(CLEAR_PICTURES, SCALES)), "Clear pictures and crops"):
        scene = scaled(clear_part(pictures[name]), scale)
        height, width = scene.valid.shape
        results.append(measure_part(scene, scale, WHOLE, 0, 0, profile))
        for size in CROPS:
            for row, column in parts_of(height, width, size):
                part = cropped(scene, row, column, size)
                if part.counted.mean() >= _LEAST_COUNTED:
                    results.append(measure_part(part, scale, size, row, column, profile))
    return results


def measure_part(
    part: RealScene, scale: float, size: int, row: int, column: int, profile: Profile
) -> ClearResult:
    """Count the labels that each filter changes in a picture or a crop."""
    base = codes_of(part, BASE, profile)
    changed = {
        variant: int(np.sum((codes_of(part, variant, profile) != base)[part.counted]))
        for variant in variants_of(part)[1:]
    }
    return ClearResult(part.name, scale, size, row, column, int(part.counted.sum()), changed)


def changed_share(results: Sequence[ClearResult], variant: str) -> float:
    """Share of changed labels over all pixels of some parts; NaN without any."""
    pixels = sum(r.pixels for r in results)
    return sum(r.changed[variant] for r in results) / pixels if pixels else np.nan


def most_changed(results: Sequence[ClearResult], variant: str) -> ClearResult | None:
    """Return the part with the greatest share of changed labels; None without any change."""
    worst = max(results, key=lambda r: r.share(variant), default=None)
    return worst if worst is not None and worst.changed[variant] else None


def write_clear(
    results: Sequence[ClearResult],
    pictures: dict[str, RealScene],
    profile: Profile,
    report: Report,
) -> list[Path]:
    """Print the tables, write them, and draw each picture and its worst crop."""
    files = {"real_clear": clear_table(results), "real_clear_each": each_table(results)}
    about = (
        "Clear real pictures: labels that a filter changes, in % of the labels by thresholds. It"
        " should change none. Shares are over all pixels of a row; the worst crop stands beside"
        f" it in brackets. Crops with less than {percent(_LEAST_COUNTED, 0)} % of sea with data are"
        f" left out, and so are crops as large as the picture. {CLEAR_AREA} Land isn't counted, but"
        " methods see it."
    )
    shown = [overview_table(results), files["real_clear"]]
    report.write("real_clear", "Clear pictures, whole and in crops", about, files, shown)
    drawn = [_draw_whole(pictures[name], profile, report.folder) for name in CLEAR_PICTURES]
    return drawn + _draw_crops(results, pictures, profile, report.folder)


def overview_table(results: Sequence[ClearResult]) -> Table:
    """Share of changed labels by each filter, over whole pictures and over crops."""
    rows = []
    for variant in VARIANTS:
        for name, whole in (("whole pictures", True), ("crops", False)):
            chosen = [r for r in results if (r.size == WHOLE) == whole and variant in r.changed]
            worst = most_changed(chosen, variant)
            cells = percent(changed_share(chosen, variant), 3), _share_of(worst, variant)
            rows.append((variant, name, str(len(chosen)), *cells, worst.place if worst else ""))
    columns = ("method", "parts", "number", "changed", "worst", "which")
    return Table("Clear pictures: labels changed, %", columns, tuple(rows))


def clear_table(results: Sequence[ClearResult]) -> Table:
    """Share of changed labels by picture, scale and filter: a column per size of crops."""
    rows = []
    for name, scale, variant in product(CLEAR_PICTURES, SCALES, VARIANTS):
        of_picture = [r for r in results if (r.picture, r.scale) == (name, scale)]
        of_picture = [r for r in of_picture if variant in r.changed]
        if not of_picture:
            continue
        cells = []
        for size in (WHOLE, *CROPS):
            chosen = [r for r in of_picture if r.size == size]
            share = percent(changed_share(chosen, variant), 3)
            worst = (
                "" if size == WHOLE else f" ({_share_of(most_changed(chosen, variant), variant)})"
            )
            cells.append(share + worst if chosen else "")
        crop = most_changed([r for r in of_picture if r.size != WHOLE], variant)
        rows.append((name, f"{scale:g}", variant, *cells, crop.place if crop else ""))
    columns = ("picture", "scale", "method", "whole", *(f"{n} px" for n in CROPS), "worst crop")
    return Table("By picture and scale: labels changed, %", columns, tuple(rows))


def each_table(results: Sequence[ClearResult]) -> Table:
    """Share of changed labels in every part, one number per cell."""
    rows = []
    for r in results:
        place = (r.picture, f"{r.scale:g}", str(r.size or "whole"), str(r.row), str(r.column))
        shares = (percent(r.share(v), 4) if v in r.changed else "" for v in VARIANTS)
        rows.append((*place, str(r.pixels), *shares))
    columns = ("picture", "scale", "size", "row", "column", "pixels", *VARIANTS)
    return Table("Labels changed, %", columns, tuple(rows))


def _share_of(result: ClearResult | None, variant: str) -> str:
    return percent(0.0 if result is None else result.share(variant), 3)


def _draw_whole(picture: RealScene, profile: Profile, folder: Path) -> Path:
    """Draw a picture and what each filter changes, at scale 1: `clear_<picture>.png`."""
    path = folder / f"clear_{picture.name}.png"
    _draw(scaled(clear_part(picture), 1), picture.heading, profile, path)
    return path


def _draw_crops(
    results: Sequence[ClearResult],
    pictures: dict[str, RealScene],
    profile: Profile,
    folder: Path,
) -> list[Path]:
    """Draw the crop in which the illumination filter changes most, and the same with bands.

    The files are `clear_crop.png` and `clear_crop_bands.png`; none where nothing changes.
    """
    drawn = []
    for variant, name in ((ILLUMINATION, "clear_crop"), (WITH_BANDS, "clear_crop_bands")):
        crops = [r for r in results if r.size != WHOLE and variant in r.changed]
        worst = most_changed(crops, variant)
        if worst is None:
            continue
        whole = scaled(clear_part(pictures[worst.picture]), worst.scale)
        crop = cropped(whole, worst.row, worst.column, worst.size)
        path = folder / f"{name}.png"
        _draw(crop, f"Most changed by {variant}: {worst.place}", profile, path)
        drawn.append(path)
    return drawn


def _draw(scene: RealScene, heading: str, profile: Profile, path: Path) -> None:
    """Draw a picture, its labels by thresholds, and where each filter changes them."""
    base = codes_of(scene, BASE, profile)
    labels = np.where(scene.counted, base, np.uint8(SEA_ICE.nodata))
    panels = [("Picture", scene.rgb), (f"Labels: {BASE}", labels)]
    for variant in variants_of(scene)[1:]:
        codes = codes_of(scene, variant, profile)
        changed = (codes != base)[scene.counted]
        share = percent(float(np.mean(changed)) if len(changed) else np.nan)
        panels.append((f"{variant}: {share} % changed", _marked(codes, base, scene)))
    step = step_for(len(panels), scene.valid.size, _MOST_PIXELS)
    columns = columns_for(len(panels), *scene.valid.shape)
    draw_thinned(
        path, panels, f"{heading}\norange: another label than by thresholds", step, columns
    )


def _marked(codes: Codes, base: Codes, scene: RealScene) -> Image:
    """Paint changed labels orange, equal ones grey, and all that isn't counted black."""
    colors = np.array([_SAME, _CHANGED], np.uint8)
    painted = colors[(codes != base).astype(np.intp)]
    return np.where(scene.counted[..., None], painted, np.uint8(0))
