"""Generated cloud pictures: same seed same bytes, the competition's form, masks that overlap."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import typer
from typer.testing import CliRunner

from data_samples.__main__ import main
from data_samples.clouds import SHAPE, STRUCTURES, make_clouds, write_clouds
from polynya.run_length import decode

SMALL = (140, 210)


def test_pictures_depend_on_seed_and_number():
    first, same, other = (make_clouds(1, n, SMALL) for n in (0, 0, 1))
    np.testing.assert_array_equal(first.image, same.image)
    assert (first.image != other.image).any()
    assert (first.image != make_clouds(2, 0, SMALL).image).any()


def test_masks_overlap_and_each_structure_is_there_and_missing():
    made = [make_clouds(0, n, SMALL) for n in range(12)]
    there = np.array([[picture.masks[name].any() for name in STRUCTURES] for picture in made])
    assert there.any(axis=1).all()
    assert there.any(axis=0).all()
    assert not there.all(axis=0).any()
    assert any((sum(m.astype(int) for m in picture.masks.values()) > 1).any() for picture in made)
    # Clouds are brighter than the sea around them, and also lie outside of masks.
    under = [np.any(list(picture.masks.values()), axis=0) for picture in made]
    inside = np.mean([p.image[u].mean() for p, u in zip(made, under, strict=True)])
    outside = np.mean([p.image[~u].mean() for p, u in zip(made, under, strict=True)])
    assert inside > outside + 30
    specks = [(p.image[~u] > 150).any() for p, u in zip(made, under, strict=True)]
    assert np.mean(specks) > 0.5


def test_the_files_are_those_of_the_competition(tmp_path):
    write_clouds(tmp_path, 3, 2, SMALL)
    first = {path: path.read_bytes() for path in tmp_path.rglob("[t0]*.*")}
    write_clouds(tmp_path, 3, 2, SMALL)
    assert first == {path: path.read_bytes() for path in tmp_path.rglob("[t0]*.*")}
    names = sorted(path.name for path in (tmp_path / "train_images").glob("*.jpg"))
    assert names == ["0030000.jpg", "0030001.jpg"]
    image = cv2.imread(str(tmp_path / "train_images" / names[0]))[..., ::-1]
    picture = make_clouds(3, 0, SMALL)
    assert np.abs(image.astype(int) - picture.image).mean() < 4
    with (tmp_path / "train.csv").open(newline="") as file:
        rows = {row["Image_Label"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    assert list(rows) == [f"{name}_{label}" for name in names for label in STRUCTURES]
    for label in STRUCTURES:
        mask = decode(rows[f"{names[0]}_{label}"], *SMALL, "train.csv,")
        np.testing.assert_array_equal(mask, picture.masks[label])


def test_the_command_makes_pictures_of_the_competitions_size_if_it_is_told_no_other(tmp_path):
    app = typer.Typer()
    app.command()(main)
    for folder, size in (("small", ["--size", "70x105"]), ("full", [])):
        words = ["--clouds", "--out", str(tmp_path / folder), *size]
        assert CliRunner().invoke(app, words).exit_code == 0
    shapes = [
        cv2.imread(str(tmp_path / folder / "train_images" / "0000000.jpg")).shape[:2]
        for folder in ("small", "full")
    ]
    assert shapes == [(70, 105), SHAPE]
    assert SHAPE == (1400, 2100)
