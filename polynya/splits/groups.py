"""Groups of tiles by names and tables: scene, site, date, or a column that a person gives.

A group is a text for each tile. Tiles of one group resemble each other, so they must be on the same
side of a split. `blocks.py` makes groups by place, `duplicates.py` by content.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from polynya.errors import RecipeError, ShardError, reason_of
from polynya.names import printable
from polynya.scenes.times import name_time
from polynya.splits.tiles import TileTable

SCENE_COLUMN, GROUP_COLUMN = "scene_id", "group"
_PLACE = ("row", "col")


def site_of(scene_id: str, pattern: str | None) -> str:
    """Find the group of a scene by its name.

    It is the first group of the regular expression if the expression matches, else the scene's own
    id. For example, the clear and the cloudy image of one site must be on the same side.
    """
    match = re.search(pattern, scene_id) if pattern else None
    if match is None or match.group(1) is None:
        return scene_id
    return match.group(1)


def site_pattern(pattern: str, option: str) -> str:
    """Check a regular expression for `site_of` that a user gives to an option, and return it.

    Raises:
        RecipeError: It is no regular expression, or has no (group).
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise RecipeError(f"{option} is no regular expression ({error}); correct it.") from None
    if groups < 1:
        raise RecipeError(f"{option} '{pattern}' has no (group); put the site into parentheses.")
    return pattern


def by_site(scenes: Sequence[str], pattern: str | None) -> list[str]:
    """Group scenes by `site_of`; without a pattern, each scene is a group."""
    return [site_of(scene, pattern) for scene in scenes]


def by_date(scenes: Sequence[str]) -> list[str]:
    """Group scenes by the day (UTC) in their names, as YYYY-MM-DD.

    Raises:
        ShardError: A name has no date.
    """
    days = {scene: name_time(scene) for scene in set(scenes)}
    for scene in sorted(days):
        if days[scene] is None:
            raise ShardError(
                f"The name of the scene {scene} has no date, so its tiles can't be grouped by date;"
                " give the dates in a table: --by table --table FILE."
            )
    return [found.start.date().isoformat() for s in scenes if (found := days[s]) is not None]


def by_table(tiles: TileTable, file: Path, column: str = GROUP_COLUMN) -> list[str]:
    """Group tiles by a CSV table with a row for each scene, or for each tile.

    Args:
        tiles: N tiles.
        file: CSV file with the columns `scene_id` and `column`; with `row` and `col` too if the
            table has a row for each tile.
        column: Column with the names of groups.

    Returns:
        N names.

    Raises:
        ShardError: The table can't be read, lacks a column, or lacks a scene or tile.
    """
    table = _read_table(file, column)
    names = []
    for key in tiles.keys:
        group = table.get(key, table.get(key[0], ""))
        if not group:
            raise ShardError(
                f"{printable(file)} gives no '{column}' for the tile of scene {key[0]} at row"
                f" {key[1]}, column {key[2]}; add a line for it."
            )
        names.append(group)
    return names


def _read_table(file: Path, column: str) -> dict[object, str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            lines, header = list(reader), set(reader.fieldnames or ())
    except (OSError, UnicodeError, csv.Error) as error:
        raise ShardError(
            f"The table {printable(file)} can't be read ({reason_of(error)}); give a CSV file in"
            f" UTF-8 with the columns {SCENE_COLUMN} and {column}."
        ) from None
    for name in (SCENE_COLUMN, column):
        if name not in header:
            raise ShardError(
                f"The table {printable(file)} has no column '{name}'; it needs {SCENE_COLUMN} and"
                f" {column}, and {' and '.join(_PLACE)} if it has a line for each tile."
            )
    groups: dict[object, str] = {}
    for number, line in enumerate(lines, start=2):
        try:
            place = tuple(int(line[name]) for name in _PLACE) if header >= set(_PLACE) else ()
        except (TypeError, ValueError):
            raise ShardError(
                f"Line {number} of {printable(file)} has a row or col that is no whole number;"
                " correct it."
            ) from None
        key = (line[SCENE_COLUMN], *place) if place else line[SCENE_COLUMN]
        group = (line[column] or "").strip()
        if groups.setdefault(key, group) != group:
            raise ShardError(
                f"Line {number} of {printable(file)} puts the scene {line[SCENE_COLUMN]} into a"
                " second group; keep one line."
            )
    return groups
