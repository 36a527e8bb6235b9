"""The label benchmark: scenes whose truth holds, SSIM as defined, and a tiny run to its tables."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from autolabel import label_image
from autolabel.labels import Method
from benchmarks.common.report import Report
from benchmarks.common.timing import one_core, times_in_turn
from benchmarks.common.workers import for_each_scene
from benchmarks.labels.agreement import agreement_table, measure_agreement
from benchmarks.labels.calibration import calibration_table, measure_calibration, sure_table
from benchmarks.labels.methods import WITH_BANDS
from benchmarks.labels.pictures import draw_worst_scenes
from benchmarks.labels.report import write_report
from benchmarks.labels.scenes import BenchScene, blurred, make_bench_scene, noisy
from benchmarks.labels.scoring import (
    SceneResult,
    class_scores,
    count_labels,
    label_all,
    loss,
    most_harmed,
    most_helped,
    score_scene,
    worst,
)
from benchmarks.labels.sets import (
    SETS,
    SITES_PER_SET,
    SceneSpec,
    Split,
    choose_sets,
    list_scenes,
)
from benchmarks.labels.speed import COPY, measure_speed, speed_table
from data_samples import SKY_KINDS
from data_samples.blobs import make_blobs
from polynya.errors import PolynyaError
from polynya.scenes.scene import SceneLayers
from training.metrics.ssim import structural_similarity

SIZE = 128


def specs_of(*names: str, sites: int = 1) -> list[SceneSpec]:
    sets = [SETS[name] for name in names]
    return list_scenes(sets, Split.DEV, sites=sites, size=SIZE)


@pytest.mark.parametrize("name", SETS)
def test_scenes_have_truth_and_nodata_where_they_say(name: str) -> None:
    for spec in specs_of(name, sites=2):
        scene = make_bench_scene(spec)
        assert scene.observed.shape == (SIZE, SIZE, 3)
        assert scene.observed.dtype == np.uint8
        assert set(np.unique(scene.truth[scene.valid])) <= {0, 1, 2}
        assert (scene.truth[~scene.valid] == 255).all()
        assert (scene.observed[~scene.valid] == 0).all()
        assert (scene.observed[scene.valid] > 0).all()


@pytest.mark.parametrize("name", ["standard", "heavy", "low-sun", "cloud-205", "blobs"])
def test_thresholds_are_right_on_clear_scenes(name: str) -> None:
    for spec in specs_of(name, sites=4):
        if spec.sky == "clear":
            # All but sensor noise beside a threshold.
            assert score_scene(spec).right("none") > 0.995


@pytest.mark.parametrize("name", ["standard", "noisy", "blobs", "spectral-scaled"])
def test_a_spec_is_always_the_same_scene_and_ground_does_not_depend_on_the_sky(name: str) -> None:
    specs = specs_of(name)
    scenes = [make_bench_scene(spec) for spec in specs]
    np.testing.assert_array_equal(scenes[3].observed, make_bench_scene(specs[3]).observed)
    for scene in scenes[1:]:
        np.testing.assert_array_equal(scene.truth, scenes[0].truth)
        assert (scene.observed != scenes[0].observed).any()


def test_spectral_sets_vary_what_they_say_and_nothing_else_over_the_skies_of_a_site() -> None:
    usual = {spec.sky: make_bench_scene(spec) for spec in specs_of("spectral-ponds")}
    assert {scene.stretch for scene in usual.values()} == {usual["clear"].stretch}
    stretches = {make_bench_scene(s).stretch for s in specs_of("spectral-stretched", sites=3)}
    assert len(stretches) == 3
    clear = next(spec for spec in specs_of("spectral-jpeg") if spec.sky == "clear")
    assert score_scene(clear).right("none") > 0.9


def test_the_filter_sees_bands_where_a_scene_has_them() -> None:
    for name in ("spectral-young", "standard"):
        scene = make_bench_scene(specs_of(name)[3])
        assert WITH_BANDS not in label_all(scene)
        labels = label_all(scene, with_bands=True)
        with_layers = label_image(
            scene.observed, valid=scene.valid, layers=scene.layers, stretch=scene.stretch
        )
        np.testing.assert_array_equal(labels[WITH_BANDS], with_layers)
        assert (scene.layers is None) == (name == "standard")
        if scene.layers is None:
            np.testing.assert_array_equal(labels[WITH_BANDS], labels["illumination"])


def test_truth_of_blurred_scenes_is_what_thresholds_say_of_the_blurred_clear_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = specs_of("blurred")[0].seed
    specs = [spec for spec in specs_of("blurred") if spec.seed == site]
    assert [spec.sky for spec in specs] == list(SKY_KINDS)
    scenes = {spec.sky: make_bench_scene(spec) for spec in specs}
    clear = scenes["clear"]
    of_thresholds = label_image(clear.observed, method="none", valid=clear.valid)
    for scene in scenes.values():
        np.testing.assert_array_equal(scene.truth, of_thresholds)
    monkeypatch.setitem(SETS, "blurred", SETS["standard"])
    sharp = make_bench_scene(specs[0])
    assert np.var(clear.observed[clear.valid]) < np.var(sharp.observed[sharp.valid])


def test_blur_takes_nothing_from_beyond_the_swath() -> None:
    rgb = np.full((40, 40, 3), 200, np.uint8)
    valid = np.ones((40, 40), np.bool_)
    valid[:, 25:] = False
    rgb[~valid] = 0
    np.testing.assert_array_equal(blurred(rgb, valid, 1.5), rgb)


def test_noise_is_the_same_for_dark_and_bright_and_never_makes_nodata() -> None:
    rgb = np.full((400, 400, 3), 60, np.uint8)
    rgb[:, 200:] = 180
    rgb[:50] = 1
    valid = np.ones((400, 400), np.bool_)
    valid[-50:] = False
    rgb[~valid] = 0
    noise = noisy(rgb, valid, 4.0, np.random.default_rng(0)).astype(float) - rgb
    assert (noise[-50:] == 0).all()
    assert (noise[:50] >= 0).all()
    for half in (noise[50:-50, :200], noise[50:-50, 200:]):
        assert half.std() == pytest.approx(4.0, rel=0.02)
        assert abs(half.mean()) < 0.1


def test_blobs_have_one_colour_cast_for_all_classes_and_cloud() -> None:
    observed, truth, valid = make_blobs(501, (256, 256), "cloud")
    ratios = [
        observed[valid & (truth == code) & (observed.max(axis=2) > 100)].astype(float).mean(axis=0)
        for code in (1, 2)
    ]
    first, second = (bands / bands.max() for bands in ratios)
    np.testing.assert_allclose(first, second, atol=0.01)


def test_sets_share_no_site_and_splits_share_none_either() -> None:
    seeds = [
        {spec.seed for spec in list_scenes([scene_set], split, sites=SITES_PER_SET)}
        for split in Split
        for scene_set in SETS.values()
    ]
    assert len(set.union(*seeds)) == sum(map(len, seeds))
    with pytest.raises(PolynyaError, match="--sites 101 is more than a set has"):
        list_scenes([SETS["standard"]], Split.DEV, sites=SITES_PER_SET + 1)


def test_sets_are_chosen_by_name() -> None:
    assert [s.name for s in choose_sets("blobs, standard")] == ["standard", "blobs"]
    assert choose_sets("") == list(SETS.values())
    with pytest.raises(PolynyaError, match='there is no set "fog"'):
        choose_sets("fog")


def test_a_pixel_without_label_is_wrong_and_one_without_truth_does_not_count() -> None:
    truth = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)
    codes = np.array([[0, 0, 2], [255, 2, 1]], np.uint8)
    counts = count_labels(truth, codes)
    np.testing.assert_array_equal(counts, [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 2, 1]])
    np.testing.assert_allclose(class_scores(counts, "recall"), [1.0, 0.0, 2 / 3])
    assert SceneResult(SceneSpec("standard", 1, "both", 3), {"none": counts}).right("none") == 0.6


def test_the_worst_scene_need_not_be_the_most_harmed() -> None:
    def result(seed: int, thresholds: int, method: int) -> SceneResult:
        def counts(right: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
            return np.array([[right, 100 - right, 0, 0], [0] * 4, [0] * 4], np.int64)

        spec = SceneSpec("standard", seed, "both", 10)
        return SceneResult(spec, {"none": counts(thresholds), "published": counts(method)})

    results = [result(1, 60, 62), result(2, 90, 80)]
    assert worst(results, "published").spec.seed == 1
    assert most_harmed(results, "published").spec.seed == 2
    assert most_helped(results, "published").spec.seed == 1
    assert loss(results[1], "published") == pytest.approx(0.1)


def random_image(seed: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_equal_images_have_similarity_one() -> None:
    for shape in ((30, 40), (30, 40, 3)):
        image = random_image(0, *shape)
        assert structural_similarity(image, image) == 1.0


def test_similarity_is_symmetric_and_falls_with_noise() -> None:
    image = cv2.GaussianBlur(random_image(0, 64, 64), (0, 0), 3)
    noise = np.random.default_rng(1).standard_normal((64, 64))
    degraded = [np.clip(image + s * noise, 0, 255).astype(np.uint8) for s in (2, 8, 32)]
    values = [structural_similarity(image, other) for other in degraded]
    assert 1.0 > values[0] > values[1] > values[2] > -1.0
    assert structural_similarity(degraded[2], image) == pytest.approx(values[2])


def test_similarity_of_flat_images_is_their_luminance_term() -> None:
    first, second = np.full((20, 20), 100, np.uint8), np.full((20, 20), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert structural_similarity(first, second) == pytest.approx(expected)


def test_similarity_is_the_definition_window_by_window() -> None:
    first, second = random_image(0, 12, 13), random_image(1, 12, 13)
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row, column in np.ndindex(2, 3):
        x = first[row : row + 11, column : column + 11].astype(float)
        y = second[row : row + 11, column : column + 11].astype(float)
        mx, my = (weights * x).sum(), (weights * y).sum()
        vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
        cov = (weights * (x - mx) * (y - my)).sum()
        values.append((2 * mx * my + c1) * (2 * cov + c2))
        values[-1] /= (mx**2 + my**2 + c1) * (vx + vy + c2)
    assert structural_similarity(first, second) == pytest.approx(np.mean(values))


def test_similarity_sees_windows_on_data_only() -> None:
    first = random_image(0, 40, 40)
    second = first.copy()
    second[:, 30:] = 0
    valid = np.ones((40, 40), np.bool_)
    valid[:, 30:] = False
    assert structural_similarity(first, second) < 0.9
    assert structural_similarity(first, second, valid) == 1.0
    assert np.isnan(structural_similarity(first, second, np.zeros((40, 40), np.bool_)))
    with pytest.raises(ValueError, match="same shape"):
        structural_similarity(first, first[:-1])


@pytest.mark.slow
def test_a_tiny_run_writes_its_tables_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = specs_of("standard", "blobs", sites=2)
    results = for_each_scene(score_scene, specs, "Labelling scenes", jobs=1)
    assert [result.spec for result in results] == specs
    write_report(results, Report(tmp_path, "a command"))
    printed = capsys.readouterr().out
    assert "standard: pixels right" in printed
    assert "Recall by class" in printed

    with (tmp_path / "accuracy.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(get_args(Method)) * (len(SKY_KINDS) + 1)
    scene = make_bench_scene(next(s for s in specs if s.name == rows[1]["worst_scene"]))
    labels = label_image(scene.observed, method=rows[1]["method"], valid=scene.valid)
    right = labels == scene.truth
    assert float(rows[1]["worst"]) == pytest.approx(100 * right[scene.valid].mean(), abs=0.006)
    with (tmp_path / "confusion.csv").open(encoding="utf-8") as file:
        columns = ("open_water", "thin_ice", "thick_ice", "no label")
        counted = [
            int(row[column])
            for row in csv.DictReader(file)
            if row["method"] == "none"
            for column in columns
        ]
    assert sum(counted) == sum(result.pixels for result in results)
    page = (tmp_path / "labels.md").read_text(encoding="utf-8")
    assert "Command: `a command`" in page
    assert "Machine: " in page

    filters = [method for method in get_args(Method) if method != "none"]
    pictures = draw_worst_scenes(results, tmp_path, jobs=1)
    drawn = ("worst", "harmed", "helped")
    expected = {f"{what}_{method}.png" for what in drawn for method in filters}
    assert {path.name for path in pictures} == expected
    assert all(cv2.imread(str(path)) is not None for path in pictures)


def test_agreement_is_by_method_and_sky() -> None:
    scenes = [measure_agreement(spec) for spec in specs_of("standard")]
    table = agreement_table(scenes)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["sky"] for row in rows[:5]] == [*SKY_KINDS, "all"]
    assert len(rows) == 5 * len(get_args(Method))
    assert rows[0]["images"] == "original"
    assert float(rows[0]["pixels right"]) > 99.9
    assert float(rows[0]["SSIM"]) <= 100


def test_calibration_compares_what_is_said_with_what_is_right() -> None:
    scenes = [one for spec in specs_of("spectral-pack") for one in measure_calibration(spec)]
    assert [one.method for one in scenes[:2]] == ["illumination", WITH_BANDS]
    for one in scenes:
        assert (one.right <= one.pixels).all()
        assert (one.said <= one.pixels).all()
        assert 0 <= one.sure <= 1
    table = calibration_table(scenes)
    assert [row[:2] for row in table.rows[:2]] == [
        ("spectral-pack", "illumination"),
        ("spectral-pack", WITH_BANDS),
    ]
    said, right = map(float, table.rows[0][-1].split(" / "))
    own = [one for one in scenes if one.method == "illumination"]
    assert 98 <= said <= 98.5
    pixels, correct = (sum(getattr(one, name)[-1] for one in own) for name in ("pixels", "right"))
    assert right == pytest.approx(100 * correct / pixels, abs=0.05)
    assert [row[0] for row in sure_table(scenes).rows] == ["spectral-pack"] * 2 + ["all"] * 2


def test_speed_measures_every_method_and_a_copy() -> None:
    rgb = random_image(0, 64, 64, 3)
    scene = BenchScene(rgb, np.zeros((64, 64), np.uint8), np.ones((64, 64), np.bool_))
    times = measure_speed(scene, rounds=2)
    assert set(times) == {COPY, *get_args(Method)}
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())
    swir = np.zeros((64, 64), np.float32)
    with_bands = replace(scene, layers=SceneLayers(swir, swir, swir, None, None))
    assert set(measure_speed(with_bands, rounds=1)) == {COPY, *get_args(Method), WITH_BANDS}
    table = speed_table({COPY: [0.03, 0.01], "none": [0.02], "published": [0.1]})
    assert table.rows[0] == ("copy of the image", "10.00", "0.100", "0.500")


def test_every_round_runs_every_task_once_after_one_to_warm_up() -> None:
    calls: list[str] = []
    tasks = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times_in_turn(tasks, rounds=2)
    assert calls == ["a", "b"] * 3


def test_one_core_is_given_back() -> None:
    threads = cv2.getNumThreads()
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = os.sched_getaffinity(0) if has_affinity else set()
    with one_core():
        assert cv2.getNumThreads() == 1
        assert not has_affinity or len(os.sched_getaffinity(0)) == 1
    assert cv2.getNumThreads() == threads
    assert not has_affinity or os.sched_getaffinity(0) == cores


def test_the_command_tells_what_is_wrong_in_a_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.labels", "--sets", "fog"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert run.returncode == 1
    assert run.stderr.startswith('Error: there is no set "fog" for --sets: use standard,')
    assert "Traceback" not in run.stderr
