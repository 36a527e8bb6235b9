"""Polar scenes with truth: a few small scenes in `scenes/`, and the generator that made them."""

from data_samples.scene import GENERATOR_VERSION, SampleScene, make_scene
from data_samples.sky import SKY_KINDS, SkyOptions
from data_samples.write import write_scene, write_spectral

__all__ = [
    "GENERATOR_VERSION",
    "SKY_KINDS",
    "SampleScene",
    "SkyOptions",
    "make_scene",
    "write_scene",
    "write_spectral",
]
