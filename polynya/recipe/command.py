"""`polynya recipe`: shows, checks, compares and converts recipes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from polynya.errors import PolynyaError, RecipeError
from polynya.names import printable
from polynya.recipe.explained import commented
from polynya.recipe.gym.config import Data
from polynya.recipe.gym.convert import from_gym
from polynya.recipe.overrides import Settings, with_settings
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.shipped import shipped_recipes
from polynya.recipe.yaml_files import write_yaml
from polynya.storage.files import write_text

Difference = tuple[str, str | None, str | None]

_NOTHING = object()
_ACTIONS = ("show", "check", "diff", "schema", "from-gym")


def recipe(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ACTION] [RECIPE...]",
            help="show (default): print one recipe in full. check: check recipes. diff: the keys in"
            " which two recipes differ, or one and the defaults. schema: their JSON schema,"
            " for editors. from-gym: make a recipe of a configuration of Segmentation Gym (JSON,"
            " docs/gym.md). A recipe is a file or the name of one that ships"
            f" ({', '.join(shipped_recipes())}); without one, show prints all defaults.",
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="from-gym: file for the recipe; default: it is printed."),
    ] = None,
    data: Annotated[
        Data | None,
        typer.Option(
            "--data",
            help="from-gym: what will be imported: npz files of the Gym with their augmented copies"
            " (default), originals without them, or images and labels.",
        ),
    ] = None,
) -> None:
    """Show a recipe in full, check recipes, compare two, or make one from Segmentation Gym's."""
    action, *files = words if words and words[0] in _ACTIONS else ["show", *(words or [])]
    if action != "from-gym" and (out is not None or data is not None):
        option = "--out" if out is not None else "--data"
        raise RecipeError(f"{option} is for `polynya recipe from-gym`; leave it out.")
    if action == "from-gym":
        _from_gym(files, settings or [], out, data or "npz")
    else:
        _ALL[action](files, settings or [])


def _show(files: Sequence[str], settings: Sequence[str]) -> None:
    _check_number("show", files, 0, 1)
    typer.echo(commented(_read(files[0] if files else None, settings)), nl=False)


def _check(files: Sequence[str], settings: Sequence[str]) -> None:
    _check_number("check", files, 1, None)
    wrong = 0
    for file in files:
        try:
            checked = _read(file, settings)
        except PolynyaError as error:
            wrong += 1
            typer.echo(f"Failed: {error}")
        else:
            typer.echo(f"{printable(file)} can be used (digest {checked.digest()}).")
    if wrong:
        raise RecipeError(f"{wrong} of {len(files)} recipes can't be used; fix what is said above.")


def _diff(files: Sequence[str], settings: Sequence[str]) -> None:
    _check_number("diff", files, 1, 2)
    first = load_recipe(files[0])
    second = _read(files[1] if len(files) == 2 else None, settings)
    names = [printable(files[0]), printable(files[1]) if len(files) == 2 else "defaults"]
    found = list(differences(first, second))
    if not found:
        typer.echo(f"{names[0]} and {names[1]} are the same in every key.")
        return
    # As `diff` prints files, because values may be long.
    typer.echo(f"--- {names[0]}\n+++ {names[1]}")
    for key, *values in found:
        for sign, value in zip("-+", values, strict=True):
            if value is not None:
                typer.echo(f"{sign} {key}: {value}")


def _schema(files: Sequence[str], settings: Sequence[str]) -> None:
    _check_number("schema", files, 0, 0)
    if settings:
        raise RecipeError("A schema has no values, so leave out --set.")
    typer.echo(json.dumps(Recipe.model_json_schema(mode="validation"), indent=2))


_ALL = {"show": _show, "check": _check, "diff": _diff, "schema": _schema}


def _from_gym(files: Sequence[str], settings: Sequence[str], out: Path | None, data: Data) -> None:
    _check_number("from-gym", files, 1, 1)
    converted = from_gym(files[0], data, settings)
    text = converted.text()
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    for row in converted.rows:
        typer.echo(str(row))
    typer.echo(f"Recipe: {printable(out)}")


def _read(file: str | None, settings: Sequence[str]) -> Recipe:
    return with_settings(load_recipe(file), settings)


def _check_number(action: str, files: Sequence[str], least: int, most: int | None) -> None:
    if len(files) < least or (most is not None and len(files) > most):
        wanted = {
            (0, 0): "no recipe",
            (0, 1): "one recipe or none",
            (1, 1): "one file",
            (1, 2): "one recipe or two",
            (1, None): "one recipe or more",
        }[least, most]
        raise RecipeError(
            f"`polynya recipe {action}` takes {wanted}, and {len(files)} are given; see"
            " `polynya recipe --help`."
        )


def differences(first: Recipe, second: Recipe) -> Iterator[Difference]:
    """Find the keys in which two recipes differ.

    Yields:
        Dotted key and both values as YAML on one line, None where a recipe has no such key.
    """
    one, two = (recipe.model_dump(mode="json", by_alias=True) for recipe in (first, second))
    yield from _differences(one, two, "")


def _differences(one: Any, two: Any, key: str) -> Iterator[Difference]:
    if isinstance(one, dict) or isinstance(two, dict):
        first, second = _keys(one), _keys(two)
        for name in [*first, *(name for name in second if name not in first)]:
            inside = first.get(name, _NOTHING), second.get(name, _NOTHING)
            yield from _differences(*inside, f"{key}.{name}" if key else name)
    elif one != two:
        yield key, _text(one), _text(two)


def _keys(value: Any) -> dict[str, Any]:
    """Keys of a section; a text is the name of options whose other keys have their defaults."""
    if isinstance(value, dict):
        return value
    return {} if value is _NOTHING or value is None else {"name": value}


def _text(value: Any) -> str | None:
    return None if value is _NOTHING else write_yaml(value, on_one_line=True).rstrip()
