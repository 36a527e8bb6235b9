"""Command lines of documents, held against the programs that they name; nothing is run.

A line of ours is parsed by the command's own parser, to which every option and value must belong.
Of other programs, the words that documents use are known here.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from pip._internal.commands import create_command

from autolabel.importers.registry import KINDS as IMPORTERS
from helpers.documents.blocks import ROOT
from inference.exports.registry import KINDS as EXPORTERS
from inference.products.registry import PRODUCT_NAMES
from polynya.cli import build_app
from polynya.errors import PolynyaError
from polynya.recipe.overrides import read_settings, with_settings
from polynya.recipe.recipe import Recipe, load_recipe

Words = Sequence[str]

_OPERATORS = ("|", "||", "&&", ";")

# Options of launchers that documents use, and whether a value follows.
_LAUNCHERS = {
    "horovodrun": {"-np": True, "--gloo": False},
    "mpirun": {"-np": True, "-n": True},
    "srun": {"-n": True, "--mpi=pmix": False},
    "spark-submit": {"--master": True, "--files": True, "--conf": True, "--py-files": True},
}  # fmt: skip


_KINDS = {"import": IMPORTERS, "export": EXPORTERS}


class WrongLineError(AssertionError):
    """A line of a document that its program wouldn't take."""


def lines_of(text: str) -> Iterator[str]:
    """Command lines of a block; lines that end with a backslash go on."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def words_of(line: str) -> list[list[str]]:
    """Commands of a line, each as its words, without comments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in _OPERATORS:
            commands.append([])
        elif word in (">", ">>", "<"):
            next(words)
        else:
            # In a usage, what may be left out stands in brackets, and dots say "or more".
            if word.startswith("[--"):
                word = word[1:]
            if re.fullmatch(r"[A-Z]+\]|[A-Z]+\.\.\.", word):
                word = word.rstrip("].")
            commands[-1].append(word)
    return commands


def split_settings(words: Words) -> tuple[dict[str, str], list[str]]:
    """Variables that are set before a command, and the command."""
    settings = {}
    rest = list(words)
    while rest and re.match(r"[A-Z_]+=", rest[0]):
        name, _, value = rest.pop(0).partition("=")
        settings[name] = value
    return settings, rest


def check_line(words: Words) -> None:
    """Check one command; WrongLineError with what its parser says."""
    program, *rest = words
    if program in _LAUNCHERS:
        _check_launched(program, rest)
    elif program in _PROGRAMS:
        _PROGRAMS[program](rest)
    else:
        raise WrongLineError(
            f"no check knows the program {program}: add it to {Path(__file__).name}, or mark the"
            " block with <!-- not run: why -->"
        )


def _check_launched(launcher: str, words: list[str]) -> None:
    known = _LAUNCHERS[launcher]
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--version":
            return
        if option not in known:
            raise WrongLineError(f"{launcher} with {option} is used nowhere else: check it by hand")
        if known[option]:
            words.pop(0)
    check_line(["python", *words] if words[0].endswith(".py") else words)


def _check_polynya(words: list[str]) -> None:
    _parse(_polynya(), words)


@cache
def _polynya() -> Any:
    return typer.main.get_command(build_app())


def _check_python(words: list[str]) -> None:
    if words[:2] == ["-m", "mpi4py.futures"]:
        words = words[2:]
    if words[0] == "-m":
        name, arguments = words[1], words[2:]
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            name = f"{name}.__main__"
    else:
        path, arguments = words[0], words[1:]
        if not (ROOT / path).is_file():
            raise WrongLineError(f"there is no {path}")
        name = path.removesuffix(".py").replace("/", ".")
    _parse(_program(name), arguments)


@cache
def _program(name: str) -> Any:
    """The parser of a module that is a program."""
    module = importlib.import_module(name)
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    if hasattr(module, "_parser"):
        return module._parser()
    started = re.search(r"^    run_script\((\w+)\)$", inspect.getsource(module), re.MULTILINE)
    if started is None:
        raise WrongLineError(f"python -m {name} is no program whose options are known")
    app = typer.Typer(add_completion=False)
    app.command()(getattr(module, started[1]))
    return typer.main.get_command(app)


def _parse(command: Any, words: Words) -> None:
    """Let a command parse its words, and check the values that have checks."""
    said = io.StringIO()
    given: dict[str, Any] = {}
    if isinstance(command, argparse.ArgumentParser):
        run: Callable[[], object] = lambda: command.parse_args(words)  # noqa: E731
    else:
        for one in (command, *getattr(command, "commands", {}).values()):
            one.callback = lambda *_, **values: given.update(values)
        run = lambda: command.main(list(words))  # noqa: E731
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            run()
    except SystemExit as end:
        if end.code not in (0, None):
            raise WrongLineError(f"{shlex.join(words)}: {said.getvalue()}") from None
    try:
        _check_values(given, words[0] if words else "")
    except PolynyaError as error:
        raise WrongLineError(f"{shlex.join(words)}: {error}") from None


def _check_values(given: dict[str, Any], command: str) -> None:
    recipe = given.get("recipe")
    shipped = recipe is not None and re.fullmatch(r"[a-z0-9_]+", str(recipe)) is not None
    base = load_recipe(recipe) if shipped else Recipe()
    if given.get("settings"):
        # A sweep starts from the recipe of its study.
        check = read_settings if command in ("sweep", "model") else lambda s: with_settings(base, s)
        check(given["settings"])
    kind = given.get("kind", "KIND")
    if kind not in ("KIND", *_KINDS.get(command, ())):
        raise WrongLineError(f"polynya {command} knows no kind {kind}")
    for name in (given.get("products") or "none").split(","):
        if name not in (*PRODUCT_NAMES, "all", "none"):
            raise WrongLineError(f"there is no product {name}")


def _check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for word in words:
        if word not in targets and not re.match(r"[A-Z]+=", word):
            raise WrongLineError(f"there is no target {word}")


def _check_pip(words: list[str]) -> None:
    command, *arguments = words
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            options, packages = create_command(command).parse_args(arguments)
        except SystemExit:
            raise WrongLineError(f"pip {shlex.join(words)}: {said.getvalue()}") from None
    for name in getattr(options, "requirements", []):
        if not (ROOT / name).is_file():
            raise WrongLineError(f"there is no {name}")
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    for package in packages:
        for extra in re.findall(r"\[(.+)\]", package):
            if not config.has_option("options.extras_require", extra):
                raise WrongLineError(f"there is no extra {extra}")


def _check_docker(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="docker", exit_on_error=False)
    if words[0] == "build":
        for option in ("-f", "-t", "--target"):
            parser.add_argument(option)
        parser.add_argument("folder")
        given = parser.parse_args(words[1:])
        text = (ROOT / given.f).read_text("utf-8")
        if given.target and not re.search(rf" AS {given.target}$", text, re.MULTILINE):
            raise WrongLineError(f"{given.f} has no stage {given.target}")
        return
    parser.add_argument("--rm", action="store_true")
    for option in ("-v", "--gpus", "--ipc", "--ulimit"):
        parser.add_argument(option)
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    check_line(parser.parse_args(words[1:]).command)


def _check_source(words: list[str]) -> None:
    if not words[0].endswith(".venv/bin/activate"):
        raise WrongLineError(f"{words[0]} is no environment that `make setup` makes")


def _check_cp(words: list[str]) -> None:
    if not (ROOT / words[-1]).parent.is_dir():
        raise WrongLineError(f"there is no folder for {words[-1]}")


def _check_pytest(words: list[str]) -> None:
    for path in words:
        if path.endswith(".py") and not (ROOT / path).is_file():
            raise WrongLineError(f"there is no {path}")


_PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "polynya": _check_polynya,
    "python": _check_python,
    "make": _check_make,
    "pip": _check_pip,
    "docker": _check_docker,
    "source": _check_source,
    "pytest": _check_pytest,
    "cp": _check_cp,
}
