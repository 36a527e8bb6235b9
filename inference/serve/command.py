"""`polynya serve`: maps in a page and as tiles for GIS, on this machine only."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import typer

from inference.maps.made_map import open_maps
from inference.mosaic.command import MapsArgument, tell_bad
from polynya.environment import install_command
from polynya.errors import MissingDependencyError, SceneError, reason_of
from polynya.pages.window import open_window


def serve(
    maps: MapsArgument,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0: a free one.")
    ] = 0,
    tms: Annotated[
        str | None,
        typer.Option(
            "--tms",
            metavar="NAME",
            help="Projection of the page: north-polar (EPSG:3413), south-polar (EPSG:3031) or"
            " WebMercatorQuad; default: by the latitude of the maps.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Pages of this origin, such as http://localhost:8000, may read tiles, if their"
            " requests bring the token; may be given several times.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address of the page.")
    ] = False,
) -> None:
    """Show maps in a page, and give their tiles to QGIS and other programs.

    The server is for this machine only, and only for who has the token that is printed with the
    addresses. Nothing but the given maps can be read. Ctrl-C ends it.
    """
    try:
        from inference.serve.running import open_server
        from inference.serve.tiles import PROJECTIONS
    except ImportError as error:
        raise MissingDependencyError(
            f"'polynya serve' needs a package that can't be imported ({reason_of(error)}); install"
            f" it with: {install_command('serve')}"
        ) from None
    if tms is not None and tms not in PROJECTIONS:
        raise SceneError(f"--tms {tms} isn't known; give one of {', '.join(PROJECTIONS)}.")
    origins = [_checked_origin(one) for one in allow_origin or []]
    found, bad = open_maps(maps)
    tell_bad(bad)
    if not found:
        raise SceneError("There is no map that can be served; see the reasons above.")
    with open_server(found, port, tms, origins) as server:
        # Ctrl-C may also come before the server runs.
        with suppress(KeyboardInterrupt):
            typer.echo(f"{len(found)} maps, {len(bad)} left out. Open the page:")
            typer.echo(f"  {server.maps.address}?token={server.maps.admission.token}")
            for name, url in server.maps.urls().items():
                typer.echo(f"{name}:\n  {url}")
            typer.echo("All of it is for this machine only. Ctrl-C ends it.")
            sys.stdout.flush()
            if not no_browser:
                open_window(server.maps.address, server.maps.admission)
            server.run()
        typer.echo("The server has ended.")


def _checked_origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
        raise SceneError(
            f"--allow-origin {text} is no origin; give scheme and host, such as"
            " http://localhost:8000."
        )
    return text
