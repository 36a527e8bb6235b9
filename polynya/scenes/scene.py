"""Descriptions of a scene before its pixels are read: plain data, small and picklable.

`polynya.scenes.reading.open_scene` creates a description. The functions that read colours, bands,
layers and land use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polynya.grid import Tile
from polynya.rasters.references import Decision
from polynya.rasters.scaling import physical_values
from polynya.recipe.scene import COLORS, ZeroMeaning
from polynya.scenes.place import ControlPoints

if TYPE_CHECKING:
    import xarray

DTYPES = ("uint8", "uint16", "int16", "float32")
"""Data types that scenes may have."""


@dataclass(frozen=True)
class InputBand:
    """One band of a file. Value = number * scale + offset."""

    name: str
    """Name in the recipe. If the recipe gives a number, this is the common name, the name in the
    file, or a name such as 'band_3'."""
    index: int
    """1-based number of the band in the file."""
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    """Number that means missing; None if the file gives none."""


@dataclass(frozen=True)
class BandSet:
    """Bands of one file, in the order in which a model sees them."""

    bands: tuple[InputBand, ...]
    dtype: str
    """Data type of the bands, one of `DTYPES`."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.bands)

    @property
    def indexes(self) -> tuple[int, ...]:
        return tuple(band.index for band in self.bands)

    def values(self, numbers: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Physical values of digital numbers; see `physical_values`."""
        scales, offsets = ([getattr(b, key) for b in self.bands] for key in ("scale", "offset"))
        return physical_values(numbers, valid, scales, offsets)


@dataclass(frozen=True)
class LayerSources:
    """Places of the layers of a scene. Small and picklable."""

    nir: int | None
    """1-based band of near infrared; None if there is none."""
    swir: int | None
    """1-based band of short-wave infrared; None if there is none."""
    cirrus: int | None
    """1-based cirrus band; None if there is none."""
    clouds_uri: str | None
    """File of the cloud layer, which may be the scene's file; None without cloud layer."""
    clouds_band: int
    """1-based band of the cloud layer."""
    clouds_on_grid: bool
    """Whether the cloud layer has the scene's grid; otherwise it is resampled."""
    cloud_values: tuple[int, ...]
    """Values of the cloud layer that mean opaque cloud."""
    sun_azimuth: float | None
    """Direction of the sun in degrees clockwise from north, 0..360."""
    sun_elevation: float | None
    """Height of the sun in degrees above the horizon."""


@dataclass(frozen=True)
class SceneLayers:
    """Layers of a scene, or of a part of it; None for a layer that is missing or not wanted."""

    nir: NDArray[np.float32] | None
    """Near infrared: reflectance (H, W), number / 255 in 8-bit files; 0 for nodata."""
    swir: NDArray[np.float32] | None
    """Short-wave infrared, in the same form."""
    cirrus: NDArray[np.float32] | None
    """Cirrus band, in the same form."""
    opaque_cloud: NDArray[np.bool_] | None
    """(H, W), True for opaque cloud in the product's cloud layer."""
    sun_azimuth: float | None
    """Direction of the sun in degrees clockwise from north (not from the top of the image)."""
    sun_elevation: float | None = None
    """Height of the sun in degrees above the horizon."""
    sun: tuple[float, float] | None = None
    """Direction towards the sun over the image: rows and columns of a step of length 1. The top of
    an image isn't north everywhere, least of all near the poles."""


@dataclass(frozen=True)
class LandSource:
    """Place of a scene's map of land. Small and picklable."""

    path: str
    """Absolute path or URI."""
    is_raster: bool
    on_grid: bool
    """Whether the map is a raster with the scene's grid."""
    values: tuple[int, ...] | None
    """Values of a raster that mean land; None: all except 0."""


@dataclass(frozen=True)
class LabelSource:
    """Place of a scene's raster of labels. Small and picklable."""

    path: str
    """Absolute path or URI."""
    on_grid: bool
    """Whether the raster has the scene's grid; otherwise it is resampled."""


@dataclass(frozen=True)
class Scene:
    """Description of a scene before its pixels are read. Small and picklable."""

    id: str
    uri: str
    height: int
    """Rows."""
    width: int
    """Columns."""
    crs: str | None
    """'EPSG:n' if the CRS has a code, otherwise WKT; None without georeference."""
    transform: tuple[float, float, float, float, float, float] | None
    """Affine coefficients (a, b, c, d, e, f) from pixel to CRS coordinates."""
    dtype: str
    """Data type of the digital numbers in the file."""
    band_indexes: tuple[int, ...]
    """1-based bands of red, green and blue; () for a scene without, which a model sees by its
    inputs alone."""
    scale: float
    """Reflectance per digital number; 1 for 8-bit images, which are not changed."""
    offset: float
    """Reflectance at digital number 0."""
    stretch: tuple[float, float]
    """Reflectances that become 0 and 255."""
    zero_is_nodata: ZeroMeaning
    """Whether black means nodata, because the file itself has no nodata information; edge: only
    the black that `polynya.scenes.zeros` finds."""
    layers: LayerSources | None = None
    """Places of its other layers; None if the recipe asks for none."""
    control: ControlPoints | None = None
    """Ground control points or rational polynomials of a scene without geotransform."""
    place_problem: str = ""
    """What its georeference lacks for a place on the ground, and how to add it; otherwise ""."""
    land: LandSource | None = None
    """Place of its map of land, and land is nodata; None if the recipe names no map."""
    references: Decision = "inside"
    """Allowed places of files that the scene's file refers to, as decided when it was opened."""
    inputs: BandSet | None = None
    """Bands that shards hold and models see; None: the 8-bit colours."""
    labels: LabelSource | None = None
    """Place of its labels (`polynya.scenes.beside.label_raster.with_labels`). None if filter and
    thresholds make the labels, or if the scene wasn't opened for labelling."""

    def to_xarray(self) -> xarray.DataArray:
        """Read the colours, uint8 ("band", "y", "x"), 0 for nodata; see `polynya.to_xarray`."""
        # Imported here through the public names, because these functions import this module.
        import polynya

        return polynya.to_xarray(polynya.read_scene(self)[0], self, bands=COLORS, nodata=0)

    @property
    def has_colors(self) -> bool:
        """Whether the scene can be shown in colour."""
        return bool(self.band_indexes)

    @property
    def has_place(self) -> bool:
        """Whether the scene has a CRS and a transform; one without the other gives no place."""
        return self.crs is not None and self.transform is not None

    def tile_transform(self, tile: Tile) -> tuple[float, ...] | None:
        """Affine coefficients of one tile; None without georeference."""
        if self.transform is None:
            return None
        a, b, c, d, e, f = self.transform
        return (a, b, c + a * tile.col + b * tile.row, d, e, f + d * tile.col + e * tile.row)
