"""Command line of the input benchmark: `python -m benchmarks.input --help`."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Annotated

import typer

from benchmarks.common.cli import make_app
from benchmarks.common.report import Report, table_of
from benchmarks.input.data import InputFiles, make_files, stored_bytes
from benchmarks.input.measure import (
    AUGMENTATIONS,
    BATCH,
    CACHES,
    PNG,
    Augmentation,
    Input,
    run_case,
)
from polynya.progress import track
from polynya.report.tables import Table

A100_TILES_PER_S = 586
"""Images of 256 x 256 px per second that the paper's U-Net needs on one A100."""
_GB = 1e9
_TITLES = {
    PNG: "published way: all PNG files decoded into memory",
    "memory": "cache: memory",
    "disk": "cache: disk, first run",
    "disk again": "cache: disk, second run",
    "none": "cache: none",
}
_ABOUT = (
    "Each row is a separate process. The published way follows its description: all images are"
    " decoded into memory first (here as uint8, one thread), and batches come from memory. Input"
    " alone means that nothing uses the batches. The step is Keras' own `train_on_batch`, float32."
)


def measure(
    report: Report,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of tiles.")] = 8,
    edge: Annotated[int, typer.Option(min=1, help="Tiles along the edge of a scene.")] = 16,
    size: Annotated[int, typer.Option(min=64, help="Edge of a tile in pixels.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Epochs measured; medians count.")] = 5,
    cores: Annotated[int, typer.Option(min=1, help="Cores of each process.")] = 2,
) -> None:
    """Measure how fast tiles come from shards to the training step."""
    files = make_files(report.folder / "data", scenes, edge, size)
    for old in files.cache.glob("*"):  # The first run must not find old tiles.
        old.unlink()
    ways = [PNG, *CACHES[:2], "disk again", *CACHES[2:]]
    figures = {
        case: run_case(case, files, rounds, cores)
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


def speed_table(found: Mapping[str, Input], files: InputFiles) -> Table:
    """Speed of batches after the first epoch, and the number of A100 that this speed feeds."""
    gigabytes = files.decoded_bytes / files.tiles / _GB
    return table_of(
        f"Batches of {BATCH} tiles of {files.size} px, shuffled, without augmentation",
        found.items(),
        {
            "input alone": lambda row: _TITLES[row[0]],
            "tiles/s": lambda row: f"{row[1].tiles_per_s:.0f}",
            "GB/s": lambda row: f"{row[1].tiles_per_s * gigabytes:.2f}",
            "processor time of a tile, us": lambda row: f"{1e6 * row[1].cpu_s_per_tile:.0f}",
            f"A100 at {A100_TILES_PER_S} images/s that it feeds": lambda row: (
                f"{row[1].tiles_per_s / A100_TILES_PER_S:.1f}"
            ),
            "cores that one A100 needs": lambda row: (
                f"{A100_TILES_PER_S * row[1].cpu_s_per_tile:.2f}"
            ),
        },
    )


def start_table(found: Mapping[str, Input], files: InputFiles) -> Table:
    """Time to the first batch, and memory; each way in a separate process."""

    def stored(case: str) -> int:
        return stored_bytes(files.images.parent if case == PNG else files.shards)

    return table_of(
        f"{files.tiles} tiles of {files.size} px, {files.decoded_bytes / _GB:.2f} GB decoded",
        found.items(),
        {
            "one rank": lambda row: _TITLES[row[0]],
            "files, GB": lambda row: f"{stored(row[0]) / _GB:.2f}",
            "first batch, s": lambda row: f"{row[1].first_batch_s:.2f}",
            "peak memory, GB": lambda row: f"{row[1].peak_bytes / _GB:.2f}",
            "of it beside libraries, GB": lambda row: (
                f"{(row[1].peak_bytes - row[1].libraries_bytes) / _GB:.2f}"
            ),
        },
    )


def augmentation_table(found: Mapping[str, Augmentation]) -> Table:
    """Time of augmentation, also as a share of a training step."""
    step = median(way.step_s_per_tile for way in found.values())
    return table_of(
        f"Augmentation beside a training step of the default U-Net ({1 / step:.2f} tiles/s)",
        found.items(),
        {
            "augmentation": lambda row: row[0],
            "layers, ms/tile": lambda row: f"{1e3 * row[1].layers_s_per_tile:.2f}",
            "input with layers, tiles/s": lambda row: f"{row[1].tiles_per_s:.0f}",
            "layers, % of a plain step": lambda row: (
                f"{100 * row[1].layers_s_per_tile / row[1].step_s_per_tile:.1f}"
            ),
            "input with layers, times what the model takes": lambda row: (
                f"{row[1].tiles_per_s * row[1].step_s_per_tile:.0f}"
            ),
        },
    )


app = make_app("input", measure)

if __name__ == "__main__":
    app()
