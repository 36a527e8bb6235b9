"""Train a segmentation model on labelled tiles.

python training/train.py --shards DIR --out DIR [--recipe FILE]
horovodrun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
mpirun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
polynya train --shards DIR --out DIR [--recipe FILE]
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from polynya.cli import run_script
from polynya.recipe.overrides import Settings
from polynya.recipe.tracking import Track, track_settings
from training.model_folder.training_log import TrainingSummary


def train(
    shards: Annotated[
        str, typer.Option(help="Labelled tiles, from `polynya label`: a folder or URI.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Recipe: a YAML file or the name of one that ships; default: that of the shards."
        ),
    ] = None,
    settings: Settings = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace a finished or unfinished model.")
    ] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Begin with the weights of the model in this folder; `model` must be the same."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on from the last checkpoint in --out, if there is one.")
    ] = False,
    track: Track = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Key of the run in trackers under which this one is put; `polynya sweep` gives"
            " its own.",
        ),
    ] = None,
) -> None:
    """Train a model on labelled tiles; on many ranks under horovodrun, mpirun or srun."""
    from training.run.session import open_session

    settings = [*(settings or ()), *track_settings(track or ())]
    session = open_session(shards, recipe, settings)
    summary = session.train(
        shards,
        out,
        recipe,
        settings=settings,
        start_from=start_from,
        overwrite=overwrite,
        resume=resume,
        group=group,
    )
    if session.is_first:
        _print_summary(summary)


def _print_summary(summary: TrainingSummary) -> None:
    best = summary.history[summary.best_epoch - 1]
    typer.echo(
        f"Weights identical on {summary.ranks} rank{'s'[: summary.ranks != 1]}:"
        f" {summary.weights_digest}"
    )
    if math.isnan(best.val_mean_iou):
        typer.echo(
            f"Epoch {best.epoch}, loss {best.loss:.4f}; no scene was held out to validate it"
        )
    else:
        typer.echo(
            f"Best epoch {best.epoch}, loss {best.loss:.4f}, mean IoU {best.val_mean_iou:.4f}"
        )
    if summary.averaged_moments:
        typer.echo(f"The model is the mean of its weights at {summary.averaged_moments} moments")
    typer.echo(f"Model: {summary.folder}")


if __name__ == "__main__":
    run_script(train)
