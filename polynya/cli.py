"""The command line. Stages add their commands through the entry-point group `polynya.commands`.

`polynya` must not import the stages (imports point one way). Another package can add a command too.
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
"""Exit code after Ctrl-C, the same as in shells."""

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals by which a scheduler, a shutdown or a closed terminal asks a process to end."""


def print_error(error: PolynyaError) -> None:
    """Print an error's sentence on stderr."""
    console.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)


def one_sentence_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command print a PolynyaError as one sentence on stderr and exit with a non-zero code.

    Ctrl-C also prints a sentence. A command that can be continued later raises KeyboardInterrupt
    with its own sentence.
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
    """Run one command as a separate script (`job.py`, `train.py`) with the same error handling."""
    begin()
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(one_sentence_errors(command))
    _run(app)


def begin() -> None:
    """Prepare a command: clean up the environment and install handlers for an orderly end."""
    settle_process()
    sys.excepthook = _say_unexpected
    for number in _ENDING:
        # A program under nohup must not notice that its terminal is closed. Handlers that were not
        # installed by Python (None) also stay.
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _end)


def _run(app: typer.Typer) -> NoReturn:
    # Not `app()`: it replaces our `sys.excepthook` with its own.
    sys.exit(typer.main.get_command(app)())


def _end(number: int, frame: FrameType | None) -> None:
    """End through every `finally`, so that workers, locks and temporary files are removed."""
    # A second signal ends the process at once.
    signal.signal(number, signal.SIG_DFL)
    console.print(f"Ended by {signal.Signals(number).name}; what is done so far stays.")
    raise SystemExit(128 + number)


def _say_unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an unexpected error as one sentence instead of its traceback."""
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
    """Build the Typer application.

    Args:
        words: Words of the command line. If the first word is a command, the application has only
            this command, so a command that can't be imported doesn't stop the others. Otherwise
            the application only lists the commands and imports none of them. Default: the
            application has all commands.
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
    """Placeholder for a command in the list of commands, with the command's help text."""

    def command() -> None: ...

    command.__doc__ = _docstring(entry)
    return command


def _docstring(entry: EntryPoint) -> str | None:
    """Docstring of a command, read from its source: importing all commands takes seconds."""
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
