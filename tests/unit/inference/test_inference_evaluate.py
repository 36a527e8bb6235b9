"""Scores against the truth, and the tables and pictures made of them."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import rasterio
from matplotlib.image import imread

from inference.evaluate.scores import (
    Evaluation,
    SceneScore,
    accuracy_table,
    class_table,
    confusion_table,
    scene_table,
    score_scene,
)
from polynya.errors import TruthError
from polynya.recipe.classes import SEA_ICE
from polynya.report.pictures import draw_confusion, draw_panels
from polynya.scenes.reading import open_scene
from polynya.scenes.truth import read_truth, sky_of, truth_path


def evaluation():
    """Two scenes, two methods, numbers that can be checked by hand."""
    perfect = np.diag([50, 30, 20])
    half = np.array([[25, 25, 0], [0, 30, 0], [0, 20, 0]])
    return Evaluation(
        SEA_ICE,
        ("thresholds alone", "model"),
        [
            SceneScore("a_cloud", "cloud", 100, {"thresholds alone": half, "model": perfect}),
            SceneScore("a_clear", "clear", 100, {"thresholds alone": perfect, "model": perfect}),
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
    assert water == ("thresholds alone", "Open water", "100.00", "75.00", "85.71", "75.00")
    assert thin[2:] == ("57.14", "100.00", "72.73", "57.14")
    assert thick[2:] == ("100.00", "50.00", "66.67", "50.00")
    assert mean[1:] == ("mean", "", "", "75.04", "60.71")
    assert confusion_table(scores, "thresholds alone").rows[0] == ("Open water", "75", "25", "0")
    scores.missed["b"] = "It is broken."
    scores.trained.add("a_cloud")
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
    score = score_scene("s", "clear", truth, valid, {"m": result}, SEA_ICE)
    assert score.pixels == 3
    assert score.confusions["m"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert score.accuracy("m") == pytest.approx(2 / 3)


def test_a_pixel_that_got_no_class_is_not_right():
    truth = np.array([[0, 1]], np.uint8)
    result = np.array([[0, 255]], np.uint8)
    score = score_scene("s", "clear", truth, truth < 9, {"m": result}, SEA_ICE)
    assert score.accuracy("m") == 0.5


def test_nothing_to_compare_is_an_error():
    truth = np.full((2, 2), 255, np.uint8)
    with pytest.raises(TruthError, match="no pixel with data and known truth"):
        score_scene("s", "clear", truth, truth == 255, {"m": truth}, SEA_ICE)


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
