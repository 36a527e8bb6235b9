"""What is known of a scene before its pixels are read: plain data, small and picklable.

`polynya.scenes.reading.open_scene` finds it out; colours, bands, layers and land are read with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polynya.grid import Tile
from polynya.rasters.references import Decision
from polynya.rasters.scaling import physical_values
from polynya.recipe.scene import COLORS
from polynya.scenes.place import ControlPoints

if TYPE_CHECKING:
    import xarray

DTYPES = ("uint8", "uint16", "int16", "float32")
"""Types of numbers that scenes may have."""


@dataclass(frozen=True)
class InputBand:
    """One band of a file. Value = number * scale + offset."""

    name: str
    """As the recipe names it; for one that it gives by number, the common name or the name in the
    file, or 'band_3'."""
    index: int
    """1-based, in the file."""
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    """Number that means missing; None: the file gives none."""


@dataclass(frozen=True)
class BandSet:
    """Bands of one file, in the order in which a model sees them."""

    bands: tuple[InputBand, ...]
    dtype: str
    """Type of their numbers, one of `DTYPES`."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.bands)

    @property
    def indexes(self) -> tuple[int, ...]:
        return tuple(band.index for band in self.bands)

    def values(self, numbers: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Physical values of numbers; see `physical_values`."""
        scales, offsets = ([getattr(b, key) for b in self.bands] for key in ("scale", "offset"))
        return physical_values(numbers, valid, scales, offsets)


@dataclass(frozen=True)
class LayerSources:
    """Where the layers of a scene are. Small and picklable."""

    nir: int | None
    """1-based band, as the next two."""
    swir: int | None
    cirrus: int | None
    clouds_uri: str | None
    """The scene's own file or another; None without a cloud layer."""
    clouds_band: int
    """1-based band of the cloud layer."""
    clouds_on_grid: bool
    """The cloud layer has the scene's own grid; otherwise it is resampled."""
    cloud_values: tuple[int, ...]
    """Its values that mean opaque cloud."""
    sun_azimuth: float | None
    """Degrees clockwise from north, 0..360."""
    sun_elevation: float | None
    """Degrees above the horizon."""


@dataclass(frozen=True)
class SceneLayers:
    """What a scene, or a part of it, holds beside its colours; None: not asked for or not there."""

    nir: NDArray[np.float32] | None
    """Near infrared: reflectance (H, W), in 8-bit files number / 255; 0 where it has no data."""
    swir: NDArray[np.float32] | None
    """Short-wave infrared, likewise."""
    cirrus: NDArray[np.float32] | None
    """Cirrus band, likewise."""
    opaque_cloud: NDArray[np.bool_] | None
    """(H, W), True where the product's own layer says opaque cloud."""
    sun_azimuth: float | None
    """Direction of the sun, degrees clockwise from north (not from the top of the image)."""
    sun_elevation: float | None = None
    """Degrees above the horizon."""


@dataclass(frozen=True)
class LandSource:
    """Where the land of a scene is. Small and picklable."""

    path: str
    """Absolute, or a URI."""
    is_raster: bool
    on_grid: bool
    """A raster with the scene's own pixels."""
    values: tuple[int, ...] | None
    """Values of a raster that are land; None: all but 0."""


@dataclass(frozen=True)
class LabelSource:
    """Where labels of a scene are that somebody has made. Small and picklable."""

    path: str
    """Absolute, or a URI."""
    on_grid: bool
    """It has the scene's own pixels; otherwise it is resampled."""


@dataclass(frozen=True)
class Scene:
    """What is known of a scene before its pixels are read. Small and picklable."""

    id: str
    uri: str
    height: int
    """Rows."""
    width: int
    """Columns."""
    crs: str | None
    """'EPSG:n' where there is a code, else WKT; None without georeference."""
    transform: tuple[float, float, float, float, float, float] | None
    """Affine coefficients (a, b, c, d, e, f) from pixel to CRS coordinates."""
    dtype: str
    """Type of the digital numbers in the file."""
    band_indexes: tuple[int, ...]
    """1-based bands of red, green and blue."""
    scale: float
    """Reflectance per digital number; 1 for 8-bit images, which are taken as they are."""
    offset: float
    """Reflectance at digital number 0."""
    stretch: tuple[float, float]
    """Reflectances that become 0 and 255."""
    zero_is_nodata: bool
    """The file has no validity of its own, and black means nodata."""
    layers: LayerSources | None = None
    """Where its other layers are; None if the recipe asks for none."""
    control: ControlPoints | None = None
    """Ground control points or rational polynomials of a scene without geotransform."""
    place_problem: str = ""
    """What its georeference lacks for a place on the ground, and how to add it; else empty."""
    land: LandSource | None = None
    """Where its land is, which is nodata; None if the recipe names none."""
    references: Decision = "inside"
    """Where files may lie that its file refers to, as decided when it was opened."""
    inputs: BandSet | None = None
    """Bands that go into shards and models; None: the 8-bit colours."""
    labels: LabelSource | None = None
    """Where its labels are (`polynya.scenes.beside.label_raster.with_labels`); None if filter and
    thresholds make them, or it isn't opened to be labelled."""

    def to_xarray(self) -> xarray.DataArray:
        """Its colours, uint8 ("band", "y", "x"), 0 where nodata; see `polynya.to_xarray`."""
        # By its public face: reading and xarray build on this module.
        import polynya

        return polynya.to_xarray(polynya.read_scene(self)[0], self, bands=COLORS, nodata=0)

    @property
    def has_place(self) -> bool:
        """Whether `transform` gives coordinates of `crs`; one without the other is no place."""
        return self.crs is not None and self.transform is not None

    def tile_transform(self, tile: Tile) -> tuple[float, ...] | None:
        """Affine coefficients of one tile; None without georeference."""
        if self.transform is None:
            return None
        a, b, c, d, e, f = self.transform
        return (a, b, c + a * tile.col + b * tile.row, d, e, f + d * tile.col + e * tile.row)
