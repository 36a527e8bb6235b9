"""Tables of the input benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.input.data import InputFiles, stored_bytes
from benchmarks.input.measure import BATCH, PNG, Augmentation, Input
from polynya.report.tables import Table

A100_TILES_PER_S = 586
"""Images of 256 x 256 px a second that the paper's U-Net takes on one A100."""
_GB = 1e9
_TITLES = {
    PNG: "published way: all PNG files decoded into memory",
    "memory": "cache: memory",
    "disk": "cache: disk, first run",
    "disk again": "cache: disk, second run",
    "none": "cache: none",
}


def speed_table(found: Mapping[str, Input], files: InputFiles) -> Table:
    """How fast batches come after the first epoch, and how many A100 that feeds."""
    rows = []
    for case, way in found.items():
        gigabytes = way.tiles_per_s * files.decoded_bytes / files.tiles / _GB
        rows.append(
            (
                _TITLES[case],
                f"{way.tiles_per_s:.0f}",
                f"{gigabytes:.2f}",
                f"{1e6 * way.cpu_s_per_tile:.0f}",
                f"{way.tiles_per_s / A100_TILES_PER_S:.1f}",
                f"{A100_TILES_PER_S * way.cpu_s_per_tile:.2f}",
            )
        )
    columns = (
        "input alone",
        "tiles/s",
        "GB/s",
        "processor time of a tile, us",
        f"A100 at {A100_TILES_PER_S} images/s that it feeds",
        "cores that one A100 needs",
    )
    return Table(
        f"Batches of {BATCH} tiles of {files.size} px, shuffled, without augmentation",
        columns,
        tuple(rows),
    )


def start_table(found: Mapping[str, Input], files: InputFiles) -> Table:
    """Time to the first batch and memory, each way in a process of its own."""
    stored = {PNG: stored_bytes(files.images.parent)}
    rows = [
        (
            _TITLES[case],
            f"{stored.get(case, stored_bytes(files.shards)) / _GB:.2f}",
            f"{way.first_batch_s:.2f}",
            f"{way.peak_bytes / _GB:.2f}",
            f"{(way.peak_bytes - way.libraries_bytes) / _GB:.2f}",
        )
        for case, way in found.items()
    ]
    columns = (
        "one rank",
        "files, GB",
        "first batch, s",
        "peak memory, GB",
        "of it beside libraries, GB",
    )
    title = f"{files.tiles} tiles of {files.size} px, {files.decoded_bytes / _GB:.2f} GB decoded"
    return Table(title, columns, tuple(rows))


def augmentation_table(found: Mapping[str, Augmentation]) -> Table:
    """What augmentation takes, and what that is of a training step."""
    step = median(way.step_s_per_tile for way in found.values())
    rows = [
        (
            case,
            f"{1e3 * way.layers_s_per_tile:.2f}",
            f"{way.tiles_per_s:.0f}",
            f"{100 * way.layers_s_per_tile / way.step_s_per_tile:.1f}",
            f"{way.tiles_per_s * way.step_s_per_tile:.0f}",
        )
        for case, way in found.items()
    ]
    columns = (
        "augmentation",
        "layers, ms/tile",
        "input with layers, tiles/s",
        "layers, % of a plain step",
        "input with layers, times what the model takes",
    )
    title = f"Augmentation beside a training step of the default U-Net ({1 / step:.2f} tiles/s)"
    return Table(title, columns, tuple(rows))
