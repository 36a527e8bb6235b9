"""`polynya thresholds`: find colour thresholds by eye, or have them suggested."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from autolabel.thresholds.profiles import PROFILES, get_profile
from autolabel.tuner.saving import RecipeFile
from autolabel.tuner.suggest import classes_by_brightness
from autolabel.tuner.suggest import suggest as suggest_for
from autolabel.tuner.tuning import Tuning, told
from autolabel.tuner.views import original_view
from polynya.errors import RecipeError, SceneError
from polynya.names import printable
from polynya.pages.window import open_window
from polynya.progress import track
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.shipped import recipe_text
from polynya.scenes.finding import find_scenes
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene

DEFAULT_OUT = Path("thresholds.yaml")
DEFAULT_NAME = "my-thresholds"

Scenes = Annotated[
    list[str], typer.Argument(metavar="SCENE...", help="Scenes: files, folders, globs or URIs.")
]
RecipeFileOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="Recipe that says how scenes are read and which thresholds come first: a YAML file or"
        " the name of one that ships; default: the default value of every key.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help=f"Recipe to save the profile into; default: {DEFAULT_OUT}, with --suggest none.",
    ),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help="Put the profile into --out also if you wrote that file; its other keys and comments"
        " stay.",
    ),
]
SuggestOption = Annotated[
    bool, typer.Option("--suggest", help="Suggest limits and say how sure they are; no page.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", help=f"Name of the profile; default: the recipe's, or {DEFAULT_NAME}."),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0: a free one.")
]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help="Only print the address of the page.")
]


def thresholds(
    scenes: Scenes,
    recipe: RecipeFileOption = None,
    out: Out = None,
    update: Update = False,
    suggest: SuggestOption = False,
    name: Name = None,
    port: Port = 0,
    no_browser: NoBrowser = False,
) -> None:
    """Tune colour thresholds in a local page, or let the program suggest them.

    The page is for this machine only: open the address that is printed. Ctrl-C ends it.
    """
    options = load_recipe(recipe)
    if options.classes.has_masks:
        raise RecipeError(
            "The recipe key 'classes.kind' is masks, but colour thresholds find one class for each"
            " pixel; set 'classes.kind' to exclusive."
        )
    profile = get_profile(options.label.profile)
    wanted = name or (DEFAULT_NAME if profile.name in PROFILES else profile.name)
    file = None
    if out is not None or not suggest:
        file = RecipeFile(out or DEFAULT_OUT, recipe_text(recipe), update=update)
    found = [
        open_scene(ref.uri, options.scene, ref.id)
        for ref in find_scenes(scenes, options.companions)
    ]
    if not found:
        raise SceneError("There are no scenes to look at; name some files or folders.")
    if suggest:
        _suggest(found, options, wanted, file)
    elif file is not None:
        _serve(Tuning(found, options, file, wanted), port, no_browser)


def _suggest(scenes: list[Scene], recipe: Recipe, name: str, file: RecipeFile | None) -> None:
    classes = classes_by_brightness(get_profile(recipe.label.profile))
    pictures = []
    for scene in track(scenes, "Reading scenes", len(scenes)):
        pyramid = original_view(scene)
        pyramid.build()
        pictures.append(pyramid.whole())
    found = suggest_for(pictures)
    typer.echo(told(found))
    if len(scenes) > 1:
        for scene, picture in zip(scenes, pictures, strict=True):
            if picture[1].any():
                typer.echo(printable(f"{scene.id} alone: {told(suggest_for([picture]))}"))
    profile = found.profile(name, classes)
    for color in profile.ranges:
        typer.echo(f"{color.class_name}: value {color.value[0]} to {color.value[1]}")
    if file is not None:
        file.save(profile, recipe.label.method)
        typer.echo(f"Saved the profile {name} into {printable(file.path)}.")


def _serve(tuning: Tuning, port: int, no_browser: bool) -> None:
    from autolabel.tuner.server import TunerServer

    with TunerServer(tuning, port) as server:
        tuning.start()
        # Ctrl-C may also come before the server runs.
        with suppress(KeyboardInterrupt):
            typer.echo(f"Open {server.address}?token={server.admission.token}")
            typer.echo("The page is for this machine only. Ctrl-C ends it.")
            sys.stdout.flush()
            if not no_browser:
                open_window(server.address, server.admission)
            server.serve_forever()
        typer.echo("The page has ended.")
