"""The spectral generator: same seed same pixels, truth that holds, physics of the infrared."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from typer.testing import CliRunner

from autolabel import label_image
from data_samples import SKY_KINDS, SkyOptions, write_spectral
from data_samples.__main__ import main
from data_samples.spectral import BANDS, STRUCTURES, SpectralScene, make_spectral
from data_samples.spectral.light import CLOUD_KINDS, draw_light
from data_samples.spectral.surfaces import SNOW, STAGES, THIN_SNOW, WATER, draw_spectra
from polynya.cli import one_sentence_errors
from polynya.errors import PolynyaError
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import open_scene, read_scene

app = typer.Typer()
app.command()(one_sentence_errors(main))

SHAPE = (240, 256)
OVERCAST = SkyOptions(coverage=(0.9, 0.9), opacity=(0.5, 0.5))


def right(scene: SpectralScene) -> float:
    """Share of valid pixels whose class by thresholds on the observed image is the true one."""
    codes = label_image(scene.observed, method="none", valid=scene.valid)
    return float(np.mean((codes == scene.truth)[scene.valid]))


def steepest(scene: SpectralScene, percent: float = 99.5) -> float:
    """Step of V between neighbours on the clear image, in grey levels, at a percentile."""
    value = scene.clear.max(axis=2).astype(float)
    both = scene.valid[:, 1:] & scene.valid[:, :-1]
    return float(np.percentile(np.abs(np.diff(value, axis=1))[both], percent))


@cache
def clear_scenes(structure: str, count: int = 4) -> list[SpectralScene]:
    return [make_spectral(60 + i, SHAPE, "clear", structure=structure) for i in range(count)]


def test_the_same_arguments_give_the_same_scene_and_another_seed_another() -> None:
    first, again = (make_spectral(1, (64, 80), "both") for _ in range(2))
    assert np.array_equal(first.observed, again.observed)
    assert np.array_equal(first.truth, again.truth)
    assert all(np.array_equal(first.bands[band], again.bands[band]) for band in BANDS)
    assert not np.array_equal(first.observed, make_spectral(2, (64, 80), "both").observed)
    assert {make_spectral(seed, (4, 4), "clear").structure for seed in range(24)} == {*STRUCTURES}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_sky_changes_neither_ground_nor_truth(structure: str) -> None:
    scenes = [make_spectral(3, (96, 96), sky, structure=structure) for sky in SKY_KINDS]
    for scene in scenes:
        assert np.array_equal(scene.clear, scenes[0].clear)
        assert np.array_equal(scene.truth, scenes[0].truth)
        assert (scene.gain < 1).any() == (scene.sky in ("shadow", "both"))
        assert (scene.haze > 0).any() == (scene.sky in ("cloud", "both"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 57), (57, 1), (2, 3), (101, 130)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 2.7])
def test_any_shape_and_scale_has_pixels_truth_and_bands(
    shape: tuple[int, int], scale: float
) -> None:
    for structure in STRUCTURES:
        scene = make_spectral(5, shape, "both", structure=structure, scale=scale)
        assert scene.observed.shape == scene.clear.shape == (*shape, 3)
        assert scene.observed.dtype == scene.clear.dtype == scene.truth.dtype == np.uint8
        assert tuple(scene.bands) == BANDS
        for field in (*scene.bands.values(), scene.gain, scene.haze):
            assert field.shape == shape
            assert field.dtype == np.float32
            assert np.isfinite(field).all()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_truth_is_what_thresholds_say_of_the_clear_image(structure: str) -> None:
    scenes = clear_scenes(structure)
    for scene in scenes:
        of_clear = label_image(scene.clear, method="none", valid=scene.valid)
        assert np.array_equal(of_clear, scene.truth)
        assert (scene.clear[scene.valid] > 0).all()
        assert (scene.clear[~scene.valid] == 0).all()
        assert (scene.bands["nir"][~scene.valid] == 0).all()
    # Noise beside a threshold; smooth ice has long borders.
    assert np.mean([right(scene) for scene in scenes]) > 0.985


@pytest.mark.parametrize("structure", STRUCTURES)
def test_cloud_and_shadow_mislead_thresholds(structure: str) -> None:
    shares = [right(make_spectral(60 + i, SHAPE, "both", structure=structure)) for i in range(4)]
    assert 0.5 < np.mean(shares) < 0.985


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_class_is_absurdly_rare_or_common(structure: str) -> None:
    truth = np.concatenate([s.truth[s.valid] for s in clear_scenes(structure)])
    shares = np.bincount(truth, minlength=3) / truth.size
    assert shares.max() < 0.95
    assert shares[1] > 0.02
    if structure in ("young", "polynya"):
        assert shares.min() > 0.08


def test_resampled_and_stretched_scenes_have_the_truth_of_their_own_clear_image() -> None:
    for options in ({"scale": 0.3}, {"scale": 3.0}, {"gamma": 1.3}, {"contrast": 1.4}):
        scene = make_spectral(7, (90, 100), "shadow", structure="pack", **options)
        of_clear = label_image(scene.clear, method="none", valid=scene.valid)
        assert np.array_equal(of_clear, scene.truth)
    plain, dark = (make_spectral(7, (90, 100), "clear", gamma=g).clear for g in (1.0, 1.4))
    assert dark.mean() < plain.mean()
    low, high = (make_spectral(7, (90, 100), "clear", contrast=c).stretch for c in (0.7, 1.4))
    assert high[1] - high[0] == pytest.approx((low[1] - low[0]) / 2)


def test_larger_pixels_make_borders_coarser_and_smaller_ones_smoother() -> None:
    def steps(scale: float) -> float:
        shape = (64, 60)
        scenes = [make_spectral(s, shape, "clear", structure="ridges", scale=scale) for s in (1, 4)]
        return float(np.mean([steepest(scene, 90) for scene in scenes]))

    assert steps(0.25) < steps(1.0) < steps(4.0)


def test_jpeg_touches_the_observed_image_only() -> None:
    plain, packed = (make_spectral(8, (96, 96), "cloud", jpeg=jpeg) for jpeg in (None, 50))
    assert np.array_equal(plain.clear, packed.clear)
    assert np.array_equal(plain.bands["red"], packed.bands["red"])
    assert not np.array_equal(plain.observed, packed.observed)
    assert np.abs(plain.observed.astype(int) - packed.observed).mean() < 10


def test_colours_are_the_bands_under_the_stretch() -> None:
    scene = make_spectral(9, (80, 80), "both", structure="brash")
    low, high = scene.stretch
    for index, band in enumerate(("red", "green", "blue")):
        grey = 255 * (scene.bands[band] - low) / (high - low)
        expected = np.clip(np.rint(grey), 1, 255)
        difference = np.abs(scene.observed[..., index] - expected)[scene.valid]
        assert difference.max() <= 1


def test_snow_is_bright_in_colours_and_dark_at_1600_nm_and_water_is_dark_everywhere() -> None:
    for seed in range(20):
        stages = draw_spectra(np.random.default_rng(seed)).stages
        snow = dict(zip(BANDS, stages[SNOW], strict=True))
        assert snow["green"] > 0.88
        assert 0.75 < snow["nir"] < snow["green"]
        assert 0.03 < snow["swir16"] < 0.22
        assert snow["swir22"] < snow["swir16"]
        assert stages[WATER].max() < 0.1
        assert (np.diff(stages[:, 1]) >= 0).all()
    # Snow index (NDSI) of every kind of snow is far above that of cloud.
    green, swir = STAGES[THIN_SNOW:, 1], STAGES[THIN_SNOW:, 5]
    assert ((green - swir) / (green + swir) > 0.7).all()


def test_cloud_of_droplets_is_brighter_at_1600_nm_than_cloud_of_ice_and_both_than_snow() -> None:
    means = {
        kind.name: np.mean(
            [draw_light(np.random.default_rng(seed), kind).cloud for seed in range(40)], axis=0
        )
        for kind in CLOUD_KINDS
    }
    swir, cirrus = BANDS.index("swir16"), BANDS.index("cirrus")
    assert means["stratus"][swir] > means["ice"][swir] > STAGES[SNOW, swir]
    assert means["cirrus"][cirrus] > means["ice"][cirrus] > means["stratus"][cirrus]


def test_cloud_over_snow_shows_in_the_short_waves() -> None:
    clear, cloudy = (
        make_spectral(10, SHAPE, sky, structure="ridges", options=OVERCAST)
        for sky in ("clear", "cloud")
    )
    dense = cloudy.valid & (cloudy.haze > 0.4) & (clear.truth == 2)
    assert dense.sum() > 1000
    gained = {b: float((cloudy.bands[b] - clear.bands[b])[dense].mean()) for b in BANDS}
    assert gained["swir16"] > 0.05
    assert gained["swir16"] > gained["green"]


def test_shadow_is_bluer_than_sunlight_and_darkest_in_the_short_waves() -> None:
    for seed in range(10):
        light = draw_light(np.random.default_rng(seed), CLOUD_KINDS[0])
        gain = np.array([[0.5, 0.8, 1.0]], np.float32)
        by_band = np.concatenate([light.gain_in(band, gain) for band in ("blue", "green", "red")])
        np.testing.assert_allclose(by_band[1], gain[0], atol=1e-6)
        assert (np.diff(by_band[:, :2], axis=0) < 0).all()
        assert (light.gain_in("swir16", gain)[0, :2] < by_band[2, :2]).all()
        np.testing.assert_allclose(light.gain_in("nir", gain)[0, 2], 1.0, atol=1e-6)


def test_the_ground_is_not_visible_in_the_cirrus_band() -> None:
    for seed in range(8):
        band = make_spectral(seed, (80, 80), "clear", structure="pack").bands["cirrus"]
        assert band.max() < 0.01


def test_young_ice_has_no_edge_and_pack_has() -> None:
    young = [steepest(scene) for scene in clear_scenes("young")]
    pack = [steepest(scene) for scene in clear_scenes("pack")]
    assert np.median(young) < 15 < np.median(pack)
    # And it is no step between few levels: all brightness between water and snow occurs.
    for scene in clear_scenes("young", 3):
        levels = np.bincount(scene.clear.max(axis=2)[scene.valid], minlength=256)
        assert (levels[40:180] > 0).mean() > 0.9


def test_ponds_are_blue_and_dark_in_the_infrared() -> None:
    for scene in clear_scenes("ponds", 3):
        red, blue, nir = (scene.bands[band][scene.valid] for band in ("red", "blue", "nir"))
        ponds = (blue > 0.22) & (red / blue < 0.62)
        assert 0.005 < ponds.mean() < 0.5
        assert nir[ponds].mean() < 0.6 * blue[ponds].mean()


def test_snow_of_ridges_drifts_in_brightness_by_levels() -> None:
    spreads = []
    for scene in clear_scenes("ridges"):
        green = scene.bands["green"][scene.valid & (scene.truth == 2)]
        low, high = np.percentile(green, (5, 95))
        spreads.append(255 * (high - low))
    assert np.median(spreads) > 10


def test_nilas_is_broad_and_dark() -> None:
    for scene in clear_scenes("nilas"):
        value = scene.clear.max(axis=2)[scene.valid]
        assert ((value > 15) & (value < 120)).mean() > 0.5


def test_brash_takes_every_grey_between_water_and_white() -> None:
    for scene in clear_scenes("brash", 3):
        value = scene.clear.max(axis=2)[scene.valid]
        counts, _ = np.histogram(value, bins=range(30, 211, 20))
        assert (counts > 0.004 * value.size).all()


def test_layers_are_those_of_the_observed_scene() -> None:
    scene = make_spectral(11, (40, 40), "both")
    layers = scene.layers
    assert layers.nir is scene.bands["nir"]
    assert layers.swir is scene.bands["swir16"]
    assert layers.cirrus is scene.bands["cirrus"]
    assert (layers.sun_azimuth, layers.sun_elevation) == (scene.sun_azimuth, scene.sun_elevation)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (0, 5)}, "0 x 5 pixels is empty"),
        ({"seed": -1}, "seed -1 must not be negative"),
        ({"sky": "foggy"}, 'no sky "foggy": use one of clear'),
        ({"structure": "lava"}, 'no structure "lava": use one of young'),
        ({"scale": 5.0}, "scale of 5.0 is out of range: use 0.25 to 4.0"),
        ({"gamma": 0.0}, "must be positive"),
        ({"jpeg": 0}, "JPEG quality of 0 is out of range"),
    ],
)
def test_impossible_scenes_are_refused_with_a_remedy(
    options: dict[str, object], sentence: str
) -> None:
    arguments = {"seed": 0, "shape": (5, 5), "sky": "clear"} | options
    with pytest.raises(PolynyaError, match=sentence):
        make_spectral(**arguments)


@pytest.mark.parametrize("sky", SKY_KINDS)
def test_files_give_the_same_image_layers_truth_and_light_again(sky: str, tmp_path: Path) -> None:
    scene = make_spectral(3, (96, 120), sky, structure="young")
    paths = write_spectral(scene, tmp_path, with_labels=True)
    names = [f"young00003_{part}.tif" for part in (sky, "truth", f"{sky}_labels", "sky")]
    assert [path.name for path in paths] == names

    opened = open_scene(str(paths[0]))
    rgb, valid = read_scene(opened)
    assert np.array_equal(rgb, scene.observed)
    assert np.array_equal(valid, scene.valid)
    found, expected = read_layers(opened), scene.layers
    assert found is not None
    for band in ("nir", "swir", "cirrus"):
        seen, true = getattr(found, band), getattr(expected, band)
        assert np.abs(seen - true)[scene.valid & (true > 1e-4)].max() < 0.51e-4
    assert found.sun_azimuth == pytest.approx(scene.sun_azimuth, abs=0.01)
    assert found.sun_elevation == pytest.approx(scene.sun_elevation, abs=0.01)

    for path in paths[1:3]:
        with rasterio.open(path) as source:
            assert np.array_equal(source.read(1), scene.truth)
            assert source.nodata == 255
    with rasterio.open(paths[3]) as source:
        assert np.abs(source.read(1) / 255 - scene.gain).max() < 0.002
        assert np.abs(source.read(2) / 255 - scene.haze).max() < 0.002
        assert np.array_equal(source.read_masks(1) > 0, scene.valid)


def test_command_draws_a_ground_for_each_site_or_takes_the_one_that_is_named(
    tmp_path: Path,
) -> None:
    for name, options in {
        "any": ["--count", "9"],
        "nilas": ["--count", "2", "--seed", "1"],
    }.items():
        words = ["--out", str(tmp_path / name), "--size", "16", "--structure", name, *options]
        assert CliRunner().invoke(app, words).exit_code == 0
    drawn = sorted(path.name for path in (tmp_path / "any").glob("*_truth.tif"))
    assert len({re.split(r"\d", name)[0] for name in drawn}) > 2
    skies = [len(list((tmp_path / "any").glob(f"*_{sky}.tif"))) for sky in SKY_KINDS[1:]]
    assert skies == [3, 3, 3]
    named = sorted(path.name for path in (tmp_path / "nilas").glob("*_truth.tif"))
    assert named == ["nilas10000_truth.tif", "nilas10001_truth.tif"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--structure", "lava"], "give one of young"),
        (["--structure", "any", "--count", "10001"], "give at most 10000"),
        (["--structure", "any", "--sky", "foggy"], "foggy"),
    ],
)
def test_command_refuses_a_ground_that_there_is_not(
    words: list[str], sentence: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--size", "8", *words])
    assert result.exit_code != 0
    assert sentence in " ".join(result.stderr.split())
