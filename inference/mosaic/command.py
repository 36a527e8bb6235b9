"""`polynya mosaic`: maps of many scenes as one, with a rule for where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from inference.maps.grids import check_crs, common_grid
from inference.maps.made_map import BadMap, MadeMap, no_date, open_maps
from inference.maps.overlaps import Rule, in_order
from inference.maps.stack import Confidence, find_confidence
from inference.mosaic.making import SOURCES, Mosaic, is_made, mosaic_files, write_mosaic
from inference.products.paths import ProductPaths
from inference.stac.item import read_item
from polynya.errors import OutputError, SceneError, ScenesFailedError, failed_of
from polynya.names import printable
from polynya.progress import console
from polynya.storage.output_folder import open_output

MapsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MAPS...",
        help="Maps of 'polynya predict' or 'polynya mosaic', with their items: files, folders,"
        " globs.",
    ),
]
RuleOption = Annotated[
    Rule,
    typer.Option(
        help="Which map decides where several have data: the newest or oldest; the one whose model"
        " is surest (needs the product probability or entropy); the class that most maps have;"
        " or the first by name. The newest decides among equals."
    ),
]
CrsOption = Annotated[
    str | None,
    typer.Option(
        "--crs",
        metavar="EPSG:N",
        help="Coordinate system; default: that of all maps, else polar stereographic, EPSG:3413 in"
        " the north and EPSG:3031 in the south.",
    ),
]
ResolutionOption = Annotated[
    float | None,
    typer.Option(
        "--resolution",
        min=1e-9,
        help="Edge of a pixel in units of the coordinate system; default: the finest of the maps.",
    ),
]


def mosaic(
    maps: MapsArgument,
    out: Annotated[
        Path, typer.Option("--out", help="File to write, a .tif; other files go beside it.")
    ],
    rule: RuleOption = "newest",
    crs: CrsOption = None,
    resolution: ResolutionOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make it again if it is there already.")
    ] = False,
) -> None:
    """Combine maps of many scenes to one map.

    Writes NAME.tif (a Cloud-Optimized GeoTIFF), NAME_source.tif (number of the map that each pixel
    is from), NAME.json (STAC item, with the list of the maps) and styles for QGIS. Classes are
    resampled by the nearest neighbour, if at all. The order of the maps in the command makes no
    difference. The same command again does nothing if the mosaic is complete.
    """
    if out.suffix != ".tif":
        raise OutputError(f"--out {printable(out)} isn't the name of a .tif file; give one.")
    if out.stem.endswith(SOURCES) or out.stem.lower() in ("collection", "catalog"):
        raise OutputError(
            f"--out {printable(out)} would be taken for another file of the folder; give another"
            " name."
        )
    wanted = check_crs(crs) if crs else None
    found, bad = open_maps(maps)
    found, undated = split_by_date(found) if rule in ("newest", "oldest") else (found, [])
    bad += undated
    confidence: Confidence | None = None
    if rule == "most-confident" and found:
        confidence, found, unsure = find_confidence(found)
        bad += unsure
    tell_bad(bad)
    if not found:
        raise SceneError("There is no map that can be used; see the reasons above.")
    paths = ProductPaths(out.absolute().parent, out.stem)
    check_place(paths, found)
    ordered = in_order(found, rule)
    grid = common_grid([made.scene for made in ordered], wanted, resolution)
    made = Mosaic(ordered, grid, rule, confidence)
    with open_output(paths.folder, "mosaics"):
        if not overwrite and is_made(made, paths):
            typer.echo(f"{out} is complete: {len(found)} maps; --overwrite makes it again")
        else:
            share = write_mosaic(made, paths)
            typer.echo(
                f"{out}: {len(found)} maps, {grid.width} x {grid.height} pixels in {grid.crs},"
                f" {share:.1%} with data"
            )
        if bad:
            raise ScenesFailedError(f"{failed_of(len(bad), len(bad) + len(found), 'maps')}.")


def split_by_date(maps: Sequence[MadeMap]) -> tuple[list[MadeMap], list[BadMap]]:
    """Separate maps with and without a date."""
    return (
        [made for made in maps if made.when],
        [BadMap(str(made.path), no_date(made)) for made in maps if not made.when],
    )


def tell_bad(bad: Sequence[BadMap]) -> None:
    """Print why maps can't be used."""
    for one in bad:
        console.print(f"Failed: {one.reason}", style="red", markup=False, soft_wrap=True)


def check_place(paths: ProductPaths, maps: Sequence[MadeMap]) -> None:
    """Make sure that a mosaic replaces none of its maps and no map of a scene.

    Raises:
        OutputError: It would.
    """
    files = {file.resolve() for file in mosaic_files(paths)}
    if any(made.path.resolve() in files for made in maps) or read_item(paths.item):
        raise OutputError(
            f"The mosaic {printable(paths.map)} would replace a map of that name; give another"
            " --out."
        )
