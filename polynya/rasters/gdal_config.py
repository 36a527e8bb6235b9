"""GDAL's settings while a raster is read: what would change pixels, and whether servers are asked.

GDAL takes settings from the environment and from configuration files, where other programs leave
theirs. Those that change what is read are set here, whatever is there; those whose default is no
value are taken out of the environment (`polynya.environment`).
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
    # Damage is an error. GDAL's faster way of reading a PNG doesn't notice that its end is missing.
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_SIMUL_MEM_ALLOC_FAILURE_NODATA_MASK_BAND": "NO",
}
"""Under which every raster is opened."""

BESIDE: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GDAL_READDIR_LIMIT_ON_OPEN": "1000",  # GDAL asks for each name then.
}
"""For rasters on disks: masks, statistics and world files beside them count."""

_ALLOWED = b"CPL_VSIL_CURL_ALLOWED_FILENAME"
"""The one address that GDAL's virtual file systems may ask; of all kinds of servers and stores."""


@contextmanager
def servers(allowed: bool) -> Iterator[None]:
    """Let GDAL ask servers within a block, or not, whatever files refer to.

    It holds for this thread only. `rasterio.Env` would set it for all if this is the main one, and
    others may be reading from servers.

    Args:
        allowed: Whether it may.
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
    """The GDAL that rasterio uses, wherever it lies: rasterio's modules are linked to it."""
    library = ctypes.CDLL(_env.__file__)
    library.CPLGetThreadLocalConfigOption.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.CPLGetThreadLocalConfigOption.restype = ctypes.c_char_p
    library.CPLSetThreadLocalConfigOption.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.CPLSetThreadLocalConfigOption.restype = None
    return library
