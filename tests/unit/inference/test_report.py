"""`polynya report`: numbers are those of the files, faults of files are said, names stay text."""

from __future__ import annotations

import json
import shutil
from html import unescape
from html.parser import HTMLParser

import pytest

from helpers.maps.inference_commands import run
from helpers.maps.report_runs import (
    EVIL,
    EVIL_TITLE,
    write_benchmark,
    write_model,
    write_run,
    write_sweep,
)
from inference.report.page import make_report
from polynya.errors import SceneError


class _Text(HTMLParser):
    """Text of a page, without styles and scripts."""

    def __init__(self):
        super().__init__()
        self.parts, self.inside = [], []

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.inside):
            self.parts.append(data)


def text_of(page):
    parser = _Text()
    parser.feed(page)
    return " ".join(parser.parts)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture
def copied(made, tmp_path):
    """The same run, to be damaged; maps find their scenes beside them."""
    return shutil.copytree(made, tmp_path / "run")


def change(path, function):
    content = json.loads(path.read_text())
    function(content)
    path.write_text(json.dumps(content))


def replace_cell(path, row, column, value):
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index(column)
    cells = lines[row].split(",")
    cells[place] = value
    path.write_text("\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]) + "\n")


def test_a_sound_run_has_nothing_to_warn_of(made):
    text = text_of(make_report(made))
    assert "contradict" not in text
    assert "can't show" not in text
    assert "3 of 3 scenes, from the worst to the best of the evaluation" in text
    assert text.index("site2_cloud") < text.index("site1_clear")
    for chapter in ("Where", "Accuracy", "Training", "Speed", "Recipe and provenance"):
        assert chapter in text
    assert EVIL in text
    assert EVIL_TITLE in text


def test_a_wrong_score_of_a_model_is_shown_and_named(copied):
    def plant(content):
        content["validation"]["accuracy"] = 0.991234
        content["validation"]["classes"]["thin_ice"]["iou"] = 0.123456

    text = text_of(make_report(copied / "model"))
    assert "0.9912" not in text
    change(copied / "model/metrics.json", plant)
    text = text_of(make_report(copied / "model"))
    assert "99.1%" in text
    assert "0.1235" in text
    known = json.loads((copied / "model/metrics.json").read_text())["validation"]["confusion"]
    right = sum(known[k][k] for k in range(3)) / sum(map(sum, known))
    assert (
        f"the stored accuracy 0.9912 differs from the {right:.4f} that the confusion matrix gives"
        in text
    )
    assert "the stored iou of thin ice 0.1235 differs" in text
    assert f"the {right:.4f} that history.csv has for epoch 2" in text


def test_a_wrong_score_of_an_evaluation_is_shown_and_named(copied):
    def plant(content):
        score = content["groups"][0]["scores"][1]
        score["right"] = 0.543219
        score["values"]["mean_f1"] = 0.876543
        score["confusion"][0][0] += 7

    change(copied / "evaluation/evaluation.json", plant)
    text = text_of(make_report(copied))
    assert "54.3%" in text
    assert "0.8765" in text
    assert "model, all scenes: the stored right 0.5432 differs" in text
    assert "model, all scenes: the stored mean f1 0.8765 differs" in text
    assert "the confusion matrix has 18,439 pixels with those without a label, and 18,432" in text
    assert "the stored right 0.5432 differs from the 0.9167 that its scenes together have" in text


def test_wrong_shares_epochs_and_speed_ups_are_shown_and_named(copied, tmp_path):
    replace_cell(copied / "maps/summary.csv", 1, "open_water_share", "0.777777")
    replace_cell(copied / "model/history.csv", 2, "val_mean_iou", "0.123456")
    text = text_of(make_report(copied))
    assert "77.8%" in text
    assert "site1_clear: the stored share of open_water, 0.7778, differs" in text
    assert "site1_clear: the shares of the classes add up to" in text
    assert "0.12346" in text
    assert "differs from the 0.1235 that history.csv has for epoch 2" in text
    bench = write_benchmark(tmp_path / "bench")
    page = (bench / "table.md").read_text()
    assert "contradict" not in text_of(make_report(bench))
    (bench / "table.md").write_text(page.replace("1.90", "3.21"))
    text = text_of(make_report(bench))
    assert "the stored speed-up 3.21 of ranks 2 differs from the 1.90 that its images" in text


def test_what_is_damaged_is_named_and_the_rest_is_made(copied):
    whole = copied / "maps/site1_clear.tif"
    whole.write_bytes(whole.read_bytes()[:300])
    (copied / "maps/site2_cloud.json").write_text("{")
    (copied / "scenes" / f"{EVIL}.tif").unlink()
    (copied / "model/metrics.json").write_text('{"validation": {"accuracy"')
    (copied / "model/history.csv").write_text("epoch,loss\n1,0.5,7\n")
    (copied / "model/classes.json").write_text("[]")
    (copied / "model/provenance.json").unlink()
    (copied / "evaluation/evaluation.json").write_text('{"version": 2}')
    text = text_of(make_report(copied))
    for sentence in (
        "maps/site1_clear.tif can't be used",
        "maps/site2_cloud.json is missing or damaged, so this map is left out",
        "isn't there any more",
        "model/metrics.json can't be used",
        "model/history.csv can't be used (row 2 has another number of cells",
        "model/classes.json can't be used",
        "model/provenance.json isn't there, so the provenance is left out",
        "evaluation/evaluation.json can't be used",
    ):
        assert sentence in text
    assert "Recipe of model" in text
    assert "1 of 2 scenes, by name" in text


@pytest.mark.parametrize(
    "content",
    ["[]", "7", '{"validation": null}', '{"validation": {"accuracy": "high"}}',
     '{"validation": {"accuracy": 0.5, "confusion": [[1, 2], [3]]}}',
     '{"epoch": [], "validation": {"classes": 3, "mean_iou": {}}}'],
)  # fmt: skip
def test_metrics_of_any_content_make_a_page(tmp_path, content):
    model = write_model(tmp_path / "model")
    (model / "metrics.json").write_text(content)
    text = text_of(make_report(model))
    assert "model/metrics.json can't be used" in text
    assert "All epochs" in text


def test_each_kind_is_recognised_and_nothing_else(made, tmp_path):
    write_sweep(tmp_path / "both/sweep")
    write_benchmark(tmp_path / "both/bench")
    text = text_of(make_report(tmp_path / "both"))
    for part in ("Best: trial 0001.", "71.25 ± 1.00", "python -m benchmarks.training", "4.00 x"):
        assert part in text
    assert "<b>rate</b>" in text
    assert "Speed-up: Ranks" in text
    with pytest.raises(SceneError, match="isn't there; give the folder of a run"):
        make_report(tmp_path / "none")
    with pytest.raises(SceneError, match="is no folder"):
        make_report(made / "model/metrics.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SceneError, match="nothing to report on; looked in it and in its folders"):
        make_report(tmp_path / "empty")


@pytest.mark.slow  # The list of commands imports them all.
def test_the_command_writes_beside_the_run_and_shows_as_many_scenes_as_asked(copied):
    output = run("report", copied, "--scenes", 2).output
    page = copied.with_name("run-report.html")
    assert "run-report.html" in output
    text = page.read_text()
    assert "2 of 3 scenes, from the worst to the best of the evaluation. --scenes shows" in (
        text_of(text)
    )
    assert text.count('class="stage"') == 2
    assert "http" not in unescape(text).replace("http-equiv", "")
    assert "is a folder" in run("report", copied, "--out", copied, expect=1).output
    page.write_text("mine")
    assert "is not a file that Polynya wrote" in run("report", copied, expect=1).output
    assert page.read_text() == "mine"
