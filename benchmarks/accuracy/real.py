"""Maps of a real scene under thin cloud: MODIS, the same sea on two days.

The first day is clear and the second cloudy. Ice drifts in a day, so single pixels can't be
compared. But the shares of the classes over the same area of sea should be similar.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.labels import Labelled, label_and_filter
from benchmarks.accuracy.models import BenchModel, Workplace
from benchmarks.accuracy.scoring import model_labels
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report
from benchmarks.labels.methods import METHODS, title
from benchmarks.labels.real.days import day_table, sea_areas
from benchmarks.labels.real.labelling import BRIGHT, DARK, RealResult, brightness_profile
from benchmarks.labels.real.pictures import CLEAR, CLOUD, RealScene, read_picture
from benchmarks.labels.scenes import BenchScene
from inference.predict.predict import open_model
from polynya.recipe.classes import SEA_ICE

_MOST_PIXELS = 600_000
"""Most pixels in all panels of a picture together."""


def map_real(data: Path, models: Sequence[BenchModel], place: Workplace, report: Report) -> None:
    """Map both days by filters and trained models: a table, `real.md`, and `real_<scene>.png`.

    The folder holds `modis_sea_ice/`, as for `python -m benchmarks.labels real`.
    """
    clear, cloud = (_map_day(read_picture(data, name), models, place) for name in (CLEAR, CLOUD))
    areas = sea_areas(clear, cloud)
    tables = [day_table(clear, cloud, about, area) for about, area in areas.items()]
    about = (
        "Real scenes without truth: the same sea on a clear and a cloudy day, without land. Its ice"
        " drifted, so compare the shares of classes and not single pixels."
    )
    report.write("real", "Maps of real scenes", about, {}, tables)
    for day in (clear, cloud):
        _draw_day(day, report.folder / f"real_{day.scene.name}.png")


def _map_day(scene: RealScene, models: Sequence[BenchModel], place: Workplace) -> RealResult:
    profile = brightness_profile(DARK, BRIGHT)
    labelled = {
        title(method): label_and_filter(
            scene.rgb, method=method, profile=profile, valid=scene.valid, with_filtered=False
        )
        for method in METHODS
    }
    unknown = np.full(scene.valid.shape, SEA_ICE.nodata, np.uint8)
    for model in models:
        label = model_labels(open_model(place.model(model)))
        codes = label(BenchScene(scene.rgb, unknown, scene.valid))
        labelled[model.name] = Labelled(codes, None, None)
    return RealResult(scene, labelled)


def _draw_day(day: RealResult, path: Path) -> None:
    """Draw a scene and its labels, without land."""

    def shown(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.where(day.scene.counted, codes, np.uint8(SEA_ICE.nodata))

    panels = [("Scene", day.scene.rgb)]
    panels += [(name, shown(labelled.label)) for name, labelled in day.labelled.items()]
    step = step_for(len(panels), day.scene.valid.size, _MOST_PIXELS)
    title = f"MODIS, north-east Greenland: {day.scene.name}"
    draw_thinned(path, panels, title, step, columns=3)
