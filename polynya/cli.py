"""The command line. Stages add their commands through the entry-point group `polynya.commands`.

So `polynya` needs no import of the stages (arrows point one way), and another package can add a
command of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import entry_points
from typing import Any

import typer

from polynya import __version__
from polynya.errors import EXIT_CODE, PolynyaError
from polynya.progress import console


def print_error(error: PolynyaError) -> None:
    """Say an error's sentence on stderr."""
    console.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)


def one_sentence_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a PolynyaError into its sentence on stderr and a non-zero exit, without a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PolynyaError as error:
            print_error(error)
            raise typer.Exit(EXIT_CODE) from None

    return run


def run_script(command: Callable[..., Any]) -> None:
    """Run one command as a script of its own (`job.py`, `train.py`), with the same errors."""
    typer.run(one_sentence_errors(command))


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


def build_app() -> typer.Typer:
    """The Typer application with every installed command."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback()(_root)
    for entry in sorted(entry_points(group="polynya.commands"), key=lambda e: e.name):
        app.command(entry.name)(one_sentence_errors(entry.load()))
    return app


def main() -> None:
    """Entry point of the `polynya` program."""
    sys.exit(build_app()())
