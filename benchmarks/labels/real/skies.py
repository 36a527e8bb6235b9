"""Judge: clear real pictures under simulated skies.

The truth is what thresholds say of the clear picture. Thresholds of the picture under a sky lose a
part of it, and a filter should win that part back. The image model is the one of
`data_samples.sky`: I = R g (1 - h) + W h, for colours and infrared bands alike. Cloud is dimmer in
band 7 than in colours, so its W is smaller there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from autolabel.thresholds.profiles import Profile
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report, percent
from benchmarks.labels.methods import ILLUMINATION, PUBLISHED, WITH_BANDS
from benchmarks.labels.real.labelling import BASE, codes_of, columns_for, variants_of
from benchmarks.labels.real.pictures import (
    CLEAR_AREA,
    UNDER_SKIES,
    Image,
    Mask,
    RealScene,
    clear_part,
    scaled,
)
from data_samples import SkyOptions
from data_samples.sky import Sky, make_sky, towards_sun
from polynya.progress import track
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

KINDS = ("shadow", "cloud", "both")
SCALES = (0.5, 1.0, 2.0)
"""Factors of height and width."""
SEEDS = (1, 2, 3)

VARIANTS = (BASE, PUBLISHED, ILLUMINATION, WITH_BANDS)
"""Columns of the tables; `WITH_BANDS` is empty for pictures without bands."""

_USUAL_SIZE = 1024
"""Size in pixels of the scenes for which the defaults of `SkyOptions` are made."""
_CLOUD_BAND_7 = (0.45, 0.85)
"""Least and greatest brightness of cloud in band 7, relative to colours. By reflectance, cloud of
water has about 0.45. The stretch for viewing lifts dim pixels more than bright ones: overcast parts
of the Terra and Aqua pictures have 0.75 to 0.85 in 8 bits. Each sky draws its own value."""
_MOST_PIXELS = 520_000
"""Most pixels in all panels of a picture together."""


@dataclass(frozen=True)
class SkyCase:
    """A clear picture at a scale, and the sky over it."""

    picture: str
    scale: float
    kind: str
    """One of `KINDS`."""
    seed: int


@dataclass(frozen=True)
class SkyResult:
    """Labels under one sky, compared with the truth."""

    case: SkyCase
    pixels: int
    """Number of counted pixels."""
    right: dict[str, float]
    """Share of the counted pixels with the true label, 0..1, by variant."""

    def below_better(self, variant: str) -> float:
        """Return how far a variant is below the better of thresholds and published, 0..1."""
        return max(self.right[BASE], self.right[PUBLISHED]) - self.right[variant]


def list_cases() -> list[SkyCase]:
    """List all pictures, scales, kinds of sky and seeds."""
    return [SkyCase(*parts) for parts in product(UNDER_SKIES, SCALES, KINDS, SEEDS)]


def sky_over(shape: tuple[int, int], case: SkyCase) -> Sky:
    """Draw the sky of a case; its structures and shadows are as large relative to the picture.

    Args:
        shape: (H, W) of the scaled picture, in pixels.
        case: All kinds of one seed have the same cloud.
    """
    size = float(np.sqrt(shape[0] * shape[1])) / _USUAL_SIZE
    usual = SkyOptions()
    options = replace(
        usual,
        scale=(size * usual.scale[0], size * usual.scale[1]),
        height=(size * usual.height[0], size * usual.height[1]),
    )
    return make_sky(shape, _stream(case), case.kind, options)


def under_sky(clear: RealScene, sky: Sky, cloud_band7: float) -> RealScene:
    """Put a sky over a clear picture; nodata stays black.

    Args:
        clear: The picture, (H, W).
        sky: Its sky, with fields (H, W).
        cloud_band7: Brightness of cloud in band 7, relative to that in colours. In near infrared
            and red, cloud is as bright as in colours.
    """

    def seen(pixels: Image, cloud: Sequence[float]) -> Image:
        gain, haze = sky.gain[..., None], sky.haze[..., None]
        value = pixels * gain * (1.0 - haze) + np.array(cloud, np.float32) * haze
        rounded = np.clip(np.rint(value), 0, 255)
        return np.where(clear.valid[..., None], rounded, 0).astype(np.uint8)

    white = sky.cloud_brightness
    bands = None
    if clear.bands is not None:
        bands = seen(clear.bands, (cloud_band7 * white, white, white))
    sun = towards_sun(sky.sun_azimuth)
    return replace(clear, rgb=seen(clear.rgb, (white,) * 3), bands=bands, sun=sun)


def measure_skies(pictures: dict[str, RealScene], profile: Profile) -> list[SkyResult]:
    """Label all pictures under all skies by every variant."""
    clear = {name: clear_part(pictures[name]) for name in UNDER_SKIES}
    return [
        measure_case(clear[case.picture], case, profile)
        for case in track(list_cases(), "Real pictures under simulated skies")
    ]


def measure_case(clear: RealScene, case: SkyCase, profile: Profile) -> SkyResult:
    """Label a clear picture under one sky by every variant; `clear` has its own size."""
    ground, seen = scenes_of(clear, case)
    truth = codes_of(ground, BASE, profile)[ground.counted]
    right = {}
    for variant in variants_of(seen):
        codes = codes_of(seen, variant, profile)[ground.counted]
        right[variant] = float(np.mean(codes == truth)) if len(truth) else np.nan
    return SkyResult(case, len(truth), right)


def won_back(results: Sequence[SkyResult], variant: str) -> float:
    """Share of what thresholds lose that a variant wins back; NaN if they lose nothing.

    Less than 0 means that the variant loses more than thresholds do.
    """
    base, other = (np.mean([r.right[v] for r in results]) for v in (BASE, variant))
    return float((other - base) / (1.0 - base)) if base < 1.0 else np.nan


def write_skies(
    results: Sequence[SkyResult],
    pictures: dict[str, RealScene],
    profile: Profile,
    report: Report,
) -> list[Path]:
    """Print the overview, write all tables, and draw the sky that is worst for each picture."""
    files = {"real_skies": sky_table(results), "real_skies_each": each_table(results)}
    about = (
        "Clear real pictures under simulated skies, pixels right in %. The truth is what thresholds"
        " say of the clear picture. A mean is over skies; the worst sky stands beside it in"
        ' brackets. "Won back" is the share of what thresholds lose. "Below" is the most by which a'
        " filter is below the better of thresholds and published under one sky, in points (below 0:"
        f" it is above under every sky). {CLEAR_AREA} In band 7, cloud has"
        f" {_CLOUD_BAND_7[0]:g} to {_CLOUD_BAND_7[1]:g} of its brightness, and shadow darkens all"
        f" bands. {len(SEEDS)} seeds for each kind of sky. Structures of the sky have the same size"
        " relative to the picture at all scales. Land isn't counted, but methods see it."
    )
    shown = [overview_table(results), files["real_skies"]]
    report.write("real_skies", "Real pictures under simulated skies", about, files, shown)
    return [_draw_worst(results, pictures[name], profile, report.folder) for name in UNDER_SKIES]


def overview_table(results: Sequence[SkyResult]) -> Table:
    """Pixels right by picture over all scales and skies."""
    rows = []
    for name in (*UNDER_SKIES, "all", "all with bands"):
        chosen = [
            r
            for r in results
            if r.case.picture == name
            or name == "all"
            or (name == "all with bands" and WITH_BANDS in r.right)
        ]
        rows.append((name, str(len(chosen)), *_cells(chosen)))
    heading = "Clear real pictures under simulated skies: pixels right, %"
    return Table(heading, ("picture", "skies", *_COLUMNS), tuple(rows))


def sky_table(results: Sequence[SkyResult]) -> Table:
    """Pixels right by picture, scale and kind of sky."""
    rows = []
    for name, scale, kind in product(UNDER_SKIES, SCALES, KINDS):
        place = name, scale, kind
        chosen = [r for r in results if (r.case.picture, r.case.scale, r.case.kind) == place]
        rows.append((name, f"{scale:g}", kind, *_cells(chosen)))
    heading = "By picture, scale and kind of sky: pixels right, %"
    return Table(heading, ("picture", "scale", "sky", *_COLUMNS), tuple(rows))


def each_table(results: Sequence[SkyResult]) -> Table:
    """Pixels right under each sky, one number per cell."""
    rows = []
    for r in results:
        place = (r.case.picture, f"{r.case.scale:g}", r.case.kind, str(r.case.seed), str(r.pixels))
        rows.append((*place, *(percent(r.right.get(v, np.nan), 4) for v in VARIANTS)))
    columns = ("picture", "scale", "sky", "seed", "pixels", *VARIANTS)
    return Table("Pixels right under each sky, %", columns, tuple(rows))


_JUDGED = (ILLUMINATION, WITH_BANDS)
_COLUMNS = (
    *VARIANTS,
    *(f"won back: {variant}" for variant in VARIANTS[1:]),
    *(f"below: {variant}" for variant in _JUDGED),
)


def _cells(results: Sequence[SkyResult]) -> list[str]:
    """Write the cells of `_COLUMNS`; empty for a variant that not all results have."""
    has = {variant: all(variant in r.right for r in results) for variant in VARIANTS}
    cells = []
    for variant in VARIANTS:
        right = [r.right[variant] for r in results] if has[variant] else []
        cells.append(f"{percent(float(np.mean(right)))} ({percent(min(right))})" if right else "")
    for variant in VARIANTS[1:]:
        cells.append(percent(won_back(results, variant), 1) if has[variant] else "")
    for variant in _JUDGED:
        below = [r.below_better(variant) for r in results] if has[variant] else []
        cells.append(percent(max(below)) if below else "")
    return cells


def scenes_of(clear: RealScene, case: SkyCase) -> tuple[RealScene, RealScene]:
    """Return the scaled clear picture, and the same under its sky."""
    ground = scaled(clear, case.scale)
    height, width = ground.valid.shape
    sky = sky_over((height, width), case)
    cloud_band7 = float(_stream(case, 7).uniform(*_CLOUD_BAND_7))
    return ground, under_sky(ground, sky, cloud_band7)


def _stream(case: SkyCase, *more: int) -> np.random.Generator:
    """Random numbers of a picture and a seed, the same for all kinds of sky and all scales."""
    return np.random.default_rng([case.seed, *case.picture.encode(), *more])


def _draw_worst(
    results: Sequence[SkyResult], picture: RealScene, profile: Profile, folder: Path
) -> Path:
    """Draw the sky at scale 1 that is worst for the illumination filter: `skies_<picture>.png`."""
    of_picture = [r for r in results if r.case.picture == picture.name and r.case.scale == 1]
    worst = max(of_picture, key=lambda r: r.below_better(ILLUMINATION))
    clear, seen = scenes_of(clear_part(picture), worst.case)

    def shown(scene: RealScene, variant: str) -> Image:
        return _counted(codes_of(scene, variant, profile), scene.counted)

    panels = [("Clear picture", clear.rgb), ("Truth", shown(clear, BASE))]
    panels += [(f"Under a sky: {worst.case.kind}", seen.rgb)]
    panels += [
        (f"{variant}: {percent(worst.right[variant], 1)} % right", shown(seen, variant))
        for variant in variants_of(seen)
    ]
    path = folder / f"skies_{picture.name}.png"
    step = step_for(len(panels), clear.valid.size, _MOST_PIXELS)
    columns = columns_for(len(panels), *clear.valid.shape)
    draw_thinned(path, panels, picture.heading, step, columns)
    return path


def _counted(codes: Image, counted: Mask) -> Image:
    return np.where(counted, codes, np.uint8(SEA_ICE.nodata))
