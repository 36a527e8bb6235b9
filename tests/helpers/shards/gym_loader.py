"""Reads a data set as Segmentation Gym documents it: the arrays and names that its loader takes.

Buscombe and Goldstein 2022, and the documentation of the repository: files of `train_data` and
`val_data` are found by their folders; `noaug` in a name says that it is no augmented copy. `arr_0`
is the image, `arr_1` the one-hot label, `files` has at least the name of one file, and all images
have one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class GymSamples:
    """All samples of a part of the data set, in the order of the files' names."""

    names: tuple[str, ...]
    images: np.ndarray
    """uint8 (N, H, W, B)."""
    labels: np.ndarray
    """uint8 (N, H, W, C), one-hot."""
    files: tuple[str, ...]


def load_gym(folder: Path, part: str, mode: str = "noaug") -> GymSamples:
    """Load `train` or `val`; mode: `noaug`, `aug` (the copies) or `all`."""
    pattern = {"noaug": "*_noaug_nd_data_*.npz", "aug": "*_aug_nd_data_*.npz", "all": "*.npz"}[mode]
    paths = sorted((folder / f"{part}_data" / f"{part}_npzs").glob(pattern))
    images, labels, files = [], [], []
    for path in paths:
        with np.load(path, allow_pickle=False) as data:
            image, label = data["arr_0"], data["arr_1"]
            assert int(data["num_bands"]) == image.shape[-1]
            files.append("".join(data["files"][0]))
        assert image.dtype == label.dtype == np.uint8
        assert label.shape[:2] == image.shape[:2]
        assert set(np.unique(label)) <= {0, 1}
        assert label.sum(axis=-1).max() <= 1
        images.append(image)
        labels.append(label)
    return GymSamples(
        tuple(p.stem for p in paths), np.stack(images), np.stack(labels), tuple(files)
    )
