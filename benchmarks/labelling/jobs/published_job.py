"""The published auto-labelling pipeline, after its description, as a Spark program.

    spark-submit benchmarks/labelling/jobs/published_job.py TILES [--counts FILE]

"A Parallel Workflow for Polar Sea-Ice Classification using Auto-labeling of Sentinel-2 Imagery",
III-B: Spark's `image` data source loads all images of 256 x 256 pixels into a DataFrame. A
user-defined function, applied by `map`, filters and labels each image. A reduce collects the label
images, in the classes' colours, on the driver. The code isn't public. Where the description leaves
a choice, this program takes the cheaper one: it decodes images once, during the map, and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.published import published_filter
from polynya.recipe.classes import SEA_ICE

_RANGES = {
    "open_water": ((0, 0, 0), (185, 255, 30)),
    "thin_ice": ((0, 0, 31), (185, 255, 204)),
    "thick_ice": ((0, 0, 205), (185, 255, 255)),
}
"""Range of hue, saturation and value of each class, both ends included (III-B of the paper)."""
_COLORS = {c.name: c.color for c in SEA_ICE.classes}


def label_tile(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Filter and label one tile, uint8 (H, W, 3), in the colours of the classes."""
    hsv = cv2.cvtColor(published_filter(rgb), cv2.COLOR_RGB2HSV)
    label = np.zeros_like(rgb)
    for name, (low, high) in _RANGES.items():
        label[cv2.inRange(hsv, low, high) > 0] = _COLORS[name]
    return label


def _label_row(row: Any) -> tuple[str, bytes]:
    image = row.image
    bgr = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    return image.origin, label_tile(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).tobytes()


def count_classes(labels: list[tuple[str, bytes]]) -> dict[str, int]:
    """Pixels of each class in label images."""
    counts = dict.fromkeys(_RANGES, 0)
    for _, label in labels:
        pixels = np.frombuffer(label, np.uint8).reshape(-1, 3)
        for name, color in _COLORS.items():
            counts[name] += int((pixels == np.array(color, np.uint8)).all(axis=1).sum())
    return counts


def main() -> None:
    """Label all tiles below a folder and collect the labels."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser()
    parser.add_argument("tiles", help="Folders of images, as a path or glob of Spark.")
    parser.add_argument("--counts", type=Path, help="File for the pixels of each class (JSON).")
    arguments = parser.parse_args()
    spark = SparkSession.builder.appName("published auto-labelling").getOrCreate()
    images = spark.read.format("image").load(arguments.tiles)
    labels = images.rdd.map(_label_row).collect()
    if arguments.counts:
        content = {"tiles": len(labels), "pixels": count_classes(labels)}
        arguments.counts.write_text(json.dumps(content), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main()
