"""Generated land cover: same seed same pixels, LandCover.ai's form, no class by colour alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import typer
from typer.testing import CliRunner

from data_samples.__main__ import main
from data_samples.landcover import ROAD, WOODLAND, make_landcover, share_out

app = typer.Typer()
app.command()(main)


def test_same_seed_and_index_give_the_same_tile() -> None:
    first, again, other = (make_landcover(4, index, 96) for index in (2, 2, 3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_all_classes_occur_and_woods_cover_what_they_do_in_the_data_set() -> None:
    tiles = [make_landcover(1, index, 96) for index in range(40)]
    shares = np.bincount(np.stack([label for _, label in tiles]).ravel(), minlength=5) / 40 / 96**2
    assert len(shares) == 5
    assert shares.min() > 0.01
    assert 0.15 < shares[WOODLAND] < 0.45  # LandCover.ai: 33 % (its Table 1).
    images = np.stack([image for image, _ in tiles]).astype(int)
    labels = np.stack([label for _, label in tiles])
    road = images[labels == ROAD].mean(axis=0)
    alike = np.abs(images - road).max(axis=-1) < 20
    assert (labels[alike] != ROAD).mean() > 0.5  # Most pixels as grey as a road are none.


def test_the_command_writes_the_form_of_the_data_set(tmp_path: Path) -> None:
    words = ["--landcover", "--out", str(tmp_path / "set"), "--count", "6", "--size", "64"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for subset, count in share_out(6).items():
        names = (tmp_path / "set" / f"{subset}.txt").read_text().split()
        assert len(names) == count
        for name in names:
            mask = cv2.imread(str(tmp_path / "set" / "output" / f"{name}_m.png"), -1)
            assert mask.shape == (64, 64)
            assert mask.max() <= ROAD
            assert cv2.imread(str(tmp_path / "set" / "output" / f"{name}.jpg")).shape[:2] == (
                64,
                64,
            )
