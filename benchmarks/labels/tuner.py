"""How fast the page of `polynya thresholds` answers, in a real Chromium; and its pictures."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import rasterio
from rasterio.enums import Resampling

from benchmarks.common.browser import DESKTOP, PHONE, Browser, open_browser
from benchmarks.common.commands import environment
from benchmarks.common.report import table_of
from benchmarks.common.scenes import make_large_scene
from data_samples import make_scene, write_scene
from polynya.errors import PolynyaError
from polynya.report.tables import Table
from polynya.storage.files import output_folder, whole_file

_PRESSES = 21
"""Key presses on a limit; each labels the visible pixels again."""
_READY = "document.querySelector('#status').textContent === 'Ready.'"
_LIMIT = "document.querySelector('#value-tracks .track:nth-child(3) .handle.low')"

# A key press labels in the next frame; a task after this frame runs when it has been drawn.
_PRESS = """(async () => {
  const times = [], canvas = document.querySelector('.pane canvas'), seen = new Set();
  for (let i = 0; i < %d; i++) {
    const key = i %% 2 ? 'PageUp' : 'PageDown';
    const start = performance.now();
    %s.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - start);
    await new Promise(done => setTimeout(done, 150));
    seen.add(canvas.toDataURL());
  }
  return [times, seen.size];
})()"""
_PROGRESS = "/ [1-9][0-9]* %/.test(document.querySelector('#status').textContent)"
_FIRST = "performance.getEntriesByName('first picture 0')[0]?.startTime"


@dataclass(frozen=True)
class PageTimes:
    """What a person waits for, in milliseconds."""

    scene: str
    start: float
    """From starting the command to the address that it prints."""
    first_picture: float
    """From opening the address to the first pixels of the scene."""
    first_progress: float
    """From opening the address to the first share of the scene that is said to be read; NaN where
    the scene need not be read first."""
    whole: float
    """From opening the address until all of the scene can be seen."""
    moves: tuple[tuple[str, tuple[float, ...]], ...]
    """For each size of the view, times from a key press on a limit to the new label."""


@contextmanager
def running_page(scenes: Sequence[Path], folder: Path) -> Iterator[str]:
    """Start the command as a person would; yields the address that it prints."""
    command = ["polynya", "thresholds", *map(str, scenes), "--no-browser", "--name", "my-season"]
    command += ["--out", str(folder / "thresholds.yaml")]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # It is a pipe.
        words = process.stdout.readline().split()
        if len(words) != 2:
            raise PolynyaError(f"{' '.join(command)} printed no address; see what it says above.")
        yield words[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def add_overviews(path: Path) -> Path:
    """Return a copy of a scene with overviews inside; made once."""
    target = path.with_name(f"{path.stem}-overviews{path.suffix}")
    if not target.is_file():
        with whole_file(target) as temporary:
            shutil.copyfile(path, temporary)
            with rasterio.open(temporary, "r+") as source:
                source.build_overviews([2, 4, 8, 16], Resampling.average)
    return target


def measure_page(data: Path, size: int) -> list[PageTimes]:
    """Open a scene with overviews and the same without, move a limit, and take the times."""
    plain = make_large_scene(output_folder(data), size)
    return [
        _measure("with overviews", add_overviews(plain)),
        _measure("without overviews", plain),
    ]


def _measure(title: str, scene: Path) -> PageTimes:
    begun = time.perf_counter()
    with TemporaryDirectory() as folder, running_page([scene], Path(folder)) as address:
        printed = 1000 * (time.perf_counter() - begun)
        with open_browser(Path(folder) / "chromium") as browser:
            start = time.perf_counter()
            browser.open(address, DESKTOP)
            browser.wait(f"{_FIRST} > 0 || {_PROGRESS}")
            said = 1000 * (time.perf_counter() - start)
            needs_reading = not browser.ask(_READY)
            browser.wait(f"{_FIRST} > 0")
            browser.wait(_READY, 300)
            whole = 1000 * (time.perf_counter() - start)
            moves = [("whole scene", _move(browser))]
            # Into the middle, until single pixels are shown.
            browser.ask("document.querySelector('.pane canvas').focus()")
            for _ in range(9):
                browser.press("+")
            browser.ask("new Promise(done => setTimeout(done, 3000))")
            moves.append(("single pixels", _move(browser)))
            first = float(browser.ask(_FIRST))
        return PageTimes(
            title, printed, first, said if needs_reading else float("nan"), whole, tuple(moves)
        )


def _move(browser: Browser) -> tuple[float, ...]:
    times, pictures = browser.ask(_PRESS % (_PRESSES, _LIMIT))
    if pictures < 2:
        raise PolynyaError("The label didn't change when a limit was moved; look at the page.")
    return tuple(times[1:])


def page_tables(results: Sequence[PageTimes]) -> dict[str, Table]:
    """Return the tables of what a person waits for."""

    def ms(value: float) -> str:
        return "" if value != value else f"{value:.0f}"

    moves = [(r.scene, view, times) for r in results for view, times in r.moves]
    return {
        "tuner-start": table_of(
            "From opening the address, ms; before that, the start of the command",
            results,
            {
                "scene": lambda r: r.scene,
                "command": lambda r: ms(r.start),
                "first picture": lambda r: ms(r.first_picture),
                "first progress": lambda r: ms(r.first_progress),
                "whole scene": lambda r: ms(r.whole),
            },
        ),
        "tuner-moves": table_of(
            f"From moving a limit to the new label, ms, {_PRESSES - 1} moves",
            moves,
            {
                "scene": lambda r: r[0],
                "view": lambda r: r[1],
                "median": lambda r: ms(median(r[2])),
                "most": lambda r: ms(max(r[2])),
            },
        ),
    }


def draw_page(folder: Path) -> list[Path]:
    """Draw the page as docs/thresholds.md shows it, at the width of a desktop and of a phone."""
    drawn = []
    with TemporaryDirectory() as temporary:
        inside = Path(temporary)
        scenes = []
        for seed, sky in ((4201, "clear"), (4206, "both")):
            scene = make_scene(seed, 0, (1024, 1024), sky, wedge=0.0, season="arctic-spring")
            scenes.append(write_scene(scene, inside)[0 if sky == "clear" else 1])
        with running_page(scenes, inside) as address, open_browser(inside / "chromium") as browser:
            for name, width in (("desktop", DESKTOP), ("phone", PHONE)):
                browser.open(address, width)
                browser.wait(_READY)
                browser.ask("document.querySelector('#suggest').click()")
                browser.wait("document.querySelector('#status').textContent.startsWith('Water')")
                browser.ask("new Promise(done => setTimeout(done, 1000))")
                path = folder / f"thresholds-{name}.png"
                with whole_file(path) as unfinished:
                    browser.screenshot(unfinished)
                drawn.append(path)
    return drawn
