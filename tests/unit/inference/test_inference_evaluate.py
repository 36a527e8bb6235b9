"""Scores against the truth, and the tables and pictures made of them."""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
import pytest
import rasterio
from matplotlib.image import imread

from autolabel.thresholds.profiles import fitting_profile
from helpers.maps.tallies import tally_of
from inference.evaluate.report import draw_comparison, write_scene_report
from inference.evaluate.results import Method, Settings
from inference.evaluate.scenes import ScenePlan, evaluate_scenes, open_each
from inference.evaluate.scores import (
    Evaluation,
    SceneScore,
    accuracy_table,
    class_table,
    confusion_table,
    scene_table,
    score_scene,
)
from inference.evaluate.sources import Found
from inference.evaluate.summary import results_of
from inference.evaluate.truths import open_truth
from polynya.errors import TruthError
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.report.pictures import draw_confusion, draw_panels
from polynya.scenes.reading import open_scene
from polynya.scenes.truth import read_truth, sky_of, truth_path


def evaluation():
    """Two scenes, two methods, numbers that can be checked by hand."""
    perfect = partial(tally_of, [[50, 0, 0], [0, 30, 0], [0, 0, 20]])
    half = partial(tally_of, [[25, 25, 0], [0, 30, 0], [0, 20, 0]])
    return Evaluation(
        SEA_ICE,
        ("thresholds alone", "model"),
        [
            SceneScore("a_cloud", "cloud", 100, {"thresholds alone": half(), "model": perfect()}),
            SceneScore(
                "a_clear", "clear", 100, {"thresholds alone": perfect(), "model": perfect()}
            ),
        ],
    )


def test_tables_by_hand():
    scores = evaluation()
    assert scores.skies == ["clear", "cloud"]
    table = accuracy_table(scores)
    assert table.columns == ("method", "clear", "cloud", "overall")
    assert table.rows == (
        ("thresholds alone", "100.00", "55.00", "77.50"),
        ("model", "100.00", "100.00", "100.00"),
    )
    assert "2 scenes" in table.title
    (water, thin, thick, mean) = class_table(scores, ["thresholds alone"]).rows
    assert water == ("thresholds alone", "Open water", "100.00", "75.00", "85.71", "75.00", "83.33")
    # Of one scene 60 / (60 + 45), of the other 1; thick ice has 0 and 1.
    assert thin[2:] == ("57.14", "100.00", "72.73", "57.14", "78.57")
    assert thick[2:] == ("100.00", "50.00", "66.67", "50.00", "50.00")
    assert mean[1:] == ("mean", "", "", "75.04", "60.71", "70.63")
    assert confusion_table(scores, "thresholds alone").rows[0] == ("Open water", "75", "25", "0")
    scores.missed["b"] = "It is broken."
    scores.trained_by["model"] = {"a_cloud"}
    assert scene_table(scores).rows == (
        ("a_cloud", "cloud", "100", "55.00", "100.00", "yes", ""),
        ("a_clear", "clear", "100", "100.00", "100.00", "", ""),
        ("b", "", "", "", "", "", "It is broken."),
    )


def test_a_table_is_the_same_everywhere(tmp_path, capsys):
    table = accuracy_table(evaluation())
    table.print()
    printed = capsys.readouterr()
    assert "thresholds alone" in printed.out
    assert "77.50" in printed.out
    assert printed.err == ""
    assert table.markdown().splitlines()[2:5] == [
        "| method | clear | cloud | overall |",
        "|---|--:|--:|--:|",
        "| thresholds alone | 100.00 | 55.00 | 77.50 |",
    ]
    table.write_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [table.columns, *table.rows]


def test_a_score_counts_where_scene_and_truth_are_known():
    truth = np.array([[0, 1, 2, 255, 2]], np.uint8)
    valid = np.array([[True, True, True, True, False]])
    result = np.array([[0, 1, 1, 0, 2]], np.uint8)
    score = score_scene("s", "clear", truth, valid, {"m": Found(result)}, SEA_ICE)
    assert score.pixels == 3
    assert score.confusions["m"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert score.accuracy("m") == pytest.approx(2 / 3)


def test_a_pixel_that_got_no_class_is_not_right():
    truth = np.array([[0, 1]], np.uint8)
    result = np.array([[0, 255]], np.uint8)
    score = score_scene("s", "clear", truth, truth < 9, {"m": Found(result)}, SEA_ICE)
    assert score.accuracy("m") == 0.5


def test_nothing_to_compare_is_an_error():
    truth = np.full((2, 2), 255, np.uint8)
    with pytest.raises(TruthError, match="no pixel with data and known truth"):
        score_scene("s", "clear", truth, truth == 255, {"m": Found(truth)}, SEA_ICE)


@pytest.mark.parametrize(
    ("uri", "truth", "sky"),
    [
        ("d/site_03_cloud.tif", "d/site_03_truth.tif", "cloud"),
        ("d/site_03_clear.tif", "d/site_03_truth.tif", "clear"),
        ("d/my_scene.tif", "d/my_truth.tif", "other"),
        ("d/scene.tif", "d/scene_truth.tif", "other"),
    ],
)
def test_names_of_truth_and_sky(uri, truth, sky):
    assert truth_path(uri).as_posix() == truth
    assert sky_of(uri.removeprefix("d/").removesuffix(".tif")) == sky


def test_truth_must_fit_its_scene(write_scene, tmp_path):
    image = np.full((20, 30, 3), 99, np.uint8)
    codes = np.ones((20, 30), np.uint8)
    scene = open_scene(str(write_scene("a_clear.tif", image)))
    path = tmp_path / "a_truth.tif"

    with pytest.raises(TruthError, match=r"a_truth\.tif, is missing"):
        read_truth(path, scene, SEA_ICE)
    path.write_bytes(b"no image")
    with pytest.raises(TruthError, match=r"can't be read"):
        read_truth(path, scene, SEA_ICE)
    write_scene("a_truth.tif", codes[:, :29])
    with pytest.raises(TruthError, match="20 x 29 pixels"):
        read_truth(path, scene, SEA_ICE)
    write_scene("a_truth.tif", codes, crs="EPSG:3413")
    with pytest.raises(TruthError, match="EPSG:3413 and its scene"):
        read_truth(path, scene, SEA_ICE)
    write_scene("a_truth.tif", codes * 7)
    with pytest.raises(TruthError, match="has the code 7, which is no class"):
        read_truth(path, scene, SEA_ICE)
    write_scene("a_truth.tif", codes)
    with rasterio.open(path, "r+") as target:
        target.transform = rasterio.Affine(10, 0, -299_990, 0, -10, -1_200_000)
    with pytest.raises(TruthError, match="don't start at the same place"):
        read_truth(path, scene, SEA_ICE)
    write_scene("a_truth.tif", codes)
    assert (read_truth(path, scene, SEA_ICE) == 1).all()


def test_pictures_show_the_colours_and_have_the_same_bytes_each_time(tmp_path):
    image = np.full((100, 120, 3), 200, np.uint8)
    codes = np.full((100, 120), 2, np.uint8)
    codes[:, :60] = 0
    for name in ("a.png", "b.png"):
        draw_panels(tmp_path / name, [("Scene", image), ("Map", codes)], SEA_ICE, "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int)
    for color, least in (((0, 255, 0), 20_000), ((255, 0, 0), 20_000), ((200, 200, 200), 40_000)):
        assert (picture == color).all(axis=2).sum() > least

    confusions = [(name, evaluation().confusion(name)) for name in evaluation().methods]
    draw_confusion(tmp_path / "c.png", confusions, SEA_ICE)
    assert imread(tmp_path / "c.png").shape[1] > 800


MASKS = ClassScheme.model_validate({
    "name": "surface",
    "kind": "masks",
    "classes": [
        {"code": 0, "name": "pond", "title": "Melt pond", "color": [0, 0, 255]},
        {"code": 1, "name": "cloud", "title": "Cloud", "color": [255, 255, 255]},
    ],
})  # fmt: skip


def evaluation_of_masks():
    """Six pixels of two masks: 4 with truth and data; ponds 3 of 4 right, clouds 2 of 4."""
    truth = np.array([[0, 1, 3, 2, 255, 3]], np.uint8)
    valid = np.array([[True, True, True, True, True, False]])
    found = np.array([[0, 1, 2, 0, 3, 3]], np.uint8)
    other = np.array([[2, 1, 3, 255, 3, 3]], np.uint8)
    score = score_scene(
        "s", "clear", truth, valid, {"other": Found(other), "model": Found(found)}, MASKS
    )
    return Evaluation(MASKS, ("other", "model"), [score])


def test_masks_are_scored_each_by_its_presence():
    evaluation = evaluation_of_masks()
    (score,) = evaluation.scenes
    assert score.pixels == 4
    # [absent or present in truth, absent or present in the map]
    assert score.confusions["model"].tolist() == [[[2, 0], [1, 1]], [[2, 0], [1, 1]]]
    assert score.accuracy("model") == evaluation.accuracy("model") == 6 / 8
    # A pixel without a label is right in no mask.
    assert score.confusions["other"].tolist() == [[[1, 0], [0, 2]], [[1, 1], [0, 1]]]
    assert score.accuracy("other") == 5 / 8


def test_tables_of_masks_by_hand():
    evaluation = evaluation_of_masks()
    accuracy = accuracy_table(evaluation)
    assert accuracy.title.startswith("Pixels right, mean over the masks, % (1 scenes")
    assert accuracy.rows == (("other", "62.50", "62.50"), ("model", "75.00", "75.00"))
    by_mask = class_table(evaluation, ["model"])
    assert by_mask.title == "Scores by mask, %"
    measures = ("precision", "recall", "F1", "IoU", "Dice by scene")
    assert by_mask.columns == ("method", "mask", *measures)
    assert by_mask.rows == (
        ("model", "Melt pond", "100.00", "50.00", "66.67", "50.00", "66.67"),
        ("model", "Cloud", "100.00", "50.00", "66.67", "50.00", "66.67"),
        ("model", "mean", "", "", "66.67", "50.00", "66.67"),
    )
    confusion = confusion_table(evaluation, "other")
    assert confusion.columns == ("truth \\ predicted", "absent", "present")
    assert confusion.rows == (
        ("Melt pond: absent", "1", "0"),
        ("Melt pond: present", "0", "2"),
        ("Cloud: absent", "1", "1"),
        ("Cloud: present", "0", "1"),
    )
    assert scene_table(evaluation).rows == (("s", "clear", "4", "62.50", "75.00", "", ""),)


def test_pictures_of_masks_are_drawn(tmp_path):
    evaluation = evaluation_of_masks()
    confusions = [(name, evaluation.confusion(name)) for name in evaluation.methods]
    draw_confusion(tmp_path / "c.png", confusions, MASKS)
    assert imread(tmp_path / "c.png").shape[1] > 800
    labels = np.full((100, 120), 3, np.uint8)
    labels[:, :60] = 0
    draw_panels(tmp_path / "p.png", [("Map", labels)], MASKS, "title")
    picture = (imread(tmp_path / "p.png")[..., :3] * 255).round().astype(int)
    for color in ((128, 128, 255), (64, 64, 64)):  # Both masks mixed; under none.
        assert (picture == color).all(axis=2).sum() > 20_000


def test_the_report_of_masks_is_written(write_scene, tmp_path):
    truth = np.array([[0, 1, 3, 2]], np.uint8).repeat(8, axis=0)
    write_scene("a_clear.tif", np.full((8, 4, 3), 90, np.uint8))
    write_scene("a_truth.tif", np.stack([truth & 1, truth >> 1], axis=-1))
    recipe = Recipe.model_validate({
        "classes": MASKS.model_dump(mode="json"), "label": {"raster": "{stem}_labels.tif"},
    })  # fmt: skip
    (scene,), missed = open_each([str(tmp_path / "a_clear.tif")], recipe)

    class Ponds:
        """All ponds, and no clouds."""

        about = Method(name="model", kind="labels", family="model", images="")
        has_probabilities = needs_colors = False

        def of_scene(self, *_):
            return Found(truth & 1)

        def trained_on(self, scenes):
            return set()

    plan = ScenePlan(recipe, open_truth(None, "", recipe))
    evaluation, comparisons = evaluate_scenes([scene], [Ponds()], plan, missed)
    assert evaluation.accuracy("model") == 0.75  # All ponds, and clouds where there are none.
    settings = Settings(
        tile_size=None, cover="unknown", cover_limit=0.1, seed=0, resamples=9, resampled="scene"
    )
    results = results_of(evaluation, settings, "scenes")
    write_scene_report(evaluation, results, comparisons, tmp_path)
    draw_comparison(tmp_path / "best.png", "best", comparisons[0], evaluation)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        assert list(csv.reader(file))[4] == ["Cloud: present", "16", "0"]
    assert (tmp_path / "confusion.png").is_file()
    assert (tmp_path / "best.png").is_file()


def test_thresholds_are_shown_where_they_have_to_do_with_the_classes():
    assert fitting_profile(Recipe().label, SEA_ICE).name == "ross-sea-summer"
    assert fitting_profile(Recipe().label, MASKS) is None
    raster = Recipe.model_validate({"label": {"raster": "{stem}_labels.tif"}})
    assert fitting_profile(raster.label, SEA_ICE) is None
    other = MASKS.model_copy(update={"kind": "exclusive"})
    assert fitting_profile(Recipe().label, other) is None
