"""Command line of the input benchmark: `python -m benchmarks.input --help`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from benchmarks.common.cli import make_app
from benchmarks.common.commands import run
from benchmarks.common.report import Report
from benchmarks.input.data import InputFiles, make_files
from benchmarks.input.measure import AUGMENTATIONS, CACHES, PNG, Augmentation, Input
from benchmarks.input.report import augmentation_table, speed_table, start_table
from polynya.progress import track
from polynya.storage.files import output_folder

_ABOUT = (
    "Each row is a process of its own. The published way is written after its description: all"
    " images are decoded into memory first (here as uint8, one thread) and batches are taken from"
    " there. Input alone means that nothing is done with the batches. The step is Keras' own"
    " `train_on_batch`, float32."
)


def measure(
    report: Report,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of tiles.")] = 8,
    edge: Annotated[int, typer.Option(min=1, help="Tiles along the edge of a scene.")] = 16,
    size: Annotated[int, typer.Option(min=64, help="Edge of a tile in pixels.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Epochs measured; medians count.")] = 5,
    cores: Annotated[int, typer.Option(min=1, help="Of each process.")] = 2,
) -> None:
    """Measure how fast tiles come from shards to the training step."""
    files = make_files(report.folder / "data", scenes, edge, size)
    for old in files.cache.glob("*"):  # The first run must not find it.
        old.unlink()
    ways = [PNG, *CACHES[:2], "disk again", *CACHES[2:]]
    figures = {
        case: _measured(case, files, rounds, cores)
        for case in track([*ways, *AUGMENTATIONS], "Measuring")
    }
    inputs = {way: Input(**figures[way]) for way in ways}
    layers = {case: Augmentation(**figures[case]) for case in AUGMENTATIONS}
    tables = {
        "speed": speed_table(inputs, files),
        "start": start_table(inputs, files),
        "augmentation": augmentation_table(layers),
    }
    page = report.write("input", "From shards to the training step", _ABOUT, tables, printed=False)
    typer.echo(page)


def _measured(case: str, files: InputFiles, rounds: int, cores: int) -> dict[str, Any]:
    """Figures of one case, from its own process."""
    work = output_folder(files.folder / "work")
    report = work / "figures.json"
    numbers = [str(number) for number in (files.tiles, files.size, rounds, cores)]
    words = [str(report), case.removesuffix(" again"), str(files.folder), *numbers]
    run([sys.executable, "-m", "benchmarks.input.measure", *words], work / "output.txt")
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return figures


app = make_app("input", measure)

if __name__ == "__main__":
    app()
