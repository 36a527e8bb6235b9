"""Sections `scene` and `tiles` of the recipe: how a file becomes images, and how these are cut."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from polynya.rasters.references import References
from polynya.rasters.scaling import FARTHEST_STRETCH, LEAST_STRETCH, Offset, Scale
from polynya.recipe.base import Options, Share

COLORS = ("red", "green", "blue")
"""What thresholds, filters and pictures look at, as 8-bit numbers."""

LayerBand = int | str | None
"""1-based band number, band description, or None."""


class LayerOptions(Options):
    """What a scene holds beside its colours, for filters that can use it. All is optional."""

    nir: LayerBand = None
    """Near infrared: 1-based band number or band description; "auto": the band named B08, if there
    is one."""
    swir: LayerBand = None
    """Short-wave infrared, about 1.6 micrometres; "auto": B11."""
    cirrus: LayerBand = None
    """Cirrus band, about 1.38 micrometres; "auto": B10."""
    clouds: LayerBand = None
    """The product's own cloud layer: band number or description, or a file beside the scene whose
    name is made from the scene's, such as "{stem}_SCL.tif"."""
    cloud_values: Annotated[tuple[int, ...], Field(min_length=1)] = (8, 9)
    """Values of the cloud layer that mean opaque cloud; default: those of Sentinel-2's scene
    classification."""
    sun_azimuth: Annotated[float, Field(ge=0.0, le=360.0)] | None = None
    """Direction of the sun in degrees clockwise from north; default: the file's metadata."""
    sun_elevation: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    """Degrees above the horizon; default: the file's metadata."""


class SceneOptions(Options):
    """How a file becomes an 8-bit RGB image."""

    bands: tuple[int | str, int | str, int | str] | None = None
    """Red, green, blue: 1-based band numbers or band descriptions; default: found by the names of
    bands, their wavelengths or colours, else bands 1, 2, 3 (`polynya.scenes.bands`)."""
    inputs: Annotated[tuple[int | str, ...], Field(min_length=1, max_length=64)] | None = None
    """Bands that go into the shards and that a model sees, in this order: common names (nir,
    swir16 ..), names in the file, numbers of the sensor (B08) or 1-based numbers. They keep the
    type of the file, with what is missing in each band. Default: the 8-bit colours."""
    scale: Scale | None = None
    """Reflectance per digital number; default: the product's own metadata."""
    offset: Offset | None = None
    """Reflectance at digital number 0; default: the product's own metadata."""
    stretch: tuple[float, float] = (0.0, 1.0)
    """Reflectances that become 0 and 255 (uint8 images are taken as they are)."""

    zero_is_nodata: bool = True
    """In files without alpha, mask or nodata value of their own: pixels that are 0 in all three
    bands are nodata, as in Sentinel-2 products. Set it to false where black is a real colour."""
    layers: LayerOptions | None = None
    """Other layers of the scene that are read with it; default: none."""
    land: str | None = None
    """Map of land: its pixels are nodata. Polygons (GeoPackage, GeoJSON, Shapefile) or a raster, in
    any coordinate system; a path, or one beside the scene with the scene's name in it, such as
    "{stem}_land.tif". Default: none."""
    land_values: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Values of a raster of land that are land; default: all but 0 and its nodata value."""
    references: References = "inside"
    """Where files may lie that a virtual raster (.vrt) refers to. inside: in its own folder or
    below, or anywhere if `polynya scenes --in-place` wrote it for this user. anywhere: also
    elsewhere and on servers, for files that you trust: what they refer to is read."""

    @property
    def sees_colors(self) -> bool:
        """Whether models see the 8-bit colours, and no bands by name."""
        return self.inputs is None

    @property
    def seen_bands(self) -> tuple[str, ...]:
        """Names of what shards hold and models see, in order."""
        return COLORS if self.inputs is None else tuple(map(str, self.inputs))

    @field_validator("stretch")
    @classmethod
    def _stretch_rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] <= value[0]:
            raise ValueError("the second value must be greater than the first")
        if value[1] - value[0] < LEAST_STRETCH:
            raise ValueError(f"the values must be at least {LEAST_STRETCH:g} apart")
        if max(map(abs, value)) > FARTHEST_STRETCH:
            raise ValueError(
                f"reflectances must be between -{FARTHEST_STRETCH:g} and {FARTHEST_STRETCH:g}"
            )
        return value


class TileOptions(Options):
    """How scenes are cut."""

    size: Annotated[int, Field(ge=1, le=16384)] = 256
    """Edge of a tile in pixels."""
    min_valid: Share = 0.0
    """Tiles with a smaller share of valid pixels are counted as nodata and not written; tiles
    without any valid pixel never are."""
