"""Groups by name and by table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polynya.errors import ShardError
from polynya.splits.groups import by_date, by_site, by_table
from polynya.splits.tiles import TileTable

SCENES = ("S2_20190101T101010_T01", "S2_20190101_T02", "S2_20200607_T01")


def _tiles(*scenes: str) -> TileTable:
    count = len(scenes)
    boxes = np.array([[0, 64 * number, 64, 64] for number in range(count)])
    return TileTable(
        scenes, boxes, (None,) * count, np.full((count, 6), np.nan), np.ones((count, 3), np.int64)
    )


def test_sites_and_dates_come_from_names() -> None:
    assert by_site(SCENES, r"_(T\d+)$") == ["T01", "T02", "T01"]
    assert by_date(SCENES) == ["2019-01-01", "2019-01-01", "2020-06-07"]
    with pytest.raises(ShardError, match="scene harbour has no date.*--by table"):
        by_date(["harbour"])


def test_a_table_groups_scenes_or_tiles(tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("scene_id,group,area\na,one,x\nb,two,x\n")
    assert by_table(_tiles("a", "a", "b"), file) == ["one", "one", "two"]
    assert by_table(_tiles("a", "a", "b"), file, "area") == ["x", "x", "x"]
    file.write_text("scene_id,row,col,group\na,0,0,one\na,0,64,two\n")
    assert by_table(_tiles("a", "a"), file) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene_id,site\na,one\n", "has no column 'group'; it needs scene_id and group"),
        ("group\none\n", "has no column 'scene_id'"),
        ("scene_id,group\nb,one\n", "no 'group' for the tile of scene a at row 0, column 0; add"),
        ("scene_id,group\na,\n", "no 'group' for the tile of scene a"),
        ("scene_id,group\na,one\na,two\n", "Line 3 of .* puts the scene a into a second group"),
        ("scene_id,row,col,group\na,0,x,one\n", "Line 2 of .* no whole number"),
        ("", "has no column 'scene_id'"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "groups.csv"
    file.write_text(text)
    with pytest.raises(ShardError, match=message):
        by_table(_tiles("a"), file)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"none.csv can't be read \(No such file"):
        by_table(_tiles("a"), tmp_path / "none.csv")
