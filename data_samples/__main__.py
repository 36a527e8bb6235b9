"""Command line of the generator: `python -m data_samples --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polynya.cli import run_script
from polynya.errors import PolynyaError
from polynya.progress import track


def main(
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")],
    count: Annotated[int, typer.Option(min=1, help="Number of sites.")] = 1,
    size: Annotated[str, typer.Option(help="Size in pixels: H, or HxW (rows x columns).")] = "512",
    seed: Annotated[int, typer.Option(min=0, help="Seed; each seed gives different sites.")] = 0,
    sky: Annotated[
        str, typer.Option(help="clear, shadow, cloud, both, or mixed (the last three in turn).")
    ] = "mixed",
    shipped: Annotated[
        bool,
        typer.Option(
            "--shipped",
            help="Make the samples that ship with Polynya; ignores all options except --out.",
        ),
    ] = False,
) -> None:
    """Make polar scenes with truth: clear scene, cloudy scene, classes, cloud and shadow fields."""
    from data_samples.scene import make_scene
    from data_samples.shipped import SHIPPED, make_shipped
    from data_samples.write import write_scene
    from polynya.storage.output_folder import open_output

    shape = _shape(size)
    with open_output(out, "samples"):
        if shipped:
            for sample in track(SHIPPED, "Making samples"):
                make_shipped(sample, out)
            return
        for index in track(range(count), "Making samples"):
            write_scene(make_scene(seed, index, shape, sky), out)


def _shape(size: str) -> tuple[int, int]:
    parts = size.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise PolynyaError(f'size "{size}" is not a size: write 512, or 512x640 (rows x columns)')
    return int(parts[0]), int(parts[-1])


if __name__ == "__main__":
    run_script(main)
