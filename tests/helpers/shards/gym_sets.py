"""Segmentation Gym: its published configuration, and small data sets whose bands tell classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autolabel.importers.gym import npz_content, npz_name
from polynya.recipe.classes import ClassScheme, LabelClass

PUBLISHED: dict[str, Any] = {
    "TARGET_SIZE": [768, 768], "MODEL": "resunet", "NCLASSES": 4, "BATCH_SIZE": 7,
    "N_DATA_BANDS": 3, "DO_TRAIN": True, "PATIENCE": 10, "MAX_EPOCHS": 100,
    "VALIDATION_SPLIT": 0.2, "FILTERS": 8, "KERNEL": 7, "STRIDE": 1, "DROPOUT": 0.1,
    "DROPOUT_CHANGE_PER_LAYER": 0.0, "DROPOUT_TYPE": "standard",
    "USE_DROPOUT_ON_UPSAMPLING": False, "ROOT_STRING": "hatteras_l8_aug_768", "FILTER_VALUE": 3,
    "DOPLOT": True, "USEMASK": False, "RAMPUP_EPOCHS": 10, "SUSTAIN_EPOCHS": 0.0,
    "EXP_DECAY": 0.9, "START_LR": 1e-7, "MIN_LR": 1e-7, "MAX_LR": 1e-4, "AUG_ROT": 0,
    "AUG_ZOOM": 0.05, "AUG_WIDTHSHIFT": 0.05, "AUG_HEIGHTSHIFT": 0.05, "AUG_HFLIP": False,
    "AUG_VFLIP": False, "AUG_LOOPS": 1, "AUG_COPIES": 3,
}  # fmt: skip
"""The example configuration in the documentation of Segmentation Gym's repository."""


def write_gym_set(
    folder: Path,
    *,
    bands: int = 3,
    classes: int = 4,
    root: str = "coast",
    shape: tuple[int, int] = (32, 32),
    one_band: bool = False,
) -> Path:
    """Write two images that train, a copy of each, and one that validates; returns the folder.

    Args:
        folder: The data set.
        bands: Bands of an image, uint8.
        classes: Bands of the labels.
        root: The Gym's ROOT_STRING.
        shape: Rows and columns.
        one_band: Whether labels of two classes are one array (H, W), as for NCLASSES 1.
    """
    rng = np.random.default_rng(0)
    scheme = ClassScheme(
        name="made",
        classes=tuple(
            LabelClass(code=code, name=f"c{code}", title=str(code), color=(code, 0, 0))
            for code in range(classes)
        ),
    )
    for part, count in (("train", 2), ("val", 1)):
        place = folder / f"{part}_data" / f"{part}_npzs"
        place.mkdir(parents=True)
        for number in range(count):
            cells = rng.integers(0, classes, (shape[0] // 8, shape[1] // 8))
            labels = np.kron(cells, np.ones((8, 8), np.int64)).astype(np.uint8)
            noise = rng.integers(0, 40, (*labels.shape, bands))
            image = (labels[..., None] * (200 // classes) + noise).astype(np.uint8)
            _write(place / npz_name(root, number), image, labels, scheme, one_band)
            if part == "train":
                copy = place / npz_name(root, number, is_copy=True)
                _write(copy, image[::-1], labels[::-1], scheme, one_band)
    return folder


def _write(
    path: Path, image: np.ndarray, labels: np.ndarray, scheme: ClassScheme, one_band: bool
) -> None:
    if one_band:
        np.savez_compressed(path, arr_0=image, arr_1=labels, num_bands=image.shape[-1])
    else:
        path.write_bytes(npz_content(image, labels, scheme, ["a.jpg"]))
