"""Pictures of the page of `polynya report`, as docs/report.md shows them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.common.browser import DESKTOP, PHONE, open_browser
from benchmarks.common.pictures import use_palette
from benchmarks.common.report import Report
from inference.report.page import make_report
from polynya.storage.files import whole_file

_HEIGHTS = (("desktop", DESKTOP, 1500), ("phone", PHONE, 1500))
"""Name, width, and height of the top of the page that is drawn, in CSS pixels."""


def picture(
    report: Report, run: Annotated[Path, typer.Option(help="Folder of a run with maps.")]
) -> None:
    """Draw the page of `polynya report` at the width of a desktop and of a phone."""
    for path in draw_report(report.folder, run):
        typer.echo(f"Picture: {path}")


def draw_report(folder: Path, run: Path) -> list[Path]:
    """Make the report of a run and draw its top; returns the PNG files."""
    drawn = []
    with TemporaryDirectory() as temporary:
        page = Path(temporary) / "report.html"
        page.write_text(make_report(run), encoding="utf-8")
        with open_browser(Path(temporary) / "chromium") as browser:
            for name, width, height in _HEIGHTS:
                browser.open(page, width)
                path = folder / f"report-{name}.png"
                with whole_file(path) as unfinished:
                    browser.screenshot(unfinished, height)
                use_palette(path)
                drawn.append(path)
    return drawn
