"""Measured figures of README and docs are those of kept results, and a wrong digit is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.common.results import KEPT, Result, ResultError, read_result
from benchmarks.figures import GIVEN, blocks, documents, numbers_in, problems, with_tables
from polynya.report.tables import Table
from polynya.storage.ownership import is_whole

DOCUMENTS = documents()
CITED = {block.cited for path in DOCUMENTS for block in blocks(path)} - {None, GIVEN}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_figure_is_that_of_a_kept_result(path: Path) -> None:
    assert problems(path) == []


def test_every_kept_result_is_cited_and_can_be_replaced() -> None:
    kept = {path.stem for path in KEPT.glob("*.json")}
    assert kept == CITED
    for name in kept:
        assert read_result(KEPT / f"{name}.json").command, name
        assert is_whole(KEPT / f"{name}.json"), f"keep {name} with python -m benchmarks.keep"


def _changed(line: str) -> str:
    """A line with another last digit in its last number."""
    last = numbers_in(line)[-1].text
    start = line.rindex(last)
    other = last[:-1] + str((int(last[-1]) + 5) % 10)
    return line[:start] + other + line[start + len(last) :]


MARKED = [(path, block) for path in DOCUMENTS for block in blocks(path) if block.cited in CITED]


@pytest.mark.parametrize(
    ("path", "block"), MARKED, ids=[f"{path.stem}-{block.first}" for path, block in MARKED]
)
def test_one_changed_digit_is_noticed(path: Path, block, tmp_path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    places = [
        number
        for number, line in enumerate(block.lines, block.first - 1)
        if line.startswith("|") and any(n.digits for n in numbers_in(line.split("|", 2)[2]))
    ] or [n for n, line in enumerate(block.lines, block.first - 1) if numbers_in(line)]
    place = places[-1]
    lines[place] = _changed(lines[place])
    copy = tmp_path / path.name
    copy.write_text("\n".join(lines), "utf-8")
    assert [p for p in problems(copy) if p.startswith(f"{path.name}:{place + 1}:")]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    rows = (("fast", "1.249", "20"), ("slow", "7.5", "10"), ("slow", "8.25", "11"))
    table = Table("Times of 3 runs", ("way", "s", "CPU s"), rows)
    Result("times", "python -m times --size 64", tables=(table,)).write(tmp_path / "times.json")
    return tmp_path


def told(text: str, kept: Path) -> list[str]:
    path = kept / "page.md"
    path.write_text(text, "utf-8")
    return [problem.removeprefix("page.md:") for problem in problems(path, kept)]


def marked(text: str, name: str = "times") -> str:
    return f"<!-- figures: {name} -->\n{text}\n<!-- end of figures -->\n"


HEAD = "| way | s | CPU s |\n|---|--:|--:|\n"


@pytest.mark.parametrize(
    "text",
    [
        "Three runs of 64 pixels took 1.25 s, the slow ones 8 s.",
        f"{HEAD}| fast | 1.25 | 20 |\n| **slow** | 7.5 | 10 |",
        f"{HEAD}| slow | 7.5 | 8.25 |",  # Two rows of one name.
        f"{HEAD}| another name | 1.2 | 20 |",
        "Numbers of code don't count: `--size 99`, [a page](page99.md).",
    ],
)
def test_figures_may_be_rounded_and_left_out(text: str, kept: Path) -> None:
    assert told(marked(text), kept) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("It took 1.24 s.", "2: 1.24 is not in times.json"),
        ("It gained -1.25 s.", "2: -1.25 is not in times.json"),
        ("It took 1.2490 s.", "2: 1.2490 is not in times.json"),
        (f"{HEAD}| fast | 20 | 1.25 |", "4: no row of times.json has these figures: "),
        (f"{HEAD}| fast | 7.5 | 10 |", "4: no row of times.json has these figures: "),
        (f"{HEAD}| other | 7.5 | 20 |", "4: no row of times.json has these figures: "),
    ],
)
def test_other_figures_are_named_with_their_line(text: str, problem: str, kept: Path) -> None:
    (found,) = told(marked(text), kept)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "It took 1.25 s.",
        "It labels 480 tiles\na second.",
        "It labels them 3.5 times\nfaster.",
        "97.5 % of the pixels are right.",
        "Its peak was 12 GiB.",
        f"{HEAD}| fast | 1.25 | 20 |\n| slow | 7.5 | 10 |",
        f"{HEAD}| fast | 1 | 20 |\n| slow | 7 | 10 |",
    ],
)
def test_figures_without_a_mark_are_found(text: str, kept: Path) -> None:
    assert len(told(text, kept)) == 1
    assert told(marked(text, "given (an example)"), kept) == []


@pytest.mark.parametrize(
    "text",
    [
        "A file has at most 12 GiB.",
        "The 95 % interval covers 0.",
        "The paper reports 99.64 % on its scenes.",
        "Give `--size 20 %`.\n\n    polynya label    # 20 s\n\n```yaml\nshare: 20 %\n```",
        "| key | default |\n|---|--:|\n| `size` | 256 |\n| `share` | 0.5 |",
        "It runs on 2 cores with 3 ranks and Python 3.11.7.",
    ],
)
def test_limits_papers_and_code_need_no_mark(text: str, kept: Path) -> None:
    assert told(text, kept) == []


@pytest.mark.parametrize(
    "text",
    ["<!-- figures: times -->\n1", "<!-- end of figures -->", 2 * "<!-- figures: times -->\n"],
)
def test_marks_come_in_pairs(text: str, kept: Path) -> None:
    with pytest.raises(ResultError, match=re.compile(r"page\.md:\d: ")):
        told(text, kept)


def test_all_tables_of_a_result_are_filled_in(kept: Path) -> None:
    text = "Before.\n<!-- figures: times (all tables) -->\nold\n<!-- end of figures -->\nAfter.\n"
    filled = with_tables(text, kept)
    assert filled == with_tables(filled, kept)
    assert "| fast | 1.249 | 20 |\n" in filled
    assert "Printed by `python -m times --size 64`." in filled
    assert filled.startswith("Before.\n<!-- figures")
    assert filled.endswith("<!-- end of figures -->\nAfter.\n")
    assert told(filled, kept) == []
    assert with_tables(marked("1.25 s"), kept) == marked("1.25 s")


def test_a_cited_result_must_be_there(kept: Path) -> None:
    with pytest.raises(ResultError, match=r"nowhere\.json can't be read"):
        told(marked("1", "nowhere"), kept)
