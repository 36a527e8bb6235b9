"""Train a segmentation model on labelled tiles.

python training/train.py --shards DIR --out DIR [--recipe FILE]
horovodrun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
mpirun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
polynya train --shards DIR --out DIR [--recipe FILE]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polynya.cli import print_error, run_script
from polynya.errors import EXIT_CODE, PolynyaError


def train(
    shards: Annotated[
        str, typer.Option(help="Labelled tiles, from `polynya label`: a folder or URI.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe (YAML); default: the recipe of the shards.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a finished model.")] = False,
) -> None:
    """Train a model on labelled tiles, on one rank or, under horovodrun or mpirun, on many."""
    from training.collective import open_collective
    from training.devices import configure_devices, import_tensorflow

    import_tensorflow()
    collective = open_collective()
    threads = configure_devices(collective)
    from training.run import train_model

    try:
        summary = train_model(shards, out, recipe, collective, threads=threads, overwrite=overwrite)
    except PolynyaError as error:
        # Every rank has the same error. The first one says it, before any of them ends: a launcher
        # kills the others as soon as one is gone.
        if collective.rank == 0:
            print_error(error)
        collective.barrier()
        raise typer.Exit(EXIT_CODE) from None
    if collective.rank == 0:
        best = summary.history[summary.best_epoch - 1]
        typer.echo(
            f"Weights identical on {summary.ranks} rank{'s'[: summary.ranks != 1]}:"
            f" {summary.weights_digest}"
        )
        typer.echo(
            f"Best epoch {best.epoch}, loss {best.loss:.4f}, mean IoU {best.val_mean_iou:.4f}"
        )
        typer.echo(f"Model: {summary.folder}")


if __name__ == "__main__":
    run_script(train)
