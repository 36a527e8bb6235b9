"""The benchmark of maps finds seams where there are some, and counts like a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ice_image
from typer.testing import CliRunner

from benchmarks.maps.__main__ import app
from benchmarks.maps.decisions import DecisionRun, decisions_table
from benchmarks.maps.gaps import gaps_table, measure_gaps
from benchmarks.maps.seams import border_lines, change_counts, measure_seams
from benchmarks.maps.speed import SpeedRun, speed_table
from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from helpers.shards.tiny_shards import write_tiny_shards
from inference.predict.predict import open_model
from inference.predict.windows import Axis


def test_borders_are_where_windows_start_or_end_inside_the_scene():
    assert border_lines(Axis(20, 8, 0.5)).tolist() == [4, 8, 12, 16]
    assert border_lines(Axis(20, 8, 0.0)).tolist() == [8, 12, 16]
    assert border_lines(Axis(8, 8, 0.5)).tolist() == []
    assert border_lines(Axis(5, 8, 0.5)).tolist() == []


def test_changes_are_counted_across_borders_and_elsewhere():
    codes = np.zeros((6, 8), np.uint8)
    codes[:, 4:] = 1  # 6 changes across column 4, a border
    codes[2, 1] = 2  # 4 changes: one across row 3, a border, the others elsewhere
    rows, columns = Axis(6, 3, 0.0), Axis(8, 4, 0.0)
    np.testing.assert_array_equal(change_counts(codes, rows, columns), [6 + 1, 3])


def test_the_default_windows_are_compared_with_one_piece(tmp_path):
    model = open_model(save_unet(tmp_path / "model", make_recipe(32)))
    cuts = (("hann", 64, 0.5), ("trimmed", 32, 0.0), ("hann", 128, 0.5))
    blended, cut, whole = measure_seams(model, cuts, tmp_path, scenes=1, size=128)
    assert whole.same == 1.0
    assert whole.largest < 1e-6
    assert np.isnan(whole.excess)
    assert cut.largest > blended.largest > 0
    assert cut.mean > blended.mean


@pytest.mark.slow
def test_a_model_over_a_scene_is_timed_both_ways(tmp_path):
    options = ["--size", "256", "--models", "lean", "--ways", "0,1"]
    folders = ["--out", str(tmp_path), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, ["speed", *options, *folders], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "speed.md").read_text()
    assert "| lean | published |" in page
    assert "| lean | Polynya |" in page
    assert "Machine:" in page


def test_ratios_are_to_the_published_way_with_the_same_model():
    runs = [
        SpeedRun("a", "published", 20.0, 30.0, 2**30, 10.0, 0.5),
        SpeedRun("a", "Polynya", 4.0, 8.0, 2**29, 10.0, 1.0),
    ]
    table = speed_table(runs, "title")
    assert [row[4] for row in table.rows] == ["1.00", "5.00"]
    assert [row[6] for row in table.rows] == ["1024", "512"]


@pytest.mark.parametrize("size", [64, 100])
def test_a_single_window_has_no_borders(size):
    rates = change_counts(np.eye(size, dtype=np.uint8), Axis(size, size, 0), Axis(size, size, 0))
    assert rates[0] == 0
    assert rates[1] > 0


@pytest.mark.slow
def test_decisions_and_an_ensemble_are_scored_on_scenes_with_truth(tmp_path, write_scene):
    sections = {
        "model": {"filters": [4, 8], "dropout": [0, 0]},
        "split": {"validation": 0.25},
        "training": {"epochs": 1, "batch_size": 4},
    }
    recipe = make_recipe(32, **sections)
    write_tiny_shards(tmp_path / "shards", recipe)
    model = save_unet(tmp_path / "model", recipe)
    for name in ("a", "b"):
        image = ice_image(64, 64, seed=len(name))
        write_scene(f"{name}_clear.tif", image)
        truth = np.digitize(image[..., 2], [31, 205]).astype(np.uint8)
        write_scene(f"{name}_truth.tif", truth, nodata=255)
    words = ["decisions", "--model", model, "--shards", tmp_path / "shards", "--out", tmp_path]
    scenes = ["--validation", tmp_path / "a_clear.tif", "--heldout", tmp_path / "b_clear.tif"]
    for _ in range(2):  # The second time, the second model is there.
        result = CliRunner().invoke(app, [str(word) for word in [*words, *scenes]])
        assert result.exit_code == 0, result.output
    page = (tmp_path / "decisions.md").read_text()
    for setting in ("mean over 4 flips", "all that polynya tune keeps", "two models"):
        assert f"| {setting} |" in page
    assert "| least_region |" in page


def test_gains_are_over_the_first_row():
    runs = [DecisionRun("plain", 0.9, 0.8, 2.0), DecisionRun("flips", 0.91, 0.79, 8.0)]
    assert decisions_table(runs, "title").rows[1] == (
        "flips", "91.00", "+1.00", "79.00", "-1.00", "4.0"
    )  # fmt: skip


def test_a_model_that_sees_each_pixel_alone_sees_no_gap(tmp_path):
    model = open_model(save_threshold_model(tmp_path / "model", make_recipe()))
    counts = measure_gaps(model, [], tmp_path, scenes=1, size=256)
    assert set(counts) == {"standard", "blobs", "mosaic"}
    for of_ways in counts.values():
        assert (of_ways == of_ways[0]).all()
        assert (of_ways[..., 1] > 0).all()
    # Beside a gap nothing differs from the map of a picture without one.
    path = tmp_path / "mosaic-2.tif"
    of_ways = measure_gaps(model, [str(path)], tmp_path, scenes=0, size=256)["pictures"]
    assert (of_ways[..., 0] == 0).all()
    table = gaps_table(counts, "Gaps")
    assert len(table.rows) == 9
