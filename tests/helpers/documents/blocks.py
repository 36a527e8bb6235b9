"""The code blocks of README and docs, as a Markdown reader sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[3]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "data_samples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)

SHELL = ("", "bash", "sh", "console")
"""Languages of command lines; "" is a block that is indented."""
LANGUAGES = (*SHELL, "python", "yaml", "diff", "{toctree}", "{eval-rst}")
"""Languages that tests check. Directives (in braces) are checked when the site is built."""

_MARKER = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block of a document."""

    document: str
    """Path of the document in the repository."""
    line: int
    """Line where it begins, from 1."""
    language: str
    """What stands behind its fence; "" if it is indented."""
    text: str
    not_run: str | None
    """Why it isn't run or checked, as the comment before it says; None without a comment."""

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    """All code blocks of a document, in order."""
    found, before = [], None
    for token in MarkdownIt("commonmark").parse(document.read_text("utf-8")):
        if token.type in ("fence", "code_block"):
            language = token.info.strip() if token.type == "fence" else ""
            if token.type == "fence" and not language:
                language = "none"
            marked = _MARKER.search(before.content) if before is not None else None
            name = document.relative_to(ROOT).as_posix()
            reason = marked and marked[1]
            found.append(Block(name, token.map[0] + 1, language, token.content, reason))
        # A comment counts for the block that follows it at once.
        before = token if token.type == "html_block" else None
    return found


BLOCKS = tuple(block for document in DOCUMENTS for block in blocks_of(document))
"""Every code block there is."""


def of(*languages: str) -> list[Block]:
    """Blocks of these languages that are not marked."""
    return [block for block in BLOCKS if block.language in languages and block.not_run is None]
