"""`polynya scenes`: get satellite scenes from a source into one folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from polynya.cli import INTERRUPTED
from polynya.errors import OutputError, ScenesFailedError
from polynya.names import printable
from polynya.progress import console, print_table
from polynya.sources.items.item import Item
from polynya.sources.manifest import MANIFEST_FILE
from polynya.sources.run import Summary, acquire_options, fetch_scenes, list_items

RecipeFile = Annotated[
    Path,
    typer.Option(
        "--recipe",
        help="Recipe: a YAML file or the name of a recipe that comes with Polynya. Its section"
        " 'acquire' says where scenes come from.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the scenes.")]
InPlace = Annotated[
    bool,
    typer.Option(
        "--in-place",
        help="Copy no pixels: write small files (VRT) that refer to the files of the source. Not"
        " for Earth Engine.",
    ),
]
OnlyList = Annotated[bool, typer.Option("--list", help="Print the items and write nothing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make existing scenes again.")]


def scenes(
    recipe: RecipeFile,
    out: Out = None,
    in_place: InPlace = False,
    only_list: OnlyList = False,
    overwrite: Overwrite = False,
) -> None:
    """Get scenes from Earth Engine, STAC, SAFE products or files for labelling.

    \b
    Each scene becomes one GeoTIFF with the wanted bands, on the finest grid of
    them, and with scale and offset of the product. After an interruption, the
    same command continues; finished scenes are not fetched again. The manifest,
    _scenes.csv, has a row for each item. If an item fails, its row has the
    reason, the other items are done, and the exit code is not 0.

    \b
    The recipe needs a section like one of these (try a 'limit' first):

    \b
    acquire: {source: earthengine, project: my-project, max_cloud: 50,
              region: [-180, -78, -140, -70], dates: [2019-11-01, 2019-11-30]}
    acquire: {source: stac, collection: sentinel-2-l2a, region: area.geojson,
              catalog: "https://earth-search.aws.element84.com/v1"}
    acquire: {source: safe, paths: products}
    acquire: {source: files, paths: "gs://bucket/scenes/*.tif"}

    \b
    region: west, south, east, north in degrees, or a GeoJSON file
    dates: first and last day     max_cloud: percent     limit: scenes
    bands: a list; default auto: red, green, blue, and nir, swir16 and cirrus
    where the product has them     scale, offset: if the source has none
    paths: one or a list     at_once, retries: for scenes or requests
    timeout: seconds that a server may be silent

    \b
    Keys and credentials: docs/scenes.md.
    Then: polynya label --scenes OUT --out SHARDS
    """  # noqa: D301 - \b, which keeps the lines in the help, is one character
    options = acquire_options(recipe)
    if out is None and not only_list:
        raise OutputError("The folder for the scenes is missing; give --out FOLDER, or --list.")
    with _ending_at_once():
        items = list_items(options)
        if only_list:
            print_items(items)
            return
        assert out is not None
        summary = fetch_scenes(items, options, out, in_place, overwrite)
    report(summary, out)


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """End the process at once after a signal, without waiting for unfinished scenes.

    The next run deletes the remains of unfinished scenes.
    """
    try:
        yield
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on where it was.")
        _end(INTERRUPTED)
    except SystemExit as end:
        _end(int(end.code or 0))


def _end(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def print_items(items: Sequence[Item]) -> None:
    """Print a table of items and their number to stdout."""
    from rich.table import Table

    table = Table("item", "time (UTC)", "cloud %", "baseline", "bands", "offset", box=None)
    for item in items:
        cloud = "" if item.cloud_cover is None else f"{item.cloud_cover:.1f}"
        bands = " ".join(band.name for band in item.bands)
        offsets = " ".join(sorted({f"{band.offset:g}" for band in item.bands}))
        table.add_row(
            *map(printable, (item.id, item.time_text, cloud, item.baseline or "")),
            *map(printable, (item.problem or bands, offsets)),
        )
    print_table(table)
    broken = sum(bool(item.problem) for item in items)
    typer.echo(f"{len(items)} scenes" + (f", {broken} of them can't be used" if broken else ""))


def report(summary: Summary, out: Path) -> None:
    """Print the summary to stdout and each failure to stderr.

    Raises:
        ScenesFailedError: Some items failed.
    """
    failed, total = summary.failed, len(summary.results)
    for result in failed:
        reason = printable(f"Failed: {result.scene}: {result.reason}")
        console.print(reason, style="red", markup=False, soft_wrap=True)
    done = total - len(failed)
    typer.echo(
        f"{total} items = {done} scenes done ({summary.kept} were there) + {len(failed)} failed;"
        f" scenes and {MANIFEST_FILE} in {out}"
    )
    if failed:
        raise ScenesFailedError(
            f"{len(failed)} of {total} items failed; {out / MANIFEST_FILE} has the reasons, the"
            " others are done."
        )
