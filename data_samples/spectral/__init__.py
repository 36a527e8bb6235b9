"""Scenes with reflectance in seven bands, of seven kinds of ground, with truth."""

from data_samples.spectral.bands import BANDS, COLOURS
from data_samples.spectral.scene import STRUCTURES, SpectralScene, make_spectral

__all__ = ["BANDS", "COLOURS", "STRUCTURES", "SpectralScene", "make_spectral"]
