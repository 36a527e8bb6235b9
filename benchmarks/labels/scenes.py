"""Make the scenes of the benchmark: a generated scene, then blur and noise on the observed image.

Truth is the class map of the sharp, noise-free clear scene. Noise changes the image but not the
truth. Blur mixes classes within a pixel, so the class map of the sharp scene can't be seen any
more, even under a clear sky. The truth of a blurred scene is therefore the result of thresholds on
the clear scene with the same blur. Blur and noise do not depend on the class of a pixel. The truth
of a spectral scene is what thresholds say of its clear scene in the same pixels and stretch. Where
cloud hides the ground of an overcast scene, it is what thresholds say of the cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel import label_image
from benchmarks.labels.sets import SETS, SceneSet, SceneSpec
from data_samples import SKY_KINDS, SampleScene, make_scene
from data_samples.blobs import make_blobs
from data_samples.overcast import make_overcast
from data_samples.spectral import BANDS, COLOURS, SpectralScene, make_spectral
from polynya.scenes.scene import SceneLayers

_NOISE_STREAM = 1001
"""Random stream of the added noise, separate from the generators' streams of the same seed."""

_SENSOR_STREAM = 1002
"""Random stream of pixel size, stretch and compression of spectral scenes."""


@dataclass(frozen=True)
class TrueLight:
    """Cloud and shadow as they were drawn: I = R g (1 - h) + W h, above the black of each band."""

    gain: NDArray[np.float32]
    """(H, W, 3), g."""
    haze: NDArray[np.float32]
    """(H, W, 3), h."""
    cloud: NDArray[np.float64]
    """(3,), W, grey levels."""
    black: NDArray[np.float64]
    """(3,), grey levels of nothing: what the air adds and the stretch takes."""


@dataclass(frozen=True)
class BenchScene:
    """An image for the methods, and its truth."""

    observed: NDArray[np.uint8]
    """(H, W, 3), RGB; 0 in all bands where there is no data, and nowhere else."""
    truth: NDArray[np.uint8]
    """(H, W), class codes of `polynya.recipe.classes.SEA_ICE`, 255 where there is no data."""
    valid: NDArray[np.bool_]
    """(H, W), True where there is data."""
    layers: SceneLayers | None = None
    """Reflectance in the infrared and the sun; None if the generator gives none."""
    stretch: tuple[float, float] = (0.0, 1.0)
    """Reflectances of grey 0 and 255, to compare `layers` with the image."""
    light: TrueLight | None = None
    """The light; None if the generator doesn't tell it, or if the stretch isn't linear."""


def make_bench_scene(spec: SceneSpec) -> BenchScene:
    """Make one scene; the same spec always gives the same pixels."""
    scene_set = SETS[spec.set_name]
    shape = (spec.size, spec.size)
    layers, stretch, light = None, (0.0, 1.0), None
    if scene_set.generator == "blobs":
        observed, truth, valid = make_blobs(spec.seed, shape, spec.sky)
    elif scene_set.generator == "overcast":
        observed, truth, valid = make_overcast(spec.seed, shape, spec.sky)
    elif scene_set.generator == "spectral":
        scene = _make_spectral(scene_set, spec)
        observed, truth, valid = scene.observed, scene.truth, scene.valid
        layers, stretch, light = scene.layers, scene.stretch, _spectral_light(scene)
    else:
        sample = make_scene(
            spec.seed, 0, shape, spec.sky, options=scene_set.sky, texture=scene_set.texture
        )
        observed, truth, valid = sample.observed, sample.truth, sample.valid
        light = _sample_light(sample)
        if scene_set.blur > 0:
            observed = blurred(observed, valid, scene_set.blur)
            clear = blurred(sample.clear, valid, scene_set.blur)
            truth = label_image(clear, method="none", valid=valid)
    if scene_set.noise > 0:
        rng = np.random.default_rng([spec.seed, _NOISE_STREAM, SKY_KINDS.index(spec.sky)])
        observed = noisy(observed, valid, scene_set.noise, rng)
    return BenchScene(observed, truth, valid, layers, stretch, light)


def _sample_light(sample: SampleScene) -> TrueLight:
    gain, haze = (
        np.repeat(field[..., None], 3, axis=2) for field in (sample.sky.gain, sample.sky.haze)
    )
    # Cloud has the colour cast of the scene.
    return TrueLight(gain, haze, sample.sky.cloud_brightness * np.array(sample.cast), np.zeros(3))


def _spectral_light(scene: SpectralScene) -> TrueLight | None:
    if scene.gamma != 1.0:
        return None
    light, (low, high) = scene.light, scene.stretch
    gain = np.stack([light.gain_in(name, scene.gain) for name in COLOURS], axis=-1)
    haze = np.stack([light.haze_in(name, scene.haze) for name in COLOURS], axis=-1)
    index = [BANDS.index(name) for name in COLOURS]
    grey = 255.0 / (high - low)
    return TrueLight(gain, haze, grey * light.cloud[index], grey * (scene.air[index] - low))


def _make_spectral(scene_set: SceneSet, spec: SceneSpec) -> SpectralScene:
    """Make a spectral scene; all skies of a site have the same pixels, stretch and compression."""
    rng = np.random.default_rng([spec.seed, _SENSOR_STREAM])

    def draw(limits: tuple[float, float]) -> float:
        # Half and double are equally likely.
        return float(np.exp(rng.uniform(*np.log(limits))))

    scale, gamma, contrast = map(draw, (scene_set.pixel, scene_set.gamma, scene_set.contrast))
    jpeg = scene_set.jpeg
    return make_spectral(
        spec.seed,
        (spec.size, spec.size),
        spec.sky,
        structure=scene_set.structure,
        scale=scale,
        gamma=gamma,
        contrast=contrast,
        jpeg=None if jpeg is None else int(rng.integers(jpeg[0], jpeg[1] + 1)),
    )


def blurred(rgb: NDArray[np.uint8], valid: NDArray[np.bool_], sigma: float) -> NDArray[np.uint8]:
    """Blur an image by a Gaussian of deviation `sigma` over valid pixels only; 0 is nodata."""
    # Only valid pixels have weight, so that the black beyond the swath darkens nothing.
    masked = np.where(valid[..., None], rgb, 0).astype(np.float32)
    total = cv2.GaussianBlur(masked, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    weight = cv2.GaussianBlur(
        valid.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT
    )
    return _bytes(total / np.where(valid, weight, 1.0)[..., None], valid)


def noisy(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_], sigma: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Add Gaussian noise to each band of each valid pixel; 0 is nodata."""
    grain = np.float32(sigma) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return _bytes(rgb + grain, valid)


def _bytes(rgb: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    result = np.clip(np.rint(rgb), 1, 255).astype(np.uint8)
    result[~valid] = 0
    return result
