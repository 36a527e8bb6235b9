"""Effects of the methods on real scenes with unknown truth: shares of classes, and pictures.

One Sentinel-2 scene under a clear sky shows the harm of a filter. Two MODIS scenes of one place on
two days, the first clear and the second under cloud, show the benefit. Ice drifts in a day, so
single pixels can't be compared. But the shares of the classes over the same area of sea should be
similar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autolabel.labels import Labelled, Method, label_and_filter
from autolabel.thresholds.profiles import ColorRange, Profile
from benchmarks.common.pictures import draw_thinned, step_for
from benchmarks.common.report import Report
from benchmarks.labels.methods import METHODS, PUBLISHED, THRESHOLDS, title
from polynya.errors import PolynyaError, SceneError
from polynya.rasters.opening import opened_raster
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.label import LabelOptions
from polynya.report.tables import Table
from polynya.scenes.reading import open_scene, read_scene
from polynya.scenes.scene import SceneLayers

Mask = NDArray[np.bool_]

GREENLAND, CLEAR, CLOUD = "greenland", "modis_clear", "modis_cloud"
"""Names of the scenes."""

WITH_CLOUD_LAYER = "illumination, cloud layer"
"""The illumination filter with the product's cloud layer as `SceneLayers.opaque_cloud`."""

_GREENLAND_FILE = "s2_greenland/derived_truecolor_rgb.tif"
_MODIS_FILE = "modis_sea_ice/ne-greenland.{day}.terra.250m.{kind}.tiff"
_DAYS = {CLEAR: "20220913", CLOUD: "20220914"}
_HEADINGS = {
    GREENLAND: "Sentinel-2, Greenland ice sheet with melt lakes, clear sky",
    CLEAR: "MODIS, north-east Greenland, 13 September 2022, clear sky",
    CLOUD: "MODIS, north-east Greenland, 14 September 2022, thin and thick cloud",
}
_ILLUMINATION: Method = "illumination"
_MOST_HAZE = LabelOptions().most_haze

DARK, BRIGHT = 30, 205
"""Greatest brightness V of open water and least brightness of thick ice, from the paper."""

_BRIGHTEST_FIELD = 0.6
"""Value of shadow or haze that is white in the pictures."""
_MOST_PIXELS = 520_000
"""Most pixels in all panels of a picture together; the file then stays well below 400 kB."""
_CHANGED = "changed: another label than by thresholds"


@dataclass(frozen=True)
class RealScene:
    """An image, and the pixels whose labels are counted."""

    name: str
    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    valid: Mask
    """(H, W), True where there is data."""
    counted: Mask
    """(H, W), True where there is data and no land."""
    overcast: Mask | None
    """(H, W), True where the product's cloud layer shows full cloud; None without this layer."""


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


def measure_real(data: Path, dark: int = DARK, bright: int = BRIGHT) -> list[RealResult]:
    """Label all real scenes by every method; for `dark` and `bright` see `brightness_profile`."""
    profile = brightness_profile(dark, bright)
    if not data.is_dir():
        raise PolynyaError(
            f"there is no folder {data} for --data: name a folder with the images, s2_greenland and"
            " modis_sea_ice"
        )
    scenes = [_read_greenland(data), *(read_modis(data, name) for name in _DAYS)]
    return [label_real(scene, profile) for scene in scenes]


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
    """Label one scene by every method, and with its cloud layer as evidence if it has one."""

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
        labelled[WITH_CLOUD_LAYER] = label(_ILLUMINATION, layers)
    return RealResult(scene, labelled)


def write_real(results: Sequence[RealResult], report: Report) -> list[Path]:
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
        before, after = 100 * clear.shares(variant, area), 100 * cloud.shares(variant, area)
        cells = (f"{x:.1f} / {y:.1f} ({y - x:+.1f})" for x, y in zip(before, after, strict=True))
        rows.append((variant, *cells, f"{np.abs(after - before).sum() / 2:.1f}"))
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
            if variant == title(THRESHOLDS) or not area.any():
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
    sky = labelled[_ILLUMINATION].sky
    assert sky is not None  # This method looks for it.

    def codes(variant: str) -> NDArray[np.uint8]:
        return np.where(scene.counted, labelled[variant].label, np.uint8(SEA_ICE.nodata))

    pairs = [
        (("Scene", scene.rgb), ("Labels: thresholds", codes(title(THRESHOLDS)))),
        *(
            ((f"Image: {method}", _image(labelled[method])), (f"Labels: {method}", codes(method)))
            for method in (PUBLISHED, _ILLUMINATION)
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
    draw_thinned(path, panels, _HEADINGS[scene.name], step, columns)
    return path


def _image(labelled: Labelled) -> NDArray[np.uint8]:
    assert labelled.filtered is not None  # It was asked for.
    return labelled.filtered


def _changed(result: RealResult, variant: str) -> float:
    """Share of the counted pixels with a different label than by thresholds alone."""
    area = result.scene.counted
    before = result.labelled[title(THRESHOLDS)].label[area]
    return float(np.mean(result.labelled[variant].label[area] != before)) if len(before) else 0.0


def _grey(field: NDArray[np.float32]) -> NDArray[np.uint8]:
    level = np.clip(255.0 * field / _BRIGHTEST_FIELD, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def _read_greenland(data: Path) -> RealScene:
    rgb, valid = _read_image(data / _GREENLAND_FILE)
    return RealScene(GREENLAND, rgb, valid, valid, None)


def read_modis(data: Path, name: str) -> RealScene:
    """Read one of the two days: `name` is `CLEAR` or `CLOUD`; PolynyaError if a file is missing."""
    paths = {
        kind: data / _MODIS_FILE.format(day=_DAYS[name], kind=kind)
        for kind in ("truecolor", "landmask", "cloud")
    }
    rgb, valid = _read_image(paths["truecolor"])
    # Land is opaque, sea transparent, the coast in between.
    land = _read_bands(paths["landmask"], valid.shape)[..., 3] > 0
    return RealScene(
        name, rgb, valid, valid & ~land, is_overcast(_read_bands(paths["cloud"], valid.shape))
    )


def is_overcast(painted: NDArray[np.uint8]) -> Mask:
    """Find where a painted cloud layer has the colour of its highest step.

    The layers have no legend. Their colours and the scenes suggest that they show cloud fraction,
    and that red is the most.

    Args:
        painted: uint8 (H, W, 3 or more), RGB: violet for no cloud, then blue, green, yellow, brown,
            dark red, and pure red for full cloud. Compression changes numbers by some units.
    """
    red, green, blue = (painted[..., band] for band in range(3))
    return np.asarray((red > 230) & (green < 20) & (blue < 20), np.bool_)


def _read_image(path: Path) -> tuple[NDArray[np.uint8], Mask]:
    return read_scene(open_scene(str(_existing(path))))


def _read_bands(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read all four bands of a painted layer, uint8 (H, W, 4)."""
    with opened_raster(str(_existing(path))) as source:
        if source.shape != shape or source.count != 4:
            raise SceneError(
                f"{path} has {source.count} bands of {source.width} x {source.height} pixels, but"
                f" its scene needs RGBA of {shape[1]} x {shape[0]}; use the layer of that scene."
            )
        return np.ascontiguousarray(np.moveaxis(source.read(), 0, -1).astype(np.uint8))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise PolynyaError(f"there is no file {path}; --data must name a folder that has it")
    return path
