"""`polynya timeseries`: ice concentration and areas of classes over time, from many maps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from inference.maps.grids import check_crs
from inference.maps.made_map import BadMap, MadeMap, open_maps
from inference.maps.overlaps import in_order
from inference.maps.stack import Confidence, Stack, find_confidence
from inference.mosaic.command import (
    CrsOption,
    MapsArgument,
    ResolutionOption,
    RuleOption,
    tell_bad,
)
from inference.series.measuring import Day, ice_codes, measure_days
from inference.series.region import region_grid
from polynya import __version__
from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, ScenesFailedError, failed_of
from polynya.recipe.acquire import Box
from polynya.recipe.classes import ClassScheme
from polynya.report.tables import write_table
from polynya.report.time_charts import TimeLine, TimePanel, draw_times, find_gap
from polynya.storage.files import write_text
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free

NAME = "series"
"""Name of the three files, before their extensions."""
_ENDINGS = (".csv", ".json", ".png")


def timeseries(
    maps: MapsArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the table and the figure.")],
    region: Annotated[
        Path | None,
        typer.Option(
            "--region",
            help="GeoJSON, GeoPackage or Shapefile of polygons; default: the union of the frames of"
            " all maps.",
        ),
    ] = None,
    bbox: Annotated[
        str | None,
        typer.Option(
            "--bbox",
            metavar="W,S,E,N",
            help="The region as degrees; west is greater than east across the antimeridian.",
        ),
    ] = None,
    rule: RuleOption = "newest",
    ice: Annotated[
        str | None,
        typer.Option(
            "--ice",
            metavar="NAME,NAME...",
            help="Classes that are ice; default: thin_ice and thick_ice, if the maps have them.",
        ),
    ] = None,
    min_valid: Annotated[
        float,
        typer.Option(
            "--min-valid",
            min=0,
            max=1,
            help="Least share of the region with data; dates with less stay in the table and are"
            " drawn in grey.",
        ),
    ] = 0.5,
    gap: Annotated[
        float | None,
        typer.Option(
            "--gap",
            min=0,
            help="Days without a map after which the line is interrupted; default: twice the usual"
            " distance of two dates.",
        ),
    ] = None,
    crs: CrsOption = None,
    resolution: ResolutionOption = None,
) -> None:
    """Measure maps of one place over time: concentration of ice and areas of classes.

    Writes series.csv, series.json and series.png. Areas are those on the ground, in km2. All maps
    are brought to one grid, like that of 'polynya mosaic'. Maps of one day (UTC) are combined by
    --rule.
    """
    wanted, box = check_crs(crs) if crs else None, read_box(bbox)
    if region is not None and box is not None:
        raise SceneError("--region and --bbox are both given; give one of them.")
    found, bad = open_maps(maps)
    found, undated = _dated(found)
    bad += undated
    confidence: Confidence | None = None
    if rule == "most-confident" and found:
        confidence, found, unsure = find_confidence(found)
        bad += unsure
    tell_bad(bad)
    if not found:
        raise SceneError("There is no map that can be used; see the reasons above.")
    classes = found[0].classes
    codes = ice_codes(classes, [name.strip() for name in ice.split(",")] if ice else [])
    if not codes:
        typer.echo("No class is known to be ice, so there is no concentration; --ice names some.")
    with open_output(out.absolute(), "series") as folder:
        files = [folder / f"{NAME}{ending}" for ending in _ENDINGS]
        check_free(files)
        ordered = in_order(found, rule)
        scenes = [made.scene for made in ordered]
        grid, area = region_grid(scenes, wanted, resolution, region, box)
        stack = Stack(ordered, grid, rule, confidence)
        days = measure_days(ordered, stack, grid, area, codes)
        if not any(day.valid_m2 for day in days):
            raise SceneError(
                "No map has data in the region; give another --region or --bbox, or other maps."
            )
        said = {
            "polynya_version": __version__,
            "rule": rule,
            "region": bbox or (str(region) if region else "union of the frames of all maps"),
            "crs": grid.crs,
            "resolution": [grid.width_of_pixel, grid.height_of_pixel],
            "min_valid": min_valid,
            "ice": [classes.names[code] for code in codes],
        }
        write_series(files, days, classes, min_valid, said, ordered, bad)
        draw_series(files[-1], days, classes, min_valid, gap)
        low = sum(day.valid_share < min_valid for day in days)
        typer.echo(
            f"{len(days)} dates of {len(found)} maps, {low} with less than {min_valid:.0%} of the"
            f" region; {NAME}.csv, {NAME}.json and {NAME}.png in {out}"
        )
        if bad:
            raise ScenesFailedError(f"{failed_of(len(bad), len(bad) + len(found), 'maps')}.")


def read_box(text: str | None) -> Box | None:
    """Read --bbox; SceneError if it isn't west, south, east, north in degrees."""
    if text is None:
        return None
    try:
        west, south, east, north = (float(word) for word in text.split(","))
    except ValueError:
        west, south, east, north = 0.0, 0.0, 0.0, 0.0
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
        raise SceneError(
            f"--bbox {text} isn't west, south, east, north in degrees, such as 160,-78,-160,-70."
        )
    if west == east:
        raise SceneError(f"--bbox {text} has no width; give another east.")
    return (west, south, east, north)


def _dated(maps: Sequence[MadeMap]) -> tuple[list[MadeMap], list[BadMap]]:
    kept, bad = [], []
    for made in maps:
        day = attempt(partial(_day_of, made), str(made.path), "dated")
        if isinstance(day, Failure):
            bad.append(BadMap(str(made.path), day.reason))
        else:
            kept.append(made)
    return kept, bad


def _day_of(made: MadeMap) -> str:
    return made.day


def series_rows(
    days: Sequence[Day], classes: ClassScheme, min_valid: float
) -> list[dict[str, Any]]:
    """Make a row of numbers of each day; None for what isn't known.

    The areas of masks that overlap may add up to more than there is.
    """
    rows = []
    for day in days:
        row: dict[str, Any] = {
            "date": day.date,
            "maps": len(day.maps),
            "valid_share": round(day.valid_share, 6),
            "enough_valid": day.valid_share >= min_valid,
            "region_km2": round(day.region_m2 / 1e6, 6),
            "valid_km2": round(day.valid_m2 / 1e6, 6),
            "ice_concentration": (
                None if day.concentration is None else round(day.concentration, 6)
            ),
        }
        for name, area in zip(classes.names, day.classes_m2, strict=True):
            row[f"{name}_km2"] = round(area / 1e6, 6)
        rows.append(row)
    return rows


def write_series(
    files: Sequence[Path],
    days: Sequence[Day],
    classes: ClassScheme,
    min_valid: float,
    said: dict[str, Any],
    maps: Sequence[MadeMap],
    bad: Sequence[BadMap],
) -> None:
    """Write the table as CSV and, with what it is made of, as JSON."""
    rows = series_rows(days, classes, min_valid)
    texts = [
        {
            key: ""
            if value is None
            else str(value).lower()
            if isinstance(value, bool)
            else f"{value:.6f}"
            if isinstance(value, float)
            else str(value)
            for key, value in row.items()
        }
        for row in rows
    ]
    write_table(files[0], list(rows[0]), texts)
    content = {
        **said,
        "dates": [row | {"maps": list(day.maps)} for row, day in zip(rows, days, strict=True)],
        "maps": {made.id: made.digest for made in sorted(maps, key=lambda made: made.id)},
        "failed": {one.name: one.reason for one in bad},
    }
    write_text(files[1], json.dumps(content, indent=2) + "\n")


def draw_series(
    path: Path, days: Sequence[Day], classes: ClassScheme, min_valid: float, gap: float | None
) -> None:
    """Draw the figure: concentration, areas of classes, share of the region with data."""
    enough = np.array([day.valid_share >= min_valid for day in days])
    dates = [day.date for day in days]

    def line(title: str, values: Sequence[float | None], color: Any = "black") -> TimeLine:
        known = [np.nan if value is None else value for value in values]
        return TimeLine(title, np.array(known, np.float64), color)

    panels = [
        TimePanel(
            "Area, km2",
            [
                line(
                    c.title,
                    [day.classes_m2[c.code] / 1e6 if day.valid_m2 else None for day in days],
                    tuple(part / 255 for part in c.color),
                )
                for c in classes.classes
            ],
        ),
        TimePanel(
            "Valid share",
            [line("Share of the region with data", [day.valid_share for day in days])],
            limits=(0, 1),
            threshold=min_valid,
        ),
    ]
    if any(day.ice_m2 is not None for day in days):
        shares = [day.concentration for day in days]
        panels.insert(
            0, TimePanel("Ice concentration", [line("Ice concentration", shares)], limits=(0, 1))
        )
    draw_times(path, dates, panels, enough, find_gap(dates) if gap is None else gap)
