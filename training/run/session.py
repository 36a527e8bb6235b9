"""Trainings of one command on its ranks: how they start, and how they end before their time."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from polynya.cli import print_error
from polynya.errors import EXIT_CODE, PolynyaError
from polynya.recipe.overrides import Overrides, with_settings
from polynya.recipe.recipe import load_recipe
from polynya.recipe.training import HorovodOptions
from polynya.shards.dataset import open_shards
from training.errors import RankLostError, StoppedError
from training.model_folder import checkpoints
from training.model_folder.training_log import TrainingSummary
from training.ranks.collective import exchanging, open_collective
from training.ranks.devices import configure_devices, import_tensorflow
from training.ranks.launchers import same_command
from training.run.ending import StopRequest, leave, leave_early, say_at_once

if TYPE_CHECKING:
    from training.ranks.port import Collective


@dataclass(frozen=True)
class Session:
    """The ranks of a command that trains, once or several times."""

    collective: Collective
    threads: int = 1
    """Threads of this rank."""
    trains_often: bool = False
    """Whether the command trains several models. Then --resume also begins a training again that
    has no checkpoint, because --overwrite would remove the finished ones too."""

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, the only one that prints and writes."""
        return self.collective.rank == 0

    def train(
        self,
        shards: str,
        out: Path,
        recipe: Path | None,
        *,
        settings: Sequence[str] = (),
        overrides: Overrides | None = None,
        start_from: Path | None = None,
        overwrite: bool = False,
        resume: bool = False,
        group: str | None = None,
    ) -> TrainingSummary:
        """Train one model; every rank must call it. See `training.run.start.start_run`.

        Ends the process if the training is stopped or fails after its start.

        Raises:
            typer.Exit: It can't start; rank 0 has printed the reason.
        """
        from training.run.start import start_run

        with StopRequest(_say_stopping if self.is_first else _say_nothing) as wants_stop:
            try:
                with self.one_error(), exchanging():
                    run = start_run(
                        shards,
                        out,
                        recipe,
                        self.collective,
                        threads=self.threads,
                        settings=settings,
                        overrides=overrides,
                        start_from=start_from,
                        overwrite=overwrite,
                        resume=resume,
                        group=group,
                    )
            except KeyboardInterrupt:
                leave_early(self.is_first, self._begins_again())
            wants_stop.patient = True
            if self.is_first and self.collective.size > 1:
                # If a launcher is told to stop, it ends its ranks before they can print a message.
                typer.echo(
                    "If this is interrupted, the same command with --resume goes on from its last"
                    f" checkpoint{_in_full('--resume')}"
                )
            try:
                with exchanging():
                    return run.train(wants_stop)
            except KeyboardInterrupt:
                leave(out, StoppedError(self._interrupted(out)))
            except StoppedError as error:
                leave(out, StoppedError(f"{str(error).rstrip('.')}{_in_full('--resume')}"))
            except PolynyaError as error:
                leave(out, self._with_remedy(error, out))

    @contextmanager
    def one_error(self) -> Iterator[None]:
        """Let rank 0 print an error that every rank has, before any rank ends.

        A launcher kills the other ranks as soon as one has ended.

        Raises:
            RankLostError: Only this rank may have it.
            typer.Exit: In place of any other PolynyaError.
        """
        try:
            yield
        except RankLostError:
            raise
        except PolynyaError as error:
            if self.is_first:
                print_error(error)
            self.collective.barrier()
            raise typer.Exit(EXIT_CODE) from None

    def _with_remedy(self, error: PolynyaError, out: Path) -> PolynyaError:
        """Say which of several trainings failed, and that the others needn't be repeated."""
        if not self.trains_often or isinstance(error, RankLostError):
            return error
        return type(error)(
            f"The training in {out} failed; finished ones stay, and the same command with --resume"
            f" goes on with this one, once this is fixed: {error}"
        )

    def _begins_again(self) -> str:
        if self.trains_often:
            return f"the same command with --resume goes on{_in_full('--resume')}"
        return f"the same command begins again{_in_full()}"

    def _interrupted(self, out: Path) -> str:
        """Message for a training that was interrupted in the middle of a step."""
        step = checkpoints.last_step(out)
        if step:
            return (
                f"Training was interrupted; its last checkpoint is of step {step}, and the same"
                f" command with --resume goes on from there{_in_full('--resume')}"
            )
        option = "--resume" if self.trains_often else "--overwrite"
        return (
            "Training was interrupted before its first checkpoint, so there is nothing to go on"
            f" from; the same command with {option} begins again{_in_full(option)}"
        )


def open_session(
    shards: str, recipe: Path | None, settings: Sequence[str] = (), *, trains_often: bool = False
) -> Session:
    """Open the ranks that a launcher started; see `training.ranks.collective.open_collective`.

    Args:
        shards: Labelled tiles, whose recipe counts if `recipe` is None.
        recipe: Recipe file with the options of Horovod.
        settings: Values of `--set`.
        trains_often: See `Session`.

    Raises:
        MissingDependencyError: TensorFlow or Horovod is missing.
        RecipeError: These ranks can't do what the recipe asks for.
    """
    import_tensorflow()
    collective = open_collective(_horovod_options(shards, recipe, settings))
    return Session(collective, configure_devices(collective), trains_often)


@contextmanager
def going_on_later() -> Iterator[None]:
    """Say how to go on after Ctrl-C between trainings of a command that trains several models.

    Raises:
        KeyboardInterrupt: With that sentence; `polynya.cli` prints it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what is finished stays, and the same command with --resume goes on"
            f"{_in_full('--resume')}"
        ) from None


def _horovod_options(
    shards: str, recipe_file: Path | None, settings: Sequence[str]
) -> HorovodOptions | None:
    """Read the recipe's options of Horovod; Horovod needs them before ranks can communicate."""
    try:
        recipe = open_shards(shards).recipe if recipe_file is None else load_recipe(recipe_file)
        recipe = with_settings(recipe, settings)
    except PolynyaError:
        return None  # `start_run` raises the same error on all ranks.
    return recipe.training.horovod


def _say_stopping(number: int) -> None:
    again = "; Ctrl-C again ends at once" if number == signal.SIGINT else ""
    say_at_once(f"Stopping after this step, with a checkpoint{again}.")


def _say_nothing(number: int) -> None:
    """Do nothing: rank 0 prints the message."""


def _in_full(beginning: str | None = None) -> str:
    """The full command after a colon; empty if the command is unknown."""
    command = same_command(beginning)
    return f": {command}" if command else ""
