"""The command line. Stages add their commands through the entry-point group `polynya.commands`.

So `polynya` needs no import of the stages (arrows point one way), and another package can add a
command of its own.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from types import FrameType, TracebackType
from typing import Any, NoReturn

import typer

from polynya import __version__
from polynya.attempt import unexpected
from polynya.environment import settle_process
from polynya.errors import EXIT_CODE, MissingDependencyError, PolynyaError, reason_of
from polynya.progress import console

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""A scheduler, a shutdown and a terminal that is closed ask for the end with these."""


def print_error(error: PolynyaError) -> None:
    """Say an error's sentence on stderr."""
    console.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)


def one_sentence_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a PolynyaError into its sentence on stderr and a non-zero exit, without a traceback.

    Ctrl-C ends with a sentence too. A command that knows how to go on raises KeyboardInterrupt
    with a sentence of its own.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PolynyaError as error:
            print_error(error)
            raise typer.Exit(EXIT_CODE) from None
        except KeyboardInterrupt as interrupt:
            sentence = str(interrupt) or "what is done so far stays."
            console.print(f"Interrupted; {sentence}", markup=False, soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None

    return run


def run_script(command: Callable[..., Any]) -> None:
    """Run one command as a script of its own (`job.py`, `train.py`), with the same errors."""
    begin()
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(one_sentence_errors(command))
    _run(app)


def begin() -> None:
    """What every command does first: settle the environment, and see to an orderly end."""
    settle_process()
    sys.excepthook = _say_unexpected
    for number in _ENDING:
        # A program under nohup is not to notice that its terminal is closed. What is not from
        # Python (None) stays too.
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _end)


def _run(app: typer.Typer) -> NoReturn:
    # Not `app()`, which puts a hook of its own in the place of ours.
    sys.exit(typer.main.get_command(app)())


def _end(number: int, frame: FrameType | None) -> None:
    """End by way of every `finally`, so that workers, locks and temporary files go too."""
    # Told again, it needn't be orderly.
    signal.signal(number, signal.SIG_DFL)
    console.print(f"Ended by {signal.Signals(number).name}; what is done so far stays.")
    raise SystemExit(128 + number)


def _say_unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say an error that no code expects in one sentence, in place of its traceback."""
    if isinstance(error, ImportError):
        sentence = str(_not_importable(error))
    elif isinstance(error, Exception):
        sentence = unexpected(error, "The command could not be finished")
    else:
        sys.__excepthook__(kind, error, trace)
        return
    console.print(f"Error: {sentence}", style="red", markup=False, soft_wrap=True)


def _not_importable(error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"A package that Polynya needs can't be imported ({reason_of(error)}); 'polynya doctor'"
        " says what is missing and how to install it."
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"polynya {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Satellite scenes in; labelled tiles, a trained model and georeferenced ice maps out."""


def build_app(words: Sequence[str] = ()) -> typer.Typer:
    """The Typer application.

    Args:
        words: Of the command line. Where the first is a command, only that one is imported, so one
            that can't be doesn't keep the others from running; else every installed command is.
    """
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback()(_root)
    entries = sorted(entry_points(group="polynya.commands"), key=lambda e: e.name)
    named = [entry for entry in entries if entry.name in words[:1]]
    for entry in named or entries:
        command = entry.load() if named else _listed(entry)
        app.command(entry.name)(one_sentence_errors(command))
    return app


def _listed(entry: EntryPoint) -> Callable[..., Any]:
    """A command for the list of commands, which is whole also where one can't be imported."""
    try:
        return entry.load()
    except ImportError as error:
        problem = _not_importable(error)

        def not_importable() -> None:
            raise problem

        not_importable.__doc__ = f"Can't run here: {reason_of(error)}."
        return not_importable


def main() -> None:
    """Entry point of the `polynya` program."""
    begin()
    _run(build_app(sys.argv[1:]))
