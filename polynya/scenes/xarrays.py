"""Images and maps as xarray arrays with coordinates, CRS and names of classes.

rioxarray stores the georeference in a form that GDAL and CF readers understand. Classes are stored
as CF flags: https://cfconventions.org/cf-conventions/cf-conventions.html#flags
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, reason_of

if TYPE_CHECKING:
    import xarray

    from polynya.recipe.classes import ClassScheme
    from polynya.scenes.scene import Scene


def to_xarray(
    pixels: NDArray[Any],
    scene: Scene,
    *,
    classes: ClassScheme | None = None,
    bands: tuple[str, ...] | None = None,
    nodata: float | None = None,
) -> xarray.DataArray:
    """Convert pixels of a whole scene to an array with dimensions ("y", "x") or ("band", "y", "x").

    Labels of masks become ("mask", "y", "x"): 1 inside a mask, 0 outside.

    Args:
        pixels: (H, W) or (H, W, C), of any data type; not copied.
        scene: Scene with CRS and transform. Without them, or with ground control points only, the
            array gets no coordinates. A rotated grid has only a transform and no coordinates.
        classes: Class scheme, if the pixels are labels. It gives the attributes flag_values,
            flag_meanings and nodata; for masks also the coordinate "mask" with their names.
        bands: Names of the C bands.
        nodata: Value of pixels without data, if the pixels are not labels.

    Raises:
        ValueError: The pixels don't have the height and width of the scene.
        MissingDependencyError: rioxarray is not installed.
    """
    try:
        import rioxarray  # noqa: F401  It adds `.rio` to arrays.
        import xarray
    except ImportError as error:
        raise MissingDependencyError(
            f"Labelled arrays need rioxarray ({reason_of(error)}); install it with:"
            f" {install_command('xarray')}"
        ) from None
    if pixels.shape[:2] != (scene.height, scene.width):
        raise ValueError(f"pixels {pixels.shape} are not of {scene.height} x {scene.width} pixels")
    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    dims = ("y", "x") if pixels.ndim == 2 else ("band", "y", "x")
    coords: dict[str, Any] = {} if bands is None else {"band": list(bands)}
    if classes is not None and classes.has_masks:
        planes, dims = classes.planes(pixels), ("mask", "y", "x")
        coords = {"mask": list(classes.names)}
    if scene.transform is not None and scene.has_place:
        coords |= _centres(Affine(*scene.transform), scene)
    array = xarray.DataArray(planes, coords, dims, name=scene.id)
    if classes is not None:
        nodata = classes.nodata
        meanings = ("outside", "inside") if classes.has_masks else classes.names
        array.attrs |= {
            "long_name": "mask" if classes.has_masks else "class",
            "flag_values": list(range(len(meanings))),
            "flag_meanings": " ".join(meanings),
        }
    if nodata is not None:
        array = array.rio.write_nodata(nodata)
    if scene.transform is not None and scene.has_place:
        array = array.rio.write_crs(scene.crs).rio.write_transform(Affine(*scene.transform))
    return array


def _centres(transform: Affine, scene: Scene) -> dict[str, NDArray[Any]]:
    """Coordinates of pixel centres; {} for a rotated grid, where x and y are no separate axes."""
    if transform.b or transform.d:
        return {}
    return {
        "x": transform.c + transform.a * (np.arange(scene.width) + 0.5),
        "y": transform.f + transform.e * (np.arange(scene.height) + 0.5),
    }
