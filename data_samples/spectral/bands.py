"""The bands of a spectral scene, and where their names come from."""

from __future__ import annotations

BANDS = ("blue", "green", "red", "nir", "cirrus", "swir16", "swir22")
"""Common names of the bands, in the order of all tables here."""

SENTINEL2 = {
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B08": "nir",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""Names on Sentinel-2. MODIS has red in band 1, nir (0.86 um) in 2, swir16 in 6, swir22 in 7."""

WAVELENGTHS = (0.49, 0.56, 0.665, 0.842, 1.375, 1.61, 2.13)
"""Middle of each band, in micrometres."""

COLOURS = ("red", "green", "blue")
"""The bands of an RGB image, in its order."""
