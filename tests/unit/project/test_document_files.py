"""Pictures and files that README and docs name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.documents.blocks import DOCUMENTS, ROOT
from helpers.documents.command_lines import check_line, words_of

IMAGES = ROOT / "docs" / "images"
DRAWN = re.compile(r"<!-- drawn by `(.+?)` as (\S+) -->\n+(.*\n)")
"""A comment before the line that shows a picture: which command draws it, and as which file."""

FOLDERS = "polynya|autolabel|training|inference|data_samples|benchmarks|deploy|tests|docs"
PATH = re.compile(rf"`((?:{FOLDERS})/[A-Za-z0-9_./-]*)`")


def commands_of(name: str) -> list[str]:
    """Commands that documents name as those that draw a picture."""
    drawn = [found for path in DOCUMENTS for found in DRAWN.findall(path.read_text("utf-8"))]
    return [command for command, _, line in drawn if f"images/{name})" in line]


@pytest.mark.parametrize("name", sorted(path.name for path in IMAGES.iterdir()))
def test_each_picture_is_shown_beside_the_command_that_draws_it(name: str) -> None:
    assert commands_of(name), (
        f"no document shows {name} on the line after <!-- drawn by `COMMAND` as FILE -->"
    )
    for command in commands_of(name):
        for words in words_of(command):
            check_line(words)


# What the page on extending names is made by its reader: test_extending.py.
KEPT = [path for path in DOCUMENTS if path.name != "extending.md"]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_document_names_are_there(path: Path) -> None:
    named = set(PATH.findall(path.read_text("utf-8")))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
