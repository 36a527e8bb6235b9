"""The summary of an evaluation, its tables and its file, by hand and by scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn import metrics as reference

from inference.evaluate.figures import draw_all
from inference.evaluate.results import Method, Settings, read_results, write_results
from inference.evaluate.scores import Evaluation, score_scene
from inference.evaluate.sources import Found
from inference.evaluate.summary import results_of
from inference.evaluate.tables import (
    comparison_table,
    cover_table,
    images_table,
    method_table,
    percent_table,
)
from polynya.errors import SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.metrics import MetricsOptions

METRICS = MetricsOptions(further=("ssim", "calibration_error"))
SETTINGS = Settings(
    tile_size=16, cover="true", cover_limit=0.1, seed=0, resamples=200, resampled="scene"
)


def wrong_by(share, truth, rng):
    """Labels of which a share was drawn at random, with their probabilities."""
    drawn = rng.integers(0, 3, truth.shape)
    codes = np.where(rng.random(truth.shape) < share, drawn, truth).astype(np.uint8)
    shares = np.full((*truth.shape, 3), 0.1, np.float32)
    np.put_along_axis(shares, codes[..., None].astype(int), 0.8, axis=2)
    return Found(codes, shares)


@pytest.fixture(scope="module")
def made():
    """Six scenes of 32 x 32 pixels; the upper halves of the odd ones are under cloud."""
    rng = np.random.default_rng(3)
    about = [
        Method(name="Man on original images", kind="model", family="Man", images="original"),
        Method(name="Man filtered", kind="model", family="Man", images="illumination"),
        Method(name="thresholds", kind="thresholds", family="thresholds", images="original"),
    ]
    evaluation = Evaluation(SEA_ICE, tuple(m.name for m in about), about=tuple(about))
    pixels = []
    for number in range(6):
        truth = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8))).astype(np.uint8)
        cover = np.zeros(truth.shape, np.bool_)
        cover[:16] = number % 2
        found = [wrong_by(0.3, truth, rng), wrong_by(0.1, truth, rng)]
        found.append(Found(wrong_by(0.5, truth, rng).codes))
        truth[0, :5] = SEA_ICE.nodata
        results = dict(zip(evaluation.methods, found, strict=True))
        valid = np.ones(truth.shape, np.bool_)
        score = score_scene(
            f"s{number}", "other", truth, valid, results, SEA_ICE, METRICS,
            site=f"site{number // 2}", cover=cover, tile_size=16,
        )  # fmt: skip
        evaluation.scenes.append(score)
        pixels.append((truth, cover, results))
    return evaluation, pixels, results_of(evaluation, SETTINGS, "scenes")


def test_groups_are_tiles_by_true_cover(made):
    _, pixels, results = made
    assert [group.name for group in results.groups] == ["all", "more", "less"]
    every, more, less = results.groups
    assert (more.tiles, less.tiles, every.tiles) == (6, 18, 24)
    assert more.title == "more than 10 % cloud and shadow"
    assert more.pixels + less.pixels == every.pixels == 6 * (32 * 32 - 5)
    assert more.scenes == 3
    for group, inside in ((every, None), (more, True), (less, False)):
        for method in ("Man on original images", "thresholds"):
            truth, found = [], []
            for labels, cover, own in pixels:
                counted = labels != SEA_ICE.nodata
                if inside is not None:
                    counted &= cover == inside
                truth.append(labels[counted])
                found.append(own[method].codes[counted])
            truth, found = np.concatenate(truth), np.concatenate(found)
            (score,) = (s for s in group.scores if s.method == method)
            assert score.confusion == reference.confusion_matrix(truth, found).tolist()
            assert score.right == pytest.approx(reference.accuracy_score(truth, found))
            for name, function in (
                ("precision", reference.precision_score),
                ("recall", reference.recall_score),
                ("f1", reference.f1_score),
                ("iou", reference.jaccard_score),
            ):
                np.testing.assert_allclose(score.values[name], function(truth, found, average=None))
                mean = function(truth, found, average="macro")
                assert score.values[f"mean_{name}"] == pytest.approx(mean)
            assert score.unlabelled == 0


def test_calibration_and_intervals_are_those_of_the_methods(made):
    *_, results = made
    first, _, thresholds = results.groups[0].scores
    assert thresholds.calibration is None
    assert "calibration_error" not in thresholds.values
    assert thresholds.values["ssim"] < first.values["ssim"] < 1
    (used,) = (one for one in first.calibration if one.pixels)
    assert used.low <= used.confidence <= used.high
    assert used.pixels == results.groups[0].pixels
    assert used.right == pytest.approx(first.right)
    assert first.values["calibration_error"] == pytest.approx(abs(0.8 - first.right), abs=1e-6)
    low, high = first.intervals["right"]
    assert low < first.right < high
    assert len(first.intervals["f1"]) == 3
    (compared,) = (
        c for c in results.comparisons
        if (c.group, c.score) == ("all", "right") and c.second == "Man filtered"
    )  # fmt: skip
    assert compared.verdict == "worse"
    assert compared.interval[0] <= compared.difference <= compared.interval[1] < 0
    assert "6 scenes show 3 sites" in " ".join(results.notes)


def test_tables_have_the_form_of_the_paper(made):
    *_, results = made
    table = images_table(results)
    assert table.columns == ("images", "Man", "thresholds")
    assert [row[0] for row in table.rows] == [
        "original images", "illumination filter",
    ]  # fmt: skip
    assert table.rows[1][2] == ""
    score = results.groups[0].scores[0]
    assert table.rows[0][1].startswith(f"{100 * score.right:.2f} [")
    assert [row[0] for row in cover_table(results).rows] == [
        *["more than 10 % cloud and shadow"] * 2, *["not more than 10 % cloud and shadow"] * 2,
    ]  # fmt: skip
    assert len(method_table(results).rows) == 9
    assert len(comparison_table(results, ["Man filtered", "thresholds"]).rows) == 1


def test_confusions_in_percent_have_named_rows_in_both_orientations(made):
    *_, results = made
    ours, papers = percent_table(results), percent_table(results, "predicted")
    assert ours.columns[2:] == ("truth \\ predicted", *SEA_ICE.titles)
    assert papers.columns[2:] == ("predicted \\ truth", *SEA_ICE.titles)
    first, other = (np.array([r[3:] for r in t.rows[:3]], float) for t in (ours, papers))
    np.testing.assert_allclose(first.sum(axis=1), 100, atol=0.02)
    np.testing.assert_array_equal(other, first.T)


def test_the_file_is_read_back_and_others_are_refused(made, tmp_path):
    *_, results = made
    path = tmp_path / "evaluation.json"
    write_results(path, results)
    assert read_results(path) == results
    assert "NaN" not in path.read_text()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(SceneError, match=r"no evaluation of version 1 \(wrong: version\)"):
        read_results(path)
    with pytest.raises(SceneError, match="can't be read"):
        read_results(tmp_path / "none.json")


def test_every_figure_is_drawn(made, tmp_path):
    *_, results = made
    figures = draw_all(results, tmp_path, "predicted")
    assert [figure.file for figure in figures] == [
        "accuracy.png", "confusion.png", "confusion_more.png", "confusion_less.png",
        "calibration.png",
    ]  # fmt: skip
    for figure in figures:
        assert imread(tmp_path / figure.file).shape[1] > 400


def test_sites_can_be_drawn_in_place_of_scenes(made):
    evaluation, _, by_scene = made
    settings = SETTINGS.model_copy(update={"resampled": "site", "resamples": 0})
    without = results_of(evaluation, settings, "scenes")
    assert without.groups[0].scores[0].intervals == {}
    assert {one.verdict for one in without.comparisons} == {"noise unknown"}
    by_site = results_of(evaluation, SETTINGS.model_copy(update={"resampled": "site"}), "scenes")
    assert by_site.groups[0].scores[0].right == by_scene.groups[0].scores[0].right
    ends = [r.groups[0].scores[0].intervals["right"] for r in (by_site, by_scene)]
    assert ends[0] != ends[1]
