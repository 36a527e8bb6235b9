"""Judge: shares of classes on two days, and what the filters do to a clear Sentinel-2 scene.

One Sentinel-2 scene under a clear sky shows the harm of a filter. Two MODIS scenes of one place on
two days, the first clear and the second under cloud, show the benefit. Ice drifts in a day, so
single pixels can't be compared. But the shares of the classes over the same area of sea should be
similar.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.labels import Labelled
from autolabel.thresholds.profiles import Profile
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report
from benchmarks.labels.methods import ILLUMINATION, PUBLISHED
from benchmarks.labels.real.labelling import (
    BASE,
    WITH_CLOUD_LAYER,
    RealResult,
    label_real,
    share_cells,
)
from benchmarks.labels.real.pictures import CLEAR, CLOUD, DAYS, GREENLAND, Mask, RealScene
from polynya.progress import track
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.label import LabelOptions
from polynya.report.tables import Table

_MOST_HAZE = LabelOptions().most_haze

_BRIGHTEST_FIELD = 0.6
"""Value of shadow or haze that is white in the pictures."""
_MOST_PIXELS = 520_000
"""Most pixels in all panels of a picture together; the file then stays well below 400 kB."""
_CHANGED = "changed: another label than by thresholds"


def measure_days(pictures: dict[str, RealScene], profile: Profile) -> list[RealResult]:
    """Label the Sentinel-2 scene and both days by every variant."""
    names = (GREENLAND, *DAYS)
    return [label_real(pictures[name], profile) for name in track(names, "Two days")]


def write_days(results: Sequence[RealResult], report: Report) -> list[Path]:
    """Print the tables, write them to `real.md` and CSV files, and draw every scene."""
    by_name = {result.scene.name: result for result in results}
    days = by_name[CLEAR], by_name[CLOUD]
    areas = sea_areas(*days)
    sea = [day_table(*days, about, area) for about, area in areas.items()]
    tables = [*sea, land_ice_table(by_name[GREENLAND]), found_table(results)]
    files = {"real_shares": share_rows(results, areas), "real_found": found_table(results)}
    about = (
        "Real scenes without truth. The two days show the same sea, without land. Its ice drifted"
        " between the days, so compare the shares of classes and not single pixels. A cell has the"
        ' shares on the clear and on the cloudy day and their difference in points. "Apart" is half'
        " the sum of the absolute differences: at least this part of the sea changed its label."
        ' "Overcast" is the highest step of a cloud layer of 5 km pixels. Its colours suggest cloud'
        " fraction; the layer says nothing about the thickness of the cloud."
    )
    report.write("real", "Labels of real scenes", about, files, tables)
    return [draw_real(result, report.folder) for result in results]


def sea_areas(clear: RealResult, cloud: RealResult) -> dict[str, Mask]:
    """Return the areas of sea over which both days are compared, by their description."""
    sea = clear.scene.counted & cloud.scene.counted
    areas = {"open ocean": sea}
    if clear.scene.overcast is not None and cloud.scene.overcast is not None:
        areas["not overcast on either day"] = sea & ~clear.scene.overcast & ~cloud.scene.overcast
    return areas


def day_table(clear: RealResult, cloud: RealResult, about: str, area: Mask) -> Table:
    """Shares of classes on both days: one row per variant, one column per class."""
    rows = []
    for variant in clear.labelled:
        cells = share_cells(clear.shares(variant, area), cloud.shares(variant, area))
        rows.append((variant, *cells))
    heading = f"MODIS, {about} ({int(area.sum()):,} pixels): % clear / cloudy day (points)"
    return Table(heading, ("method", *SEA_ICE.names, "apart"), tuple(rows))


def land_ice_table(greenland: RealResult) -> Table:
    """Shares of classes on the Sentinel-2 scene, and how many pixels changed their label."""
    scene = greenland.scene
    rows = []
    for variant in greenland.labelled:
        shares = 100 * greenland.shares(variant, scene.counted)
        changed = 100 * _changed(greenland, variant)
        rows.append((variant, *(f"{share:.1f}" for share in shares), f"{changed:.1f}"))
    heading = f"Sentinel-2, Greenland ({int(scene.counted.sum()):,} pixels), %; {_CHANGED}"
    return Table(heading, ("method", *SEA_ICE.names, "changed"), tuple(rows))


def found_table(results: Sequence[RealResult]) -> Table:
    """Cloud, shadow and changed labels of each scene, in percent; `published` finds no cloud."""
    rows = []
    for result in results:
        area = result.scene.counted
        for variant, labelled in result.labelled.items():
            if variant == BASE or not area.any():
                continue
            cells, sky = [""] * 4, labelled.sky
            if sky is not None:
                veiled, shadow, haze = sky.veiled(), sky.gain() < 1.0, sky.haze() > 0.0
                masks = (veiled, shadow, haze, sky.hidden(_MOST_HAZE))
                cells = [f"{100 * mask[area].mean():.1f}" for mask in masks]
            changed = f"{100 * _changed(result, variant):.1f}"
            rows.append((result.scene.name, variant, *cells, changed))
    heading = f"What filters found, % of the pixels, land left out; {_CHANGED}"
    columns = ("scene", "method", "veiled", "in shadow", "in haze", "thick cloud", "changed")
    return Table(heading, columns, tuple(rows))


def share_rows(results: Sequence[RealResult], sea: dict[str, Mask]) -> Table:
    """Shares of classes by scene, area and variant, one number per cell."""
    rows = []
    for result in results:
        areas = {"all": result.scene.counted} if result.scene.name == GREENLAND else sea
        for about, area in areas.items():
            for variant in result.labelled:
                shares = (f"{100 * share:.3f}" for share in result.shares(variant, area))
                place = (result.scene.name, about, str(int(area.sum())), variant)
                rows.append((*place, *shares))
    columns = ("scene", "area", "pixels", "method", *SEA_ICE.names)
    return Table("Shares of classes, %", columns, tuple(rows))


def draw_real(result: RealResult, folder: Path) -> Path:
    """Draw a scene, the filtered images, all labels, and the light: `labels_<scene>.png`."""
    scene, labelled = result.scene, result.labelled
    sky = labelled[ILLUMINATION].sky
    assert sky is not None  # This method looks for it.

    def codes(variant: str) -> NDArray[np.uint8]:
        return np.where(scene.counted, labelled[variant].label, np.uint8(SEA_ICE.nodata))

    pairs = [
        (("Scene", scene.rgb), ("Labels: thresholds", codes(BASE))),
        *(
            ((f"Image: {method}", _image(labelled[method])), (f"Labels: {method}", codes(method)))
            for method in (PUBLISHED, ILLUMINATION)
        ),
        (
            (f"Shadow 1 - g (white: {_BRIGHTEST_FIELD})", _grey(1.0 - sky.gain())),
            (f"Haze h (white: {_BRIGHTEST_FIELD})", _grey(sky.haze())),
        ),
    ]
    if scene.overcast is not None:
        pairs.append(
            (
                ("Overcast by the cloud layer", _grey(scene.overcast.astype(np.float32))),
                (f"Labels: {WITH_CLOUD_LAYER}", codes(WITH_CLOUD_LAYER)),
            )
        )
    height, width = scene.valid.shape
    # Panels of wide scenes lie below each other, other panels side by side; pairs stay together.
    wide = width > 1.5 * height
    panels = [panel for pair in (pairs if wide else zip(*pairs, strict=True)) for panel in pair]
    path = folder / f"labels_{scene.name}.png"
    step = step_for(len(panels), height * width, _MOST_PIXELS)
    columns = 2 if wide else len(pairs)
    draw_thinned(path, panels, scene.heading, step, columns)
    return path


def _image(labelled: Labelled) -> NDArray[np.uint8]:
    assert labelled.filtered is not None  # It was asked for.
    return labelled.filtered


def _changed(result: RealResult, variant: str) -> float:
    """Share of the counted pixels with a different label than by thresholds alone."""
    area = result.scene.counted
    before = result.labelled[BASE].label[area]
    return float(np.mean(result.labelled[variant].label[area] != before)) if len(before) else 0.0


def _grey(field: NDArray[np.float32]) -> NDArray[np.uint8]:
    level = np.clip(255.0 * field / _BRIGHTEST_FIELD, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)
