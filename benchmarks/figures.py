"""Check that measured figures in README and docs are those of kept results.

    python -m benchmarks.figures

A document cites a result by two comments around its table or paragraph:

    <!-- figures: labels -->
    <!-- end of figures -->

Numbers between them must be in `benchmarks/results/labels.json`, to the digits shown. `given` in
place of a name marks figures that nobody has measured here: limits, parameters, other people's.
After a name, `(all tables)` says that all tables of the result stand there; `--write` puts them in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.commands import ROOT
from benchmarks.common.pages import RULER, cells_of
from benchmarks.common.results import KEPT, Result, ResultError, describe, read_result
from polynya.cli import run_script

GIVEN = "given"
"""Name that marks figures which are not measured here."""

_BEGIN = re.compile(r"^<!-- figures: ([a-z0-9-]+)(?: \(([^)]*)\))? -->$")
_ALL = "all tables"
_END = "<!-- end of figures -->"
_NUMBER = re.compile(r"(?<![\w.,])[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
_CODE = re.compile(r"`[^`\n]*`|\]\([^)]*\)|<!--.*?-->")

_MEASURE = re.compile(
    r"(?<![\w.,])\d[\d,]*(?:\.\d+)?\s?"
    r"(?:%|[mu]?s\b|(?:milli)?seconds?\b|minutes?\b|hours?\b|[kMG]i?B\b|points?\b"
    r"|times\s(?:as|the|what|faster|slower|better|fewer|more)\b|\w+\sa\ssecond\b|\w+/s\b)"
)
"""A number with a unit of time, memory, speed or success."""
_LIMIT = re.compile(
    r"\b(?:at most|at least|up to|under|below|more than|less than|limits? of|reaches|aim is"
    r"|default(?: of)?|aims at|divided at|may (?:take|have)|every|least|greatest) \(?(?:the \w+ )*$"
)
"""Words directly before a number that is a limit, a default or an aim."""
_CONFIDENCE = re.compile(r"\b95 %[ -]*(?:intervals?\b|confidence\b)?$")
"""Level of a confidence interval."""
_PAPER = re.compile(r"\b(?:paper|study|student report)\b")
"""Sources of figures that are cited, in the same sentence."""
_UNIT = re.compile(r"%|(?:^|[ ,])(?:[mu]?s|[kMG]i?B|points)(?:$|[ ,])|/s\b")
"""Units in the head of a table."""
_LEAST_NUMBERS = 3
"""Cells of decimal numbers, or of any under a unit, that make a table one of measured figures."""


@dataclass(frozen=True)
class Block:
    """Lines of a document."""

    path: Path
    first: int
    """Number of the first line, from 1."""
    lines: tuple[str, ...]
    cited: str | None
    """Name of the result that they cite, or `GIVEN`; None without a mark."""


@dataclass(frozen=True)
class Number:
    """A number as a text shows it."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text.replace(",", ""))

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return len(self.text.partition(".")[2])

    def shows(self, other: Number) -> bool:
        """Whether this number is `other`, rounded to the digits of this one."""
        own, theirs = self.value, other.value
        if self.text[0] not in "+-":
            own, theirs = abs(own), abs(theirs)
        return other.digits >= self.digits and abs(own - theirs) <= 0.5001 * 10**-self.digits


def documents(root: Path = ROOT) -> list[Path]:
    """Return the documents whose figures are checked."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def problems(path: Path, kept: Path = KEPT) -> list[str]:
    """Return what is wrong with the figures of a document: a sentence each, with file and line."""
    found = []
    for block in blocks(path):
        if block.cited is None:
            found += list(_unmarked(block))
        elif block.cited != GIVEN:
            found += list(_wrong(block, kept))
    return found


def blocks(path: Path) -> list[Block]:
    """Cut a document at its marks.

    Raises:
        ResultError: A mark has no end, or an end has no mark.
    """
    found: list[Block] = []
    lines: list[str] = []
    cited: str | None = None
    first = 1
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        begin = _BEGIN.match(line)
        if begin is None and line != _END:
            lines.append(line)
            continue
        if (cited is None) == (begin is None):
            raise ResultError(f"{path.name}:{number}: marks of figures must come in pairs: fix it")
        found.append(Block(path, first, tuple(lines), cited))
        cited, lines, first = begin[1] if begin else None, [], number + 1
    if cited is not None:
        raise ResultError(f"{path.name}:{first}: figures without an end: write {_END}")
    return [*found, Block(path, first, tuple(lines), None)]


# === Figures with a mark ===


@dataclass(frozen=True)
class _Known:
    """Numbers of a result."""

    everywhere: tuple[Number, ...]
    rows: tuple[tuple[str, tuple[Number, ...]], ...]
    """First cell and numbers of each row of each table, and of neighbours with the same cell."""


@cache
def _known(path: Path) -> _Known:
    result = read_result(path)
    rows = [
        (label, tuple(number for row in group for number in _numbers_of(row)))
        for table in result.tables
        for label, group in groupby(table.rows, key=lambda row: _plain(row[0]))
    ]
    rows += [
        (_plain(row[0]), tuple(_numbers_of(row))) for table in result.tables for row in table.rows
    ]
    texts = [result.command, result.about, *result.machine.values(), *result.statements]
    for table in result.tables:
        texts += [table.title, *table.columns]
    words = [number for text in texts for number in numbers_in(text)]
    return _Known((*words, *(n for _, row in rows for n in row), *_measured(result)), tuple(rows))


def _measured(result: Result) -> Iterator[Number]:
    for one in result.measurements:
        known = (one.median, *one.spread, one.baseline_median, one.times_baseline, one.paper)
        yield from (Number(f"{value:.6f}") for value in known if value is not None)


def _wrong(block: Block, kept: Path) -> Iterator[str]:
    known = _known(kept / f"{block.cited}.json")
    for place, line in _figure_lines(block):
        where = f"{block.path.name}:{place}"
        cells = cells_of(line)
        if cells is not None and not RULER.match(line) and not _is_head(block, place):
            numbers = _numbers_of(cells)
            if numbers and not _is_row(_plain(cells[0]), numbers, known):
                yield f"{where}: no row of {block.cited}.json has these figures: {line}"
            continue
        for number in numbers_in(line):
            if not any(number.shows(other) for other in known.everywhere):
                yield f"{where}: {number.text} is not in {block.cited}.json"


def _is_row(label: str, numbers: Sequence[Number], known: _Known) -> bool:
    """Whether numbers, in this order, are in one row; in one of the same name if there is one."""
    named = [row for name, row in known.rows if name == label]
    rows = named or [row for _, row in known.rows]
    return any(_is_part(numbers, row) for row in rows)


def _numbers_of(cells: Sequence[str]) -> list[Number]:
    """Numbers of a row; of the first cell only if it is nothing but a number."""
    named = bool(re.search("[A-Za-z]", cells[0]))
    return numbers_in(" | ".join(cells[1:] if named else cells))


def _is_part(numbers: Sequence[Number], row: Sequence[Number]) -> bool:
    rest = iter(row)
    return all(any(number.shows(other) for other in rest) for number in numbers)


def _is_head(block: Block, place: int) -> bool:
    index = place - block.first + 1
    return index < len(block.lines) and bool(RULER.match(block.lines[index]))


def numbers_in(text: str) -> list[Number]:
    """Return the numbers of a text, without those in code and addresses."""
    return [Number(found[0]) for found in _NUMBER.finditer(_CODE.sub(" ", text))]


def _plain(cell: str) -> str:
    return re.sub(r"[*`]", "", cell).strip()


# === Figures without a mark ===


def _unmarked(block: Block) -> Iterator[str]:
    for place, lines in _paragraphs(block):
        if lines[0].startswith("|"):
            if _is_measured(lines):
                yield f"{block.path.name}:{place}: a table of figures without a mark"
            continue
        text = _CODE.sub(" ", "\n".join(lines))
        for found in _MEASURE.finditer(text):
            before = text[: found.start()]
            # The words of the sentence so far, with single blanks.
            sentence = " ".join(re.split(r"[.:;]\s", before)[-1].split()) + " "
            if not _is_given(sentence, found[0]):
                line = place + before.count("\n")
                figure = " ".join(found[0].split())
                yield f"{block.path.name}:{line}: a figure without a mark: {figure}"


def _paragraphs(block: Block) -> Iterator[tuple[int, list[str]]]:
    """Tables and paragraphs, with the number of their first line."""
    lines: list[str] = []
    first = last = 0
    for place, line in [*_figure_lines(block), (0, "")]:
        same_kind = bool(lines) and line.startswith("|") == lines[0].startswith("|")
        if lines and not (line and same_kind and place == last + 1):
            yield first, lines
            lines = []
        if line:
            first = first if lines else place
            lines.append(line)
        last = place


def _is_measured(lines: Sequence[str]) -> bool:
    head, *rows = (cells_of(line) or () for line in lines)
    units = [bool(_UNIT.search(column)) for column in head]
    numbers = [
        cell
        for row in rows
        for cell, of_unit in zip(row, units, strict=False)
        if re.fullmatch(r"[-+±*]*\d[\d,]*[\d.,%±() /+*-]*", cell) and (of_unit or "." in cell)
    ]
    return len(numbers) >= _LEAST_NUMBERS


def _is_given(sentence: str, figure: str) -> bool:
    """Whether a figure with a unit is a limit, a level of confidence, or cited."""
    return bool(_LIMIT.search(sentence) or _CONFIDENCE.match(figure) or _PAPER.search(sentence))


def _figure_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without fenced and indented code."""
    fenced = False
    for place, line in enumerate(block.lines, block.first):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield place, line


# === All tables of a result ===


def with_tables(text: str, kept: Path = KEPT) -> str:
    """Return a document's text with all tables of each result that it cites with `(all tables)`."""

    def fill(found: re.Match[str]) -> str:
        result = read_result(kept / f"{found[2]}.json")
        told = f"Printed by `{result.command}`. Machine: {describe(result.machine)}."
        tables = [table.markdown() for table in result.tables]
        return "\n".join([found[1], "", told, "", *tables, _END])

    mark = rf"(<!-- figures: ([a-z0-9-]+) \({_ALL}\) -->)\n.*?{_END}"
    return re.sub(mark, fill, text, flags=re.DOTALL)


def check(
    write: Annotated[
        bool, typer.Option("--write", help=f"First fill in what is marked with ({_ALL}).")
    ] = False,
) -> None:
    """Check the figures of README and docs; the exit code is 1 if one has no result or differs."""
    for path in documents() if write else ():
        text = path.read_text(encoding="utf-8")
        if (filled := with_tables(text)) != text:
            # The documents of the clone are the user's, so they are no products of Polynya.
            path.write_text(filled, encoding="utf-8")
            typer.echo(f"Written: {path}")
    found = [problem for path in documents() for problem in problems(path)]
    for problem in found:
        typer.echo(problem)
    typer.echo(f"{len(documents())} documents, {len(found)} problems")
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(check)
