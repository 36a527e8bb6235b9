"""Descriptors of tiles by a Keras backbone with given weights, for near-duplicates.

This is how the kelp data set of DrivenData was grouped: the outputs of an ImageNet ResNet-50 for
the elevation as a picture, equal from a cosine of 0.97 on. That threshold belongs to that network.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.provenance import file_digest
from polynya.splits.duplicates import Described
from polynya.splits.pictures import Picture
from training.model_folder.model_file import open_keras_network

COSINE = 0.97
"""Least cosine of near-duplicates, for outputs of a ResNet-50."""
_BATCH = 32
_ANY_EDGE = 224
"""Edge of the pictures for a network that accepts any."""


def describe_by_backbone(
    pictures: Iterable[Picture], path: Path, threshold: float = COSINE
) -> Described:
    """Describe tiles by the outputs of a network.

    A picture is the band from its least to its greatest value as 0..255, in all channels of the
    network, brought to its size. The network must do its own further preprocessing. A tile without
    contrast or without valid pixels is like no other.

    Args:
        pictures: One band of N tiles.
        path: Keras file with structure and weights, from (B, H, W, channels) to (B, ...).
        threshold: Least cosine of near-duplicates.

    Raises:
        ModelError: The file can't be opened, or isn't a network from one picture to one output.
    """
    network = open_keras_network(path)
    _, height, width, channels = network.input_shape
    shape = (height or _ANY_EDGE, width or _ANY_EDGE)
    found, left = [], iter(pictures)
    while grey := [_grey(picture, shape) for picture in islice(left, _BATCH)]:
        inputs = np.repeat(np.stack(grey)[..., None], channels or 3, axis=-1)
        outputs = np.asarray(network.predict_on_batch(inputs), np.float32).reshape(len(grey), -1)
        outputs[[not image.any() for image in grey]] = 0
        found.append(outputs / np.maximum(np.linalg.norm(outputs, axis=1, keepdims=True), 1e-12))
    about = {"descriptor": "network", "weights": file_digest(path)}
    return Described(np.concatenate(found), threshold, about=about)


def _grey(picture: Picture, shape: tuple[int, int]) -> NDArray[np.float32]:
    values, valid = picture
    low, high = (values[valid].min(), values[valid].max()) if valid.any() else (0.0, 0.0)
    if high <= low:
        return np.zeros(shape, np.float32)
    scaled = np.where(valid, (values - low) / (high - low) * 255, 0).astype(np.float32)
    return np.asarray(cv2.resize(scaled, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
