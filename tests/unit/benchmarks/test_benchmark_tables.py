"""Tables IV and V of the sea-ice paper: its pattern, and the scenes with people's labels."""

from __future__ import annotations

import rasterio

from benchmarks.accuracy.tables import LESS, MORE, ORIGINAL, PAPER, _write_sites, pattern


def test_the_papers_own_figures_have_its_pattern():
    rows = pattern(PAPER)
    assert len(rows) == 6
    assert all(held for _, held, _ in rows)
    assert rows[0][2] == "+7.01 and +8.79"
    other = PAPER | {(MORE, ORIGINAL): (79.0, 99.0)}
    assert [held for _, held, _ in pattern(other)] == [True, True, False, False, True, True]
    without = {key: value for key, value in PAPER.items() if key[0] not in (MORE, LESS)}
    assert len(pattern(without)) == 2


def test_the_truth_of_a_site_is_the_label_of_its_scene_under_its_own_sky(tmp_path):
    paths = _write_sites(tmp_path, 61_000, 4, 64, jobs=1)
    skies = [path.stem.rpartition("_")[2] for path in paths]
    assert skies == ["clear", "shadow", "cloud", "both"]
    for path in paths:
        assert path.is_file()
        with rasterio.open(path.with_name(f"{path.stem}_labels.tif")) as source:
            assert source.shape == (64, 64)
            assert source.nodata == 255
