"""Puts the parts of a report together."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from inference.report.benchmarked import describe_benchmark
from inference.report.evaluated import describe_evaluation
from inference.report.folders import RunPart, find_parts
from inference.report.labelled import describe_shards
from inference.report.mapped import describe_maps
from inference.report.piece import TITLES, Known, Piece
from inference.report.schemes import palette_style, palette_switch
from inference.report.swept import describe_sweep
from inference.report.trained import describe_model
from polynya import __version__
from polynya.names import printable
from polynya.report.html import Html, document, element, joined
from polynya.report.parts import cards

_ORDER = ("model", "shards", "evaluation", "maps", "sweep", "benchmark")
"""Maps come after what tells of them: recipes and scores."""
_MOST_CARDS = 8


def make_report(run: str | Path, scenes: int = 6) -> str:
    """Make the report of a run as HTML.

    Args:
        run: Folder of a model, an evaluation, maps, shards, a sweep or a benchmark, or a folder
            with several of these.
        scenes: Greatest number of scenes to show of each folder of maps.

    Returns:
        The page, which needs no other file and no network.

    Raises:
        SceneError: There is no such folder, or nothing in it can be reported on.
    """
    folder = Path(run)
    parts = sorted(find_parts(folder), key=lambda part: _ORDER.index(part.kind))
    known = Known()
    pieces = [_describe(part, known, scenes) for part in parts]
    name = folder.resolve().name or str(folder)
    script, style = _static("report.js"), _static("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return document(
        f"{printable(name)}: report",
        element("a", "Skip to the content", href="#content", _class="skip"),
        _head(name, pieces),
        _navigation(pieces, known),
        element("div", _said(pieces), *_chapters(pieces), id="content"),
        element(
            "p",
            f"Made by Polynya {__version__} (polynya report). All numbers are read from the files"
            " of the run. The page needs no network.",
            _class="quiet foot",
        ),
        element("script", Html(script)),
        policy=(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
            f" script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
        head=[element("style", Html(f"{style}\n{palette_style(known.schemes)}"))],
    )


def _static(name: str) -> str:
    return files("inference.report").joinpath(f"static/{name}").read_text(encoding="utf-8")


def _describe(part: RunPart, known: Known, scenes: int) -> Piece:
    if part.kind == "model":
        return describe_model(part.folder, known)
    if part.kind == "shards":
        return describe_shards(part.folder, known)
    if part.kind == "evaluation":
        return describe_evaluation(part.folder, known)
    if part.kind == "maps":
        return describe_maps(part.folder, known, scenes)
    if part.kind == "sweep":
        return describe_sweep(part.folder)
    return describe_benchmark(part.folder)


def _head(name: str, pieces: Sequence[Piece]) -> Html:
    chips = [element("li", piece.title) for piece in pieces]
    # What a run is for comes first: its maps and their scores.
    ordered = sorted(pieces, key=lambda piece: piece.kind not in ("evaluation", "maps"))
    shown = [card for piece in ordered for card in piece.cards]
    # The worst news must be seen; among the others, the first ones.
    bad = [card for card in shown if card[2]]
    good = [card for card in shown if not card[2]][: max(_MOST_CARDS - len(bad), 0)]
    return element(
        "header",
        _MARK,
        element("p", "Polynya report", _class="kicker"),
        element("h1", name),
        element("ul", *chips, _class="chips"),
        cards([*good, *bad]) if shown else joined(),
        _class="hero",
    )


_MARK = element(
    "svg",
    element("path", d="M0 90L70 40 150 62 215 18 300 52 300 140 0 140Z", _class="far"),
    element("path", d="M60 140L110 84 168 104 228 66 300 96 300 140Z", _class="near"),
    viewBox="0 0 300 140", aria_hidden="true", _class="floes", preserveAspectRatio="none",
)  # fmt: skip


def _navigation(pieces: Sequence[Piece], known: Known) -> Html:
    used = [c for c in TITLES if any(c in piece.chapters for piece in pieces)]
    links = [element("a", TITLES[chapter], href=f"#{chapter}") for chapter in used]
    nav = element("nav", *links, aria_label="Chapters")
    return element("div", nav, palette_switch(known.schemes), _class="bar-of-page")


def _said(pieces: Sequence[Piece]) -> Html:
    """What is contradictory, and what is missing."""
    boxes = []
    for title, kind, texts in (
        ("Numbers that contradict each other", "alarm",
         [text for piece in pieces for text in piece.warnings]),
        ("What the page can't show", "lack", [text for piece in pieces for text in piece.missing]),
    ):  # fmt: skip
        if texts:
            items = (element("li", text) for text in dict.fromkeys(texts))
            box = (element("h2", title), element("ul", *items))
            boxes.append(element("section", *box, _class=f"said {kind}", aria_label=title))
    return joined(*boxes)


def _chapters(pieces: Sequence[Piece]) -> list[Html]:
    shown = []
    for chapter, title in TITLES.items():
        content = [part for piece in pieces for part in piece.chapters.get(chapter, ())]
        if content:
            heading = element("h2", title, id=f"{chapter}-title")
            shown.append(
                element(
                    "section", heading, *content, id=chapter, aria_labelledby=f"{chapter}-title"
                )
            )
    return shown
