"""The command line. Stages add their commands through the entry-point group `polynya.commands`.

So `polynya` needs no import of the stages (arrows point one way), and another package can add a
command of its own.
"""

from __future__ import annotations

import ast
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import FrameType, TracebackType
from typing import Any, NoReturn

import typer

from polynya import __version__
from polynya.attempt import unexpected
from polynya.environment import settle_process
from polynya.errors import EXIT_CODE, PolynyaError, not_importable
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
    if isinstance(error, PolynyaError):  # While a command is imported.
        sentence = str(error)
    elif isinstance(error, ImportError):
        sentence = str(not_importable(error))
    elif isinstance(error, Exception):
        sentence = unexpected(error, "The command could not be finished")
    else:
        sys.__excepthook__(kind, error, trace)
        return
    console.print(f"Error: {sentence}", style="red", markup=False, soft_wrap=True)


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


def build_app(words: Sequence[str] | None = None) -> typer.Typer:
    """The Typer application.

    Args:
        words: Of the command line; default: the application is whole. Where the first word is a
            command, only that one is there, so one that can't be imported doesn't keep the others
            from running. Else there is the list of commands, for which none is imported.
    """
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback()(_root)
    entries = sorted(entry_points(group="polynya.commands"), key=lambda e: e.name)
    if words is None:
        commands = [(entry.name, entry.load()) for entry in entries]
    else:
        named = [(entry.name, entry.load()) for entry in entries if entry.name in words[:1]]
        commands = named or [(entry.name, _in_list(entry)) for entry in entries]
    for name, command in commands:
        app.command(name)(one_sentence_errors(command))
    return app


def _in_list(entry: EntryPoint) -> Callable[..., Any]:
    """A stand-in for a command in the list of commands, with the text of its help."""

    def command() -> None: ...

    command.__doc__ = _docstring(entry)
    return command


def _docstring(entry: EntryPoint) -> str | None:
    """Docstring of a command, read from the source: importing all of them takes seconds."""
    spec = find_spec(entry.module)
    source = getattr(spec and spec.loader, "get_source", lambda module: None)(entry.module)
    for node in ast.walk(ast.parse(source or "")):
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return ast.get_docstring(node)
    return None


def main() -> None:
    """Entry point of the `polynya` program."""
    begin()
    _run(build_app(sys.argv[1:]))
