"""The format of results, what is kept of them, and the comparison of two."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.common.pages import tables_of
from benchmarks.common.report import Report
from benchmarks.common.results import (
    FORMAT,
    Baseline,
    Measurement,
    Result,
    ResultError,
    describe,
    new_result,
    read_result,
)
from benchmarks.compare import compare, compare_results
from benchmarks.keep import keep
from polynya.cli import one_sentence_errors
from polynya.report.tables import Table

FAST = Measurement("part: fast", "tiles/s", (99.0, 100.0, 102.0), "higher", paper=242.8)
SLOW = Measurement(
    "part: slow", "s", (2.0, 2.02, 1.97), "lower", Baseline("other", (4.0, 4.1, 3.9))
)


def scaled(one: Measurement, factor: float) -> Measurement:
    return replace(one, values=tuple(factor * value for value in one.values))


def result(*measurements: Measurement, name: str = "short") -> Result:
    return Result(name, "python -m benchmarks.suite", measurements=measurements)


def call(command, *words: object):
    app = typer.Typer()
    app.command()(one_sentence_errors(command))
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = Table("Squares", ("n", "square"), (("1", "1"), ("2", "4")))
    about = {"tables": (table,), "measurements": (FAST, SLOW), "statements": ("All are right.",)}
    written = new_result("squares", "python -m squares", "Small ones.", **about)
    written.write(tmp_path / "squares.json")
    assert read_result(tmp_path / "squares.json") == written
    assert {"processor", "cores", "Python", "NumPy"} <= set(written.machine)
    assert describe(written.machine).startswith(f"{written.machine['processor']}, ")
    assert written.origin == "measured"
    assert written.date.endswith("+00:00")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no result"),
        ("[]", "is no result"),
        ("{}", "is no result"),
        (f'{{"format": {FORMAT}}}', "is no complete result"),
        ('{"format": 99}', f"has format 99, not {FORMAT}: run its command again"),
    ],
)
def test_other_files_are_no_results(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=told):
        read_result(path)
    with pytest.raises(ResultError, match="can't be read"):
        read_result(tmp_path / "nothing.json")


def test_a_measurement_has_a_median_quartiles_and_a_ratio() -> None:
    assert (FAST.median, FAST.spread, FAST.times_baseline) == (100.0, (99.5, 101.0), None)
    assert SLOW.times_baseline == 2.0  # Lower is better.
    assert replace(SLOW, better="higher").times_baseline == 0.5
    assert replace(FAST, values=(3.0,)).spread == (3.0, 3.0)


def test_a_report_leaves_a_result(tmp_path: Path) -> None:
    table = Table("Squares", ("n", "square"), (("1", "1"),))
    Report(tmp_path, "python -m squares").write(
        "page", "Numbers", "Small ones.", {"squares": table}, measurements=[FAST], printed=False
    )
    found = read_result(tmp_path / "page.json")
    assert (found.name, found.command) == ("page", "python -m squares")
    assert (found.tables, found.measurements) == ((table,), (FAST,))


@pytest.mark.parametrize(
    ("one", "factor", "verdict"),
    [
        (FAST, 0.8, "worse"),
        (FAST, 1.2, "better"),
        (SLOW, 1.2, "worse"),
        (SLOW, 0.8, "better"),
        (FAST, 0.95, "same"),
        (SLOW, 1.05, "same"),
        (replace(FAST, values=(100.0,)), 0.85, "worse"),  # 15 % is the limit.
        (replace(FAST, values=(100.0,)), 0.86, "same"),
        (replace(FAST, values=(60.0, 100.0, 140.0)), 0.8, "same"),  # Within the spread.
    ],
)
def test_a_change_of_20_percent_counts_and_one_of_5_does_not(
    one: Measurement, factor: float, verdict: str
) -> None:
    (change,) = compare_results(result(one), result(scaled(one, factor)))
    assert change.verdict == verdict
    assert change.change == pytest.approx(factor - 1)


def test_the_comparison_says_what_got_worse(tmp_path: Path) -> None:
    old, new, same = (tmp_path / f"{name}.json" for name in ("old", "new", "same"))
    result(FAST, SLOW).write(old)
    replace(result(scaled(FAST, 0.8), FAST), machine={"processor": "Z80"}).write(new)
    replace(result(scaled(FAST, 0.8)), machine={"processor": "Z80"}).write(new)
    result(scaled(FAST, 0.95), scaled(SLOW, 0.5)).write(same)
    done = call(compare, old, new)
    assert done.exit_code == 1
    assert "2 measurements: 1 worse, 0 better, 1 missing in the new result" in done.output
    assert "The machines or versions differ" in done.output
    assert "-20.0" in done.output
    done = call(compare, old, same)
    assert done.exit_code == 0
    assert "2 measurements: 0 worse, 1 better, 0 missing" in done.output
    assert call(compare, old, same, "--least", "0.01").exit_code == 1


def test_only_results_of_one_benchmark_are_compared() -> None:
    with pytest.raises(ResultError, match=r"different benchmarks \(short, full\)"):
        compare_results(result(FAST), result(FAST, name="full"))
    with pytest.raises(ResultError, match="no measurements"):
        compare_results(result(FAST), result())


def test_results_are_kept_alone_and_together(tmp_path: Path) -> None:
    first, second, folder = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "kept"
    result(FAST).write(first)
    replace(result(SLOW), command="python -m other").write(second)
    assert call(keep, "first", first, "--folder", folder).exit_code == 0
    assert read_result(folder / "first.json") == result(FAST)
    assert call(keep, "both", first, second, "--folder", folder).exit_code == 0
    both = read_result(folder / "both.json")
    assert both.measurements == (FAST, SLOW)
    assert both.command == "python -m benchmarks.suite; python -m other"
    # A kept result is replaced.
    assert call(keep, "first", second, "--folder", folder).exit_code == 0
    assert read_result(folder / "first.json").measurements == (SLOW,)


PAGE = """# Page

**Squares**

| n | square |
|--:|--:|
| 1 | 1 |
| 2 | 4 |

Text.

| a | b |
|---|---|
| x \\| y | z |
"""


def test_tables_of_a_page_are_kept_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    words = ["squares", tmp_path / "page.md", "--folder", tmp_path]
    done = call(keep, *words)
    assert done.exit_code == 1
    assert "give --command" in done.output
    assert call(keep, *words, "--command", "make squares").exit_code == 0
    kept = json.loads((tmp_path / "squares.json").read_text())
    assert kept["command"] == "make squares"
    assert kept["tables"][0] == {
        "title": "Squares", "columns": ["n", "square"], "rows": [["1", "1"], ["2", "4"]]
    }  # fmt: skip
    assert tables_of(PAGE)[1] == Table("", ("a", "b"), (("x \\| y", "z"),))
    assert "no name for a result" in call(keep, "No Name", *words[1:]).output
    (tmp_path / "page.md").write_text("nothing")
    assert "has no table" in call(keep, *words, "--command", "make").output
