"""Command line of the input benchmark: `python -m benchmarks.input --help`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.commands import ROOT, CommandFailedError, environment
from benchmarks.common.tables import write_markdown
from benchmarks.input.data import InputFiles, make_files
from benchmarks.input.measure import AUGMENTATIONS, CACHES, PNG, Augmentation, Input
from benchmarks.input.report import augmentation_table, speed_table, start_table
from polynya.cli import one_sentence_errors
from polynya.progress import track
from polynya.storage.files import output_folder

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

OUT = Path("runs/bench/input")
_ABOUT = (
    "Each row is a process of its own. The published way is written after its description: all"
    " images are decoded into memory first (here as uint8, one thread) and batches are taken from"
    " there. Input alone means that nothing is done with the batches. The step is Keras' own"
    " `train_on_batch`, float32."
)


@app.command()
@one_sentence_errors
def measure(
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of tiles.")] = 8,
    edge: Annotated[int, typer.Option(min=1, help="Tiles along the edge of a scene.")] = 16,
    size: Annotated[int, typer.Option(min=64, help="Edge of a tile in pixels.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Epochs measured; medians count.")] = 5,
    cores: Annotated[int, typer.Option(min=1, help="Of each process.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for tables and tiles.")] = OUT,
) -> None:
    """Measure how fast tiles come from shards to the training step."""
    out = output_folder(out).absolute()
    files = make_files(out / "data", scenes, edge, size)
    cache = files.folder / "cache"
    for old in cache.glob("*"):  # The first run must not find it.
        old.unlink()
    ways = [PNG, *CACHES[:2], "disk again", *CACHES[2:]]
    figures = [
        _run(case, files, rounds, cores) for case in track([*ways, *AUGMENTATIONS], "Measuring")
    ]
    inputs = {way: Input(**of_way) for way, of_way in zip(ways, figures, strict=False)}
    layers = {
        case: Augmentation(**of_case)
        for case, of_case in zip(AUGMENTATIONS, figures[len(ways) :], strict=True)
    }
    tables = [speed_table(inputs, files), start_table(inputs, files), augmentation_table(layers)]
    command = " ".join(["python -m benchmarks.input", *sys.argv[1:]])
    page = out / "input.md"
    write_markdown(page, "From shards to the training step", _ABOUT, command, tables)
    for name, table in zip(("speed", "start", "augmentation"), tables, strict=True):
        table.write_csv(out / f"{name}.csv")
    typer.echo(page.read_text(encoding="utf-8"))


def _run(case: str, files: InputFiles, rounds: int, cores: int) -> dict[str, Any]:
    """Figures of one case, from its own process."""
    numbers = [str(number) for number in (files.tiles, files.size, rounds, cores)]
    case = case.removesuffix(" again")
    command = [sys.executable, "-m", "benchmarks.input.measure", case, str(files.folder), *numbers]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise CommandFailedError(
            f"Measuring '{case}' ended with code {done.returncode}; mend what it says at its end:\n"
            + "\n".join(done.stderr.splitlines()[-15:])
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    app()
