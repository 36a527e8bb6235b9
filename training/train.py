"""Train a segmentation model on labelled tiles.

python training/train.py --shards DIR --out DIR [--recipe FILE]
horovodrun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
mpirun -np 2 python training/train.py --shards DIR --out DIR [--recipe FILE]
polynya train --shards DIR --out DIR [--recipe FILE]
"""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Annotated

import typer

from polynya.cli import print_error, run_script
from polynya.errors import EXIT_CODE, PolynyaError
from polynya.recipe.recipe import load_recipe
from polynya.recipe.training import HorovodOptions
from polynya.shards.dataset import open_shards
from training.errors import RankLostError, StoppedError
from training.model_folder import checkpoints
from training.model_folder.training_log import TrainingSummary
from training.ranks.launchers import same_command
from training.run.ending import StopRequest, leave, leave_early, say_at_once


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
) -> None:
    """Train a model on labelled tiles; on many ranks under horovodrun, mpirun or srun."""
    from training.ranks.collective import exchanging, open_collective
    from training.ranks.devices import configure_devices, import_tensorflow

    import_tensorflow()
    collective = open_collective(_horovod_options(shards, recipe))
    threads = configure_devices(collective)
    from training.run.start import start_run

    is_first = collective.rank == 0
    with StopRequest(_say_stopping if is_first else _say_nothing) as wants_stop:
        try:
            with exchanging():
                run = start_run(
                    shards,
                    out,
                    recipe,
                    collective,
                    threads=threads,
                    start_from=start_from,
                    overwrite=overwrite,
                    resume=resume,
                )
        except RankLostError:
            raise
        except KeyboardInterrupt:
            leave_early(is_first, f"the same command begins again{_in_full()}")
        except PolynyaError as error:
            # Every rank has the same error. Rank 0 prints it before any rank ends, because a
            # launcher kills the others as soon as one has ended.
            if is_first:
                print_error(error)
            collective.barrier()
            raise typer.Exit(EXIT_CODE) from None
        wants_stop.patient = True
        if is_first and collective.size > 1:
            # If a launcher is told to stop, it ends its ranks before they can print a message.
            typer.echo(
                "If this is interrupted, the same command with --resume goes on from its last"
                f" checkpoint{_in_full('--resume')}"
            )
        try:
            with exchanging():
                summary = run.train(wants_stop)
        except KeyboardInterrupt:
            leave(out, StoppedError(_interrupted(out)))
        except StoppedError as error:
            leave(out, StoppedError(f"{str(error).rstrip('.')}{_in_full('--resume')}"))
        except PolynyaError as error:
            leave(out, error)
    if is_first:
        _print_summary(summary)


def _horovod_options(shards: str, recipe_file: Path | None) -> HorovodOptions | None:
    """Read the recipe's options of Horovod; Horovod needs them before ranks can communicate."""
    try:
        recipe = open_shards(shards).recipe if recipe_file is None else load_recipe(recipe_file)
    except PolynyaError:
        return None  # `start_run` raises the same error on all ranks.
    return recipe.training.horovod


def _say_stopping(number: int) -> None:
    again = "; Ctrl-C again ends at once" if number == signal.SIGINT else ""
    say_at_once(f"Stopping after this step, with a checkpoint{again}.")


def _say_nothing(number: int) -> None:
    """Do nothing: rank 0 prints the message."""


def _interrupted(out: Path) -> str:
    """Message for a training that was interrupted in the middle of a step."""
    step = checkpoints.last_step(out)
    if step:
        return (
            f"Training was interrupted; its last checkpoint is of step {step}, and the same command"
            f" with --resume goes on from there{_in_full('--resume')}"
        )
    return (
        "Training was interrupted before its first checkpoint, so there is nothing to go on from;"
        f" the same command with --overwrite begins again{_in_full('--overwrite')}"
    )


def _in_full(beginning: str | None = None) -> str:
    """The full command after a colon; empty if the command is unknown."""
    command = same_command(beginning)
    return f": {command}" if command else ""


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
    typer.echo(f"Model: {summary.folder}")


if __name__ == "__main__":
    run_script(train)
