"""Arrays in .npz files: Segmentation Gym and Doodler, and what strangers may put into them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autolabel.importers.gym import npz_content, npz_name
from autolabel.importers.npz import opened_npz
from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    WIDTH,
    MadeSet,
    classes,
    doodler,
    gym,
    image,
    labels,
    write_raster,
)
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile

WHOLE = Tile(0, 0, HEIGHT, WIDTH)


class Opened:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def read(made):
    recipe = made.checked()
    found = find_samples([str(made.source)], recipe)
    return {s.id: read_sample(open_sample(s, recipe), recipe, WHOLE) for s in found}


def test_files_of_the_gym_have_its_arrays_and_names(tmp_path):
    scheme = gym(tmp_path / "made").checked().classes
    content = npz_content(image(0, 5), labels(0, 3), scheme, ["a.jpg", "a_nir.jpg"])
    with np.load(io.BytesIO(content), allow_pickle=False) as npz:
        assert list(npz) == ["arr_0", "arr_1", "num_bands", "files"]
        assert (npz["arr_0"].dtype, npz["arr_1"].dtype) == (np.uint8, np.uint8)
        assert (npz["arr_0"] == image(0, 5)).all()
        assert (npz["arr_1"] == np.eye(3, dtype=np.uint8)[labels(0, 3)]).all()
        assert npz["num_bands"] == 5
        assert npz["files"].tolist() == ["a.jpg", "a_nir.jpg"]
    again = npz_content(image(0, 5), labels(0, 3), scheme, ["a.jpg", "a_nir.jpg"])
    assert content == again
    assert npz_name("coast", 0) == "coast_noaug_nd_data_0000000.npz"
    assert npz_name("coast", 12, is_copy=True) == "coast_aug_nd_data_00000012.npz"


def test_copies_of_the_gym_are_taken_if_asked_for(tmp_path):
    made = gym(tmp_path / "made")
    made.recipe["imports"]["augmented"] = True
    assert len(find_samples([str(made.source)], made.checked())) == 4


def test_files_of_the_gym_are_chosen_by_the_beginning_of_their_names(tmp_path):
    made = gym(tmp_path / "made")
    made.recipe["imports"]["prefix"] = "coast_"
    assert len(find_samples([str(made.source)], made.checked())) == 2
    made.recipe["imports"]["prefix"] = "coats"
    (source,) = find_samples([str(made.source)], made.checked())
    assert "begins with 'coats'; correct the recipe's key 'imports.prefix'" in source.problem


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)])
def test_one_band_is_the_second_of_two_classes(tmp_path, shape):
    made = MadeSet(
        tmp_path / "a.npz", {"classes": classes("other", "water"), "imports": {"kind": "gym"}}
    )
    np.savez(made.source, arr_0=image(0), arr_1=labels(0, 2).reshape(shape))
    (label,) = [labelled.label for labelled, _, _ in read(made).values()]
    assert (label == labels(0, 2)).all()


def test_the_first_class_of_a_pixel_counts_if_the_recipe_says_so(tmp_path):
    # As augmented copies with dilated labels have it.
    made = MadeSet(
        tmp_path / "a.npz", {"classes": classes("a", "b", "c"), "imports": {"kind": "gym"}}
    )
    hot = np.eye(3, dtype=np.uint8)[labels(0, 3)]
    hot[:9, :9] = [0, 1, 1]
    hot[20, 20] = 0
    np.savez(made.source, arr_0=image(0), arr_1=hot)
    with pytest.raises(LabelError, match="has several classes at row 0, column 0"):
        read(made)
    made.recipe["imports"]["overlap"] = "first"
    (label,) = [labelled.label for labelled, _, _ in read(made).values()]
    expected = labels(0, 3)
    expected[:9, :9], expected[20, 20] = 1, 255
    assert (label == expected).all()


def test_eleven_classes_of_the_gym_become_four(tmp_path):
    made = MadeSet(
        tmp_path / "a.npz",
        {
            "classes": classes("water", "whitewater", "sand", "other"),
            "imports": {
                "kind": "gym",
                "codes": {0: "water", 1: "whitewater", 2: "sand"}
                | dict.fromkeys(range(3, 10), "other")
                | {10: None},
            },
        },
    )
    numbers = labels(0, 11)
    np.savez(made.source, arr_0=image(0), arr_1=np.eye(11, dtype=np.uint8)[numbers])
    (label,) = [labelled.label for labelled, _, _ in read(made).values()]
    assert (label == np.where(numbers == 10, 255, np.minimum(numbers, 3))).all()


def test_an_image_of_other_bands_than_colours_needs_their_names(tmp_path):
    made = gym(tmp_path / "made")
    del made.recipe["scene"]
    with pytest.raises(SceneError, match="has 5 bands of uint8, which are no 8-bit colours; name"):
        read(made)


def test_an_array_has_no_place_on_a_map_of_land(tmp_path):
    made = gym(tmp_path / "made")
    made.recipe["scene"]["land"] = "coast.gpkg"
    with pytest.raises(SceneError, match="as the kind 'gym' knows none; leave 'scene.land' out"):
        read(made)


def test_a_pickle_in_place_of_labels_is_never_opened(tmp_path):
    made = gym(tmp_path / "made")
    mark = tmp_path / "opened"
    for name in ("arr_0", "arr_1"):
        arrays = {"arr_0": image(0, 5), "arr_1": np.eye(3, dtype=np.uint8)[labels(0, 3)]}
        arrays[name] = np.array([Opened(mark)], object)
        np.savez(made.first, **arrays)
        with pytest.raises(SceneError, match=f"'{name}' as a pickle, which may run any program"):
            read(made)
    assert not mark.exists()


def test_the_pickle_of_doodler_does_not_matter(tmp_path):
    made = doodler(tmp_path / "made")
    read(made)
    assert not (made.source / "the_pickle_was_opened").exists()
    with opened_npz(str(made.first)) as npz, pytest.raises(SceneError, match="'settings' as a pic"):
        npz.array("settings")


def test_arrays_that_claim_more_than_they_have_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(header, description)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", header.getvalue() + b"\0")
    with opened_npz(str(path)) as npz, pytest.raises(SceneError, match="3,000,000,000,000 bytes"):
        npz.array("arr_0")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no archive at all"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    refused = pytest.raises(SceneError, match="a.npz can't be read as an .npz archive")
    with refused, opened_npz(str(path)):
        pass


def test_labels_of_another_size_are_refused(tmp_path):
    made = gym(tmp_path / "made")
    np.savez(made.first, arr_0=image(0, 5), arr_1=np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(LabelError, match=r"has the shape \(9, 9, 3\) and its image 40 x 56 pixels"):
        read(made)


LABELS = np.roll(labels(0, 4), 3, (0, 1))
"""Not along the blocks of JPEG, which changes them therefore."""


def exported(place, numbers):
    """A data set as Doodler's exporter writes it: JPEG, also of the labels."""
    made = MadeSet(
        place, {"classes": classes("water", "sand", "land", "roof"), "imports": {"kind": "doodler"}}
    )
    write_raster(place / "images" / "a.jpg", image(0))
    write_raster(place / "labels" / "a_label.jpg", numbers, quality=100)
    return made


def test_exported_labels_lose_their_one_and_what_jpeg_did_to_them(tmp_path, capsys):
    made = exported(tmp_path / "made", LABELS + 1)
    ((labelled, _, _),) = read(made).values()
    assert (labelled.label == LABELS).mean() > 0.95
    assert "count from 1, which is taken off; each number takes the nearest class" in (
        " ".join(capsys.readouterr().err.split())
    )


def test_exported_labels_that_count_from_zero_are_told_apart(tmp_path):
    made = exported(tmp_path / "made", LABELS)
    with pytest.raises(LabelError, match="so its labels count from 0; set .* to false"):
        read(made)
    made.recipe["imports"]["plus_one"] = False
    ((labelled, _, _),) = read(made).values()
    assert (labelled.label == LABELS).mean() > 0.95
