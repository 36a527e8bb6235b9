"""GDAL's settings while a raster is read: settings that change pixels, and access to servers.

GDAL takes settings from the environment and from configuration files, and other programs may have
set them. Settings that change the read data are always set here. Settings with no value as default
are removed from the environment (`polynya.environment`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from rasterio import _env

READING: dict[str, Any] = {
    "GDAL_VRT_ENABLE_PYTHON": "NO",  # No code out of files is run.
    # Place.
    "GTIFF_POINT_GEO_IGNORE": "NO",
    "GTIFF_HONOUR_NEGATIVE_SCALEY": "NO",
    "GTIFF_READ_ANGULAR_PARAMS_IN_DEGREE": "NO",
    "GDAL_IGNORE_AXIS_ORIENTATION": "NO",
    # Masks, alpha, nodata and pixels.
    "GDAL_PAM_ENABLED": "YES",
    "GDAL_TIFF_INTERNAL_MASK_TO_8BIT": "YES",
    "JPEG_READ_MASK": "YES",
    "JPEG_MASK_BIT_ORDER": "AUTO",
    "JP2OPENJPEG_PROMOTE_1BIT_ALPHA_AS_8BIT": "NO",
    "GDAL_JPEG_TO_RGB": "YES",
    "GDAL_RASTERIO_RESAMPLING": "NEAR",
    # Damage is an error. GDAL's faster method to read a PNG doesn't notice a missing end.
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_SIMUL_MEM_ALLOC_FAILURE_NODATA_MASK_BAND": "NO",
}
"""Settings for opening every raster."""

BESIDE: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GDAL_READDIR_LIMIT_ON_OPEN": "1000",  # In larger folders GDAL checks each name.
}
"""Settings for rasters on disks: masks, statistics and world files beside them count."""

_ALLOWED = b"CPL_VSIL_CURL_ALLOWED_FILENAME"
"""Setting with the only address that GDAL's virtual file systems may request, on any server."""


@contextmanager
def servers(allowed: bool) -> Iterator[None]:
    """Allow or forbid GDAL's requests to servers within a block.

    The setting is for this thread only. `rasterio.Env` in the main thread would set it for all
    threads, but other threads may be reading from servers.

    Args:
        allowed: Whether GDAL may send requests to servers.
    """
    library = _library()
    before = library.CPLGetThreadLocalConfigOption(_ALLOWED, None)
    library.CPLSetThreadLocalConfigOption(_ALLOWED, None if allowed else b"none")
    try:
        yield
    finally:
        library.CPLSetThreadLocalConfigOption(_ALLOWED, before)


@lru_cache(maxsize=1)
def _library() -> Any:
    """GDAL library of rasterio, found through one of rasterio's modules, which is linked to it."""
    library = ctypes.CDLL(_env.__file__)
    library.CPLGetThreadLocalConfigOption.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.CPLGetThreadLocalConfigOption.restype = ctypes.c_char_p
    library.CPLSetThreadLocalConfigOption.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.CPLSetThreadLocalConfigOption.restype = None
    return library
