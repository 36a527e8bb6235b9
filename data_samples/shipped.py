"""The samples that ship with Polynya, and a function to make them again, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_samples.scene import make_scene
from data_samples.write import write_scene
from polynya.storage.output_folder import make_folder


@dataclass(frozen=True)
class ShippedSample:
    """One site of `scenes/`."""

    folder: str
    """"train" or "heldout"."""
    seed: int
    index: int
    shape: tuple[int, int]
    """(H, W) in pixels."""
    sky: str
    wedge: float = 0.0
    """Share of the scene beyond the edge of the swath."""


SHIPPED = (
    ShippedSample("train", 1, 2, (600, 500), "both"),
    ShippedSample("train", 1, 3, (512, 512), "shadow"),
    ShippedSample("train", 1, 7, (512, 640), "cloud"),
    ShippedSample("train", 1, 10, (480, 544), "cloud"),
    ShippedSample("train", 1, 11, (512, 512), "both", wedge=0.12),
    ShippedSample("train", 1, 15, (512, 512), "shadow"),
    ShippedSample("heldout", 2, 0, (512, 512), "shadow"),
    ShippedSample("heldout", 2, 2, (600, 500), "both"),
    ShippedSample("heldout", 2, 4, (480, 544), "cloud"),
    ShippedSample("heldout", 2, 6, (512, 512), "shadow", wedge=0.12),
    ShippedSample("heldout", 2, 7, (512, 640), "cloud"),
    ShippedSample("heldout", 2, 17, (512, 512), "both"),
)
"""Loose floes, closed pack, marginal and young ice under each sky, chosen by eye for variety."""


def make_shipped(sample: ShippedSample, folder: Path) -> list[Path]:
    """Make one shipped site below `folder`; returns the paths of its files."""
    scene = make_scene(sample.seed, sample.index, sample.shape, sample.sky, wedge=sample.wedge)
    return write_scene(scene, make_folder(folder / sample.folder))
