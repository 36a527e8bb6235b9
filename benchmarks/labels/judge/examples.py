"""Examples for the judge: patches of light that were found, and what removing them does to labels.

The light is found on generated scenes of development seeds and on clear real pictures, bare and
under generated skies, whole and in crops. There the right labels are known, so each patch has a
benefit: the share of the scene's labels that get right by it, less those that get wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.finding import Ground, find_light, without_cloud
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.sky import clear_brightness, sky_of
from autolabel.filters.illumination.survey import CELL_PIXELS, Strip, survey_scene
from autolabel.thresholds.brightness import brightness
from benchmarks.labels.real.pictures import AQUA, CLEAR_PICTURES, TERRA, clear_part, read_pictures
from benchmarks.labels.real.pictures import scaled as scaled_picture
from benchmarks.labels.real.skies import KINDS, SCALES, SkyCase, scenes_of
from benchmarks.labels.scenes import BenchScene, make_bench_scene
from benchmarks.labels.sets import SETS, SceneSpec, Split, list_scenes
from polynya.recipe.classes import SEA_ICE
from polynya.scenes.scene import SceneLayers

CLEAR = "clear"
"""The sky of scenes without cloud and shadow."""

CROPS = (256, 400, 512)
"""Heights and widths of the crops; of each scene and size one crop, at random."""
REAL_SEEDS = (11, 12, 13)
"""Seeds of the skies over real pictures; the judges of `benchmarks.labels real` have others."""

_LEAST_DATA = 0.1
"""Least share of pixels with data in a crop."""
_MOST_SIZE = 768
"""Generated scenes are at most this high and wide: more of them, rather than larger ones."""

_KEPT_APART = "overcast"
"""Set of no examples: where cloud hides the ground nothing is right, and the judge shall not know
what cloud looks like, so that this set says how it does on what it hasn't seen."""

_SAME_GROUND = 8
"""Sets of the generator "samples" have the same kind of ground, so each gets one site in this many.
"""

_MIXED = ("spectral-scaled", "spectral-stretched", "spectral-jpeg")
"""Sets whose ground is of any structure of the others."""


@dataclass(frozen=True)
class View:
    """A scene or a crop, and the patches of light found there."""

    family: str
    """Generator, kind of ground or picture: what is left out together."""
    sky: str
    """clear, shadow, cloud or both."""
    crop: int
    """Height and width of the crop; 0: the whole scene."""
    infrared: bool
    """Whether the filter saw infrared."""
    numbers: NDArray[np.float64]
    """(N, len(NAMES)), what is known of each patch."""
    benefit: NDArray[np.float64]
    """(N,), labels that get right less those that get wrong, in points of the view's pixels."""
    changed: NDArray[np.float64]
    """(N,), labels that change, in points."""


@dataclass(frozen=True)
class RealCase:
    """A clear real picture at a scale, and the sky over it."""

    data: Path
    picture: str
    scale: float
    kind: str
    """clear, or one of `KINDS`."""
    seed: int

    @property
    def size(self) -> int:
        """Order in which workers start: small ones last."""
        return int(1000 * self.scale)


Spec = SceneSpec | RealCase


def list_examples(data: Path | None, sites: int) -> list[Spec]:
    """List all scenes with examples.

    Args:
        data: Folder with the real pictures; None: generated scenes alone.
        sites: Sites of each kind of ground.
    """
    specs: list[Spec] = []
    for scene_set in SETS.values():
        if scene_set.name == _KEPT_APART:
            continue
        size = min(scene_set.size, _MOST_SIZE)
        own = sites if scene_set.generator != "samples" else max(sites // _SAME_GROUND, 1)
        specs += list_scenes([scene_set], Split.DEV, sites=own, size=size)
    if data is not None:
        for picture, scale, kind in product(CLEAR_PICTURES, SCALES, (CLEAR, *KINDS)):
            specs += [RealCase(data, picture, scale, kind, seed) for seed in REAL_SEEDS]
    return specs


def family_of(spec: Spec) -> str:
    """Return the family of a scene. Terra and Aqua saw the same sea, so they are one."""
    if isinstance(spec, RealCase):
        return "modis_terra_aqua" if spec.picture in (TERRA, AQUA) else spec.picture
    if spec.set_name in _MIXED:
        return "spectral-mixed"
    return spec.set_name if SETS[spec.set_name].generator != "samples" else "samples"


def related(family: str) -> set[str]:
    """Return the families that are left out with a family: all that share its ground."""
    spectral = {f"spectral-{s.structure}" for s in SETS.values() if s.structure is not None}
    if family == "spectral-mixed":
        return {family, *spectral}
    return {family, "spectral-mixed"} if family in spectral else {family}


def find_examples(spec: Spec) -> list[View]:
    """Find the patches of light in a scene and its crops, with infrared and without."""
    scene = _real_scene(spec) if isinstance(spec, RealCase) else make_bench_scene(spec)
    views = []
    for crop, part in _parts(scene, spec.seed):
        variants = [part, replace(part, layers=None)] if part.layers is not None else [part]
        views += [_view(variant, family_of(spec), _sky(spec), crop) for variant in variants]
    return views


def _sky(spec: Spec) -> str:
    return spec.kind if isinstance(spec, RealCase) else spec.sky


def _real_scene(case: RealCase) -> BenchScene:
    (picture,) = read_pictures(case.data, [case.picture]).values()
    clear = clear_part(picture)
    if case.kind == CLEAR:
        ground = seen = scaled_picture(clear, case.scale)
    else:
        sky = SkyCase(case.picture, case.scale, case.kind, case.seed)
        ground, seen = scenes_of(clear, sky)
    truth = Levels().classes(brightness(ground.rgb))
    truth[~ground.counted] = SEA_ICE.nodata
    return BenchScene(seen.rgb, truth, seen.valid, seen.infrared())


def _parts(scene: BenchScene, seed: int) -> Iterator[tuple[int, BenchScene]]:
    """Yield the whole scene and a crop of each size, with the crop's size."""
    yield 0, scene
    rng = np.random.default_rng(seed)
    height, width = scene.valid.shape
    for size in CROPS:
        if min(height, width) <= size:
            continue
        row, column = (int(rng.integers(0, n - size)) for n in (height, width))
        part = np.s_[row : row + size, column : column + size]
        valid = np.ascontiguousarray(scene.valid[part])
        if valid.mean() < _LEAST_DATA:
            continue
        layers = scene.layers
        if layers is not None:
            nir, swir, cirrus = (
                None if layer is None else np.ascontiguousarray(layer[part])
                for layer in (layers.nir, layers.swir, layers.cirrus)
            )
            layers = SceneLayers(
                nir, swir, cirrus, opaque_cloud=None, sun_azimuth=None, sun=layers.sun
            )
        observed = np.ascontiguousarray(scene.observed[part])
        truth = np.ascontiguousarray(scene.truth[part])
        yield size, replace(scene, observed=observed, valid=valid, truth=truth, layers=layers)


def _view(scene: BenchScene, family: str, sky: str, crop: int) -> View:
    levels, value = Levels(), brightness(scene.observed)
    strip = Strip.of(scene.observed, scene.valid, scene.layers, scene.stretch, value)
    shape = (value.shape[0], value.shape[1])
    survey = survey_scene([strip], shape, levels)
    below = without_cloud(Ground.of(survey, levels=levels, stretch=scene.stretch))
    found = find_light(below)
    everything = np.ones(len(found.numbers), np.bool_)
    before, after = (
        levels.classes(clear_brightness(value, scene.valid, sky_of(below, found, kept)))
        for kept in (~everything, everything)
    )
    counted = scene.valid & (scene.truth != SEA_ICE.nodata)
    benefit, changed = _by_patch(
        (
            ((after == scene.truth).astype(np.float32) - (before == scene.truth)) * counted,
            (after != before) * counted.astype(np.float32),
        ),
        found.patches,
        len(everything),
    )
    scale = 100.0 / max(int(counted.sum()), 1)
    infrared = scene.layers is not None
    return View(family, sky, crop, infrared, found.numbers, scale * benefit, scale * changed)


def _by_patch(
    layers: Sequence[NDArray[np.float32]], patches: NDArray[np.int32], count: int
) -> list[NDArray[np.float64]]:
    """Sum layers, (H, W), over each patch and the cells beside it, which it still changes."""
    rows, cols = patches.shape
    sums = []
    for layer in layers:
        padded = np.zeros((rows * CELL_PIXELS, cols * CELL_PIXELS), np.float32)
        padded[: layer.shape[0], : layer.shape[1]] = layer
        cells = padded.reshape(rows, CELL_PIXELS, cols, CELL_PIXELS).sum(axis=(1, 3))
        of_patch = [
            cells[cv2.dilate((patches == patch).astype(np.uint8), np.ones((3, 3))) > 0].sum()
            for patch in range(1, count + 1)
        ]
        sums.append(np.array(of_patch, np.float64))
    return sums
