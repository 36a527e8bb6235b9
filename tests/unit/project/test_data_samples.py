"""The sample generator: same seed same pixels, truth that holds, and no clue but brightness."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import rasterio.warp
import typer
from typer.testing import CliRunner

from data_samples import SkyOptions, make_scene, write_scene
from data_samples.__main__ import main
from data_samples.check import threshold_accuracy
from data_samples.fields import random_field, voronoi_cells
from data_samples.ice import make_ice
from data_samples.scene import SampleScene
from data_samples.shipped import SHIPPED, make_shipped
from data_samples.sky import make_sky
from polynya.cli import one_sentence_errors
from polynya.errors import PolynyaError
from polynya.recipe.classes import SEA_ICE

app = typer.Typer()
app.command()(one_sentence_errors(main))

SCENES = Path(__file__).parents[3] / "data_samples" / "scenes"


@pytest.fixture(scope="module")
def scenes() -> list[SampleScene]:
    return [make_scene(40, index, (320, 288), "both") for index in range(10)]


def same(a: SampleScene, b: SampleScene) -> bool:
    return (
        np.array_equal(a.observed, b.observed)
        and np.array_equal(a.truth, b.truth)
        and a.origin == b.origin
    )


def test_same_seed_and_index_give_the_same_scene_and_others_another() -> None:
    first = make_scene(1, 2, (64, 80))
    assert same(first, make_scene(1, 2, (64, 80)))
    assert not same(first, make_scene(1, 3, (64, 80)))
    assert not same(first, make_scene(2, 2, (64, 80)))


def test_without_texture_only_noise_is_left_inside_floes():
    smooth, rough = (make_scene(3, 0, (96, 96), "clear", texture=t) for t in (0.0, 0.02))
    assert (smooth.texture, rough.texture) == (0.0, 0.02)
    steps = [np.abs(np.diff(s.clear[..., 2].astype(int), axis=1)) for s in (smooth, rough)]
    thick = (smooth.truth[:, 1:] == 2) & (smooth.truth[:, :-1] == 2)
    assert np.median(steps[0][thick]) <= 1


def test_sky_does_not_change_the_ice() -> None:
    clear, shadow = (make_scene(3, 1, (96, 96), sky) for sky in ("clear", "shadow"))
    assert np.array_equal(clear.clear, shadow.clear)
    assert np.array_equal(clear.truth, shadow.truth)
    assert np.array_equal(clear.observed, clear.clear)
    assert not np.array_equal(shadow.observed, shadow.clear)


@pytest.mark.parametrize("shape", [(1, 1), (1, 57), (57, 1), (2, 3), (17, 255), (301, 130)])
def test_any_shape_has_pixels_truth_and_fields(shape: tuple[int, int]) -> None:
    scene = make_scene(5, 2, shape)
    assert scene.clear.shape == scene.observed.shape == (*shape, 3)
    assert scene.clear.dtype == scene.observed.dtype == scene.truth.dtype == np.uint8
    assert scene.truth.shape == scene.sky.gain.shape == scene.sky.haze.shape == shape
    assert scene.sky.gain.dtype == scene.sky.haze.dtype == np.float32
    assert set(np.unique(scene.truth)) <= {*SEA_ICE.codes, SEA_ICE.nodata}


def test_mixed_takes_shadow_cloud_and_both_in_turn() -> None:
    kinds = [make_scene(6, index, (8, 8)).sky.kind for index in range(4)]
    assert kinds == ["shadow", "cloud", "both", "shadow"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 0, (0, 5)), "0 x 5 pixels is empty"),
        ((-1, 0, (5, 5)), "must not be negative"),
        ((0, 0, (5, 5), "foggy"), 'no sky "foggy": use one of clear'),
    ],
)
def test_impossible_scenes_are_refused_with_a_remedy(
    arguments: tuple[int, int, tuple[int, int]], sentence: str
) -> None:
    with pytest.raises(PolynyaError, match=sentence):
        make_scene(*arguments)


def test_thresholds_on_the_clear_scene_are_the_truth_but_for_a_few_pixels() -> None:
    right = [threshold_accuracy(make_scene(41, index, (256, 256), "clear")) for index in range(8)]
    assert np.mean(right) > 0.998
    assert min(right) > 0.99


def test_cloud_and_shadow_mislead_thresholds(scenes: list[SampleScene]) -> None:
    right = [threshold_accuracy(scene) for scene in scenes]
    assert 0.7 < np.mean(right) < 0.96


def test_samples_hold_all_classes_and_kinds_of_ice(scenes: list[SampleScene]) -> None:
    truth = np.concatenate([scene.truth[scene.valid] for scene in scenes])
    shares = np.bincount(truth, minlength=3) / truth.size
    assert (shares > 0.08).all()
    assert {make_scene(42, i, (4, 4)).regime for i in range(30)} == {
        "pack",
        "floes",
        "marginal",
        "young",
    }


def test_observed_scene_follows_the_image_model(scenes: list[SampleScene]) -> None:
    for scene in scenes:
        sky, cast = scene.sky, np.array(scene.cast)
        haze, gain = sky.haze[..., None], sky.gain[..., None]
        expected = scene.clear * gain * (1 - haze) + cast * sky.cloud_brightness * haze
        error = (scene.observed - expected)[scene.valid]
        # Two exposures, each with its noise and rounding.
        assert np.std(error) < 1.5 * scene.noise + 0.5
        assert abs(np.mean(error)) < 0.3


def test_sky_is_soft_and_within_its_limits(scenes: list[SampleScene]) -> None:
    for scene in scenes:
        gain, haze = scene.sky.gain, scene.sky.haze
        assert gain.min() >= 0.4
        assert gain.max() <= 1
        assert haze.min() >= 0
        assert haze.max() <= 0.5
        assert 225 <= scene.sky.cloud_brightness <= 250
        for field in (gain, haze):
            # From clear to deepest takes many pixels.
            steps = np.abs(np.diff(field, axis=0)).max(), np.abs(np.diff(field, axis=1)).max()
            assert max(steps) < 0.04
        assert 0.02 < (haze > 0.02).mean() < 0.98


def test_options_set_the_strength_of_the_sky() -> None:
    strong = SkyOptions(coverage=(0.9, 0.9), opacity=(0.5, 0.5), gain=(0.4, 0.4))
    scene = make_scene(8, 2, (200, 200), "both", options=strong)
    assert (scene.sky.haze > 0.02).mean() > 0.7
    none = dataclasses.replace(strong, opacity=(0.0, 0.0), gain=(1.0, 1.0))
    clear = make_scene(8, 2, (200, 200), "both", options=none)
    assert clear.sky.haze.max() == 0
    assert clear.sky.gain.min() == 1


def test_shadow_lies_away_from_the_sun_by_the_height_of_the_cloud() -> None:
    options = SkyOptions(
        coverage=(0.2, 0.2),
        opacity=(0.5, 0.5),
        gain=(0.5, 0.5),
        scale=(120.0, 120.0),
        height=(300.0, 300.0),
        sun_elevation=(30.0, 30.0),
    )
    distance = 300.0 / math.tan(math.radians(30.0)) / 10.0
    for seed in range(4):
        sky = make_sky((600, 600), np.random.default_rng(seed), "both", options)
        azimuth = math.radians(sky.sun_azimuth)
        right = round(-distance * math.sin(azimuth))
        down = round(distance * math.cos(azimuth))
        cloud, shadow = sky.haze / 0.5, (1 - sky.gain) / 0.5
        middle = slice(100, 500)
        shifted = cloud[100 - down : 500 - down, 100 - right : 500 - right]
        there = np.corrcoef(shifted.ravel(), shadow[middle, middle].ravel())[0, 1]
        here = np.corrcoef(cloud[middle, middle].ravel(), shadow[middle, middle].ravel())[0, 1]
        assert there > 0.95
        assert here < there - 0.05


def test_colour_cast_is_the_same_for_all_classes(scenes: list[SampleScene]) -> None:
    for scene in scenes:
        assert max(scene.cast) == 1
        for code in SEA_ICE.codes:
            pixels = scene.clear[scene.truth == code].astype(float)
            if len(pixels) < 2000:
                continue
            mean = pixels.mean(axis=0)
            # Water is so dark that a cast of a few percent is a fraction of one grey level.
            assert mean / mean.max() == pytest.approx(scene.cast, abs=0.004 + 0.1 / mean.max())


@pytest.mark.slow
def test_texture_has_the_same_relative_strength_on_thin_and_thick_ice() -> None:
    # On water, a texture of 2 % is far below the sensor's noise.
    ratios = []
    for index in (0, 1, 2, 27, 40, 46, 51, 52, 54, 56, 57):
        scene = make_scene(43, index, (256, 256), "clear", wedge=0.0)
        thin, thick = (_relative_texture(scene, code) for code in (1, 2))
        assert min(thin, thick) > 0
        ratios.append(thin / thick)
    assert 0.85 < np.exp(np.mean(np.log(ratios))) < 1.15


def _relative_texture(scene: SampleScene, code: int) -> float:
    """Strength of the texture relative to V within one class; 0 where there is too little of it.

    Texture is common to the bands and noise is not, so their covariance is the texture's alone.
    """
    stream = np.random.default_rng([scene.seed, scene.index, 0])
    even = make_ice(scene.truth.shape, stream, texture=2.5 * scene.texture).value
    # Away from the borders between floes and patches, which the optics blur.
    window = np.ones((7, 7), np.uint8)
    inside = (cv2.dilate(even, window) == cv2.erode(even, window)) & (scene.truth == code)
    inside &= even > 100
    if inside.sum() < 2000:
        return 0.0
    red, green, blue = (scene.clear[inside] / even[inside][:, None] / scene.cast - 1.0).T
    covariance = np.mean(red * green) + np.mean(green * blue) + np.mean(blue * red)
    return math.sqrt(covariance / 3)


def test_brightness_varies_within_each_class(scenes: list[SampleScene]) -> None:
    value = np.concatenate([scene.clear[scene.valid].max(axis=-1) for scene in scenes])
    truth = np.concatenate([scene.truth[scene.valid] for scene in scenes])
    for code, least in ((0, 8), (1, 100), (2, 20)):
        low, high = np.percentile(value[truth == code], [2, 98])
        assert high - low > least


def test_wedge_is_nodata_and_valid_pixels_are_never_black() -> None:
    scene = make_scene(9, 1, (200, 150), wedge=0.15)
    assert (~scene.valid).mean() == pytest.approx(0.15, abs=0.02)
    for image in (scene.clear, scene.observed):
        assert (image[~scene.valid] == 0).all()
        assert image[scene.valid].min() >= 1
    assert ((scene.truth == SEA_ICE.nodata) == ~scene.valid).all()
    assert make_scene(9, 1, (200, 150), wedge=0.0).valid.all()


def test_files_tell_place_time_of_day_and_meaning(tmp_path: Path) -> None:
    scene = make_scene(11, 1, (70, 300), "both", wedge=0.1)
    paths = write_scene(scene, tmp_path)
    assert [path.name for path in paths] == [
        f"ross0011-0001_{part}.tif" for part in ("clear", "both", "truth", "sky")
    ]
    for path in paths:
        with rasterio.open(path) as source:
            assert source.crs.to_epsg() == 3031
            assert source.res == (10.0, 10.0)
            assert source.shape == (70, 300)
            # The Ross Sea, where the shelf is not.
            (longitude,), (latitude,) = rasterio.warp.transform(
                source.crs, "EPSG:4326", [source.bounds.left], [source.bounds.top]
            )
            assert -78 < latitude < -70
            assert longitude > 165 or longitude < -160
            assert source.profile["tiled"]
            assert source.profile["compress"] == "deflate"
            tags = source.tags()
            assert (tags["SEED"], tags["INDEX"]) == ("11", "1")
            assert float(tags["SUN_ELEVATION"]) == pytest.approx(scene.sky.sun_elevation, abs=0.01)
            assert (source.dataset_mask() > 0).tolist() == scene.valid.tolist()
    with rasterio.open(paths[1]) as source:
        assert np.array_equal(source.read().transpose(1, 2, 0), scene.observed)
        assert source.tags()["SKY"] == "both"
    with rasterio.open(paths[2]) as source:
        assert np.array_equal(source.read(1), scene.truth)
        assert source.nodata == SEA_ICE.nodata
        assert source.colormap(1)[2] == (255, 0, 0, 255)
    with rasterio.open(paths[3]) as source:
        gain, haze = source.read() * np.array(source.scales)[:, None, None]
        assert np.abs(gain - scene.sky.gain).max() < 1 / 255
        assert np.abs(haze - scene.sky.haze).max() < 1 / 255


def test_clear_scene_has_no_contaminated_file(tmp_path: Path) -> None:
    names = [path.name for path in write_scene(make_scene(1, 0, (20, 20), "clear"), tmp_path)]
    assert names == [f"ross0001-0000_{part}.tif" for part in ("clear", "truth", "sky")]


def test_a_shipped_site_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    for sample in (SHIPPED[0], SHIPPED[-1]):
        for path in make_shipped(sample, tmp_path):
            assert path.read_bytes() == (SCENES / sample.folder / path.name).read_bytes()


def test_shipped_samples_are_small_and_cover_each_sky() -> None:
    files = [path for path in SCENES.rglob("*.tif") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15e6
    for folder in ("train", "heldout"):
        kinds = {path.stem.rpartition("_")[2] for path in (SCENES / folder).glob("*.tif")}
        assert kinds == {"clear", "shadow", "cloud", "both", "truth", "sky"}
        assert {s.sky for s in SHIPPED if s.folder == folder} == {"shadow", "cloud", "both"}
    assert len(files) == 4 * len(SHIPPED)
    seeds = [{s.seed for s in SHIPPED if s.folder == f} for f in ("train", "heldout")]
    assert not seeds[0] & seeds[1]


def test_command_makes_the_same_site_whatever_the_count(tmp_path: Path) -> None:
    for count in ("1", "3"):
        done = subprocess.run(
            [sys.executable, "-m", "data_samples", "--out", str(tmp_path / count),
             "--count", count, "--size", "40x48", "--seed", "3"],
            capture_output=True, text=True, cwd=SCENES.parents[1], check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    few, many = (sorted((tmp_path / count).glob("*.tif")) for count in ("1", "3"))
    assert (len(few), len(many)) == (4, 12)
    assert [p.read_bytes() for p in few] == [p.read_bytes() for p in many[:4]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size", "big"], 'size "big" is not a size'),
        (["--size", "0x5"], 'size "0x5" is not a size'),
        (["--sky", "foggy", "--size", "8"], 'there is no sky "foggy"'),
    ],
)
def test_command_refuses_bad_options_in_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["--out", str(tmp_path), *arguments])
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_command_says_when_the_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "taken"), "--size", "8"])
    assert result.exit_code == 1
    assert "taken is a file; choose another --out folder." in result.stderr


def test_command_leaves_files_of_others_as_they_are(tmp_path: Path) -> None:
    theirs = tmp_path / "ross0000-0000_clear.tif"
    theirs.write_text("mine")
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--size", "8"])
    assert result.exit_code == 1
    assert "not a file that Polynya wrote" in result.stderr
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize(("cutoff", "aspect"), [(2.0, 1.0), (9.0, 1.0), (9.0, 3.0)])
def test_random_field_has_mean_zero_and_variance_one(cutoff: float, aspect: float) -> None:
    rng = np.random.default_rng(0)
    field = np.stack(
        [
            random_field((64, 64), rng, scale=30.0, cutoff=cutoff, aspect=aspect, angle=0.7)
            for _ in range(100)
        ]
    )
    assert field.mean() == pytest.approx(0.0, abs=0.1)
    assert field.var() == pytest.approx(1.0, abs=0.15)


def test_voronoi_cells_find_the_nearest_sites() -> None:
    rows, cols = np.mgrid[:60, :70].astype(np.float32)
    x, y = cols.ravel(), rows.ravel()
    cells = voronoi_cells(x, y, 12.0, np.random.default_rng(1))
    distance = np.hypot(cells.site_x[:, None] - x, cells.site_y[:, None] - y)
    assert np.array_equal(np.argmin(distance, axis=0), cells.site)
    assert cells.radius == pytest.approx(distance.min(axis=0), abs=1e-3)
    assert (cells.margin >= 0).all()
