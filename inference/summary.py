"""How much of a scene is what: area and share of each class."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from polynya.classes import ClassScheme
from polynya.files import whole_file
from polynya.scenes import Scene

_WGS84_AXIS, _WGS84_FLATTENING = 6378137.0, 1 / 298.257223563


def summarise(codes: NDArray[np.uint8], scene: Scene, classes: ClassScheme) -> dict[str, str]:
    """One row of numbers on a map.

    Args:
        codes: uint8 (H, W), class codes.
        scene: Gives the size of a pixel.
        classes: Scheme of the codes.

    Returns:
        Text by column: height, width, valid_share (0 to 1), and for each class `<name>_share` of
        the valid pixels and `<name>_km2`, which is empty where the scene has no CRS.
    """
    counts = np.stack([(codes == code).sum(axis=1) for code in classes.codes])
    valid = int(counts.sum())
    row = {
        "height": str(scene.height),
        "width": str(scene.width),
        "valid_share": f"{valid / codes.size:.6f}",
    }
    areas = pixel_areas(scene)
    for name, of_row in zip(classes.names, counts, strict=True):
        row[f"{name}_share"] = f"{of_row.sum() / valid:.6f}" if valid else ""
        row[f"{name}_km2"] = "" if areas is None else f"{of_row @ areas / 1e6:.6f}"
    return row


def summary_columns(classes: ClassScheme) -> list[str]:
    """Keys of `summarise`, in their order."""
    of_classes = [f"{name}_{what}" for name in classes.names for what in ("share", "km2")]
    return ["height", "width", "valid_share", *of_classes]


def pixel_areas(scene: Scene) -> NDArray[np.float64] | None:
    """Area of a pixel in each row of a scene.

    In a projection: the area on the map plane, the projection's own distortion of area left in.
    In degrees: the area between two parallels of the WGS 84 ellipsoid (Snyder 1987, Map
    Projections, equation 3-12).

    Returns:
        float64 (H,), square metres; None without georeference.
    """
    if scene.crs is None or scene.transform is None:
        return None
    a, b, _, d, e, f = scene.transform
    crs = CRS.from_user_input(scene.crs)
    if not crs.is_geographic:
        metres = crs.linear_units_factor[1]
        return np.full(scene.height, abs(a * e - b * d) * metres**2)
    parallels = np.radians(f + e * np.arange(scene.height + 1))
    return np.asarray(np.abs(np.diff(_zone(parallels))) * np.radians(abs(a)), np.float64)


def _zone(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area from the equator to a latitude (radians) per radian of longitude, square metres."""
    eccentricity = np.sqrt(_WGS84_FLATTENING * (2 - _WGS84_FLATTENING))
    sine = np.sin(latitude)
    q = sine / (1 - (eccentricity * sine) ** 2) + np.arctanh(eccentricity * sine) / eccentricity
    return np.asarray(_WGS84_AXIS**2 * (1 - eccentricity**2) / 2 * q, np.float64)


def write_table(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV file; the file is replaced as a whole."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
