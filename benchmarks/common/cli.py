"""Shared parts of the benchmarks' command lines: options, errors, the folder of tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from benchmarks.common.report import Report
from polynya.cli import one_sentence_errors
from polynya.errors import PolynyaError
from polynya.storage.files import output_folder

BENCH = Path("runs/bench")
"""Default parent of each benchmark's folder."""

JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; default: one per core.")
]
RoundsOption = Annotated[int, typer.Option(min=1, help="How often to repeat everything.")]
ModelOption = Annotated[Path, typer.Option(help="Folder of a trained model.")]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="A smoke run: few small sites. Its figures mean nothing.")
]
_OutOption = Annotated[
    Path, typer.Option(help="Folder for tables and files of runs; created if missing.")
]


def make_app(
    room: str, *commands: Callable[..., None], default: Callable[..., None] | None = None
) -> typer.Typer:
    """Make a command line that prints errors as sentences.

    The parameters of a command's function become its options. A `Report` becomes --out; any other
    dataclass becomes one option for each field.

    Args:
        room: Name of the folder in `benchmarks`.
        *commands: Functions; a command has the name of its function.
        default: Function that runs if the user names no command.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    for command in commands:
        app.command()(one_sentence_errors(_with_options(command, room)))
    if default is not None:
        called = one_sentence_errors(_with_options(default, room))
        app.callback(invoke_without_command=True)(called)
    return app


def _with_options(command: Callable[..., None], room: str) -> Callable[..., None]:
    """Turn a command into a function of plain options."""
    parameters = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    groups = dict[str, Any]()
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in signature(command).parameters.items():
        options = {name: (hints[name], parameter.default)}
        if hints[name] is Report:
            options = {"out": (_OutOption, BENCH / room)}
        elif is_dataclass(hints[name]):
            groups[name] = hints[name]
            of_fields = get_type_hints(hints[name], include_extras=True)
            options = {
                f.name: (of_fields[f.name], f.default) for f in fields(hints[name]) if f.init
            }
        parameters += [
            Parameter(option, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, (annotation, default) in options.items()
        ]

    @wraps(command)
    def run(*, context: typer.Context, **values: Any) -> None:
        if context.invoked_subcommand is not None:
            return  # The named command is called next.
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group) if f.init})
        call = shlex.join(["python", "-m", f"benchmarks.{room}", *sys.argv[1:]])
        command(report=Report(output_folder(values.pop("out")).absolute(), call), **values)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def numbers_of(words: str) -> list[int]:
    """Read numbers that are separated by commas."""
    return [int(word) for word in words.split(",")]


def names_of(words: str, kind: str, known: Sequence[str]) -> list[str]:
    """Read names that are separated by commas; "" means all names. Returns them in known order.

    Args:
        words: Value of an option.
        kind: Kind of the named things; the option's name is its plural.
        known: All names.

    Raises:
        PolynyaError: A name isn't known.
    """
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    for name in wanted:
        if name not in known:
            raise PolynyaError(f'there is no {kind} "{name}" for --{kind}s: use {", ".join(known)}')
    return [name for name in known if name in wanted or not wanted]
