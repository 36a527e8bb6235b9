"""Sections `scene` and `tiles` of the recipe: how a file becomes images and then tiles."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from polynya.rasters.references import References
from polynya.rasters.scaling import FARTHEST_STRETCH, LEAST_STRETCH, Offset, Scale
from polynya.recipe.base import Options, Share

COLORS = ("red", "green", "blue")
"""Bands that thresholds, filters and pictures use, as 8-bit numbers."""


def _with_one_reason(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Give one reason, instead of a reason for each type of a union."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("the value must be edge, true or false") from None


ZeroMeaning = Annotated[bool | Literal["edge"], WrapValidator(_with_one_reason)]
"""Whether pixels that are 0 in all used bands are nodata; edge: only some of them."""

LayerBand = int | str | None
"""1-based band number, band description, or None."""


AUTO = "auto"
"""Value of a layer that is found by the names of bands, if the file has it."""


class LayerOptions(Options):
    """Layers of a scene beside its colours, for filters that can use them. All are optional."""

    nir: LayerBand = AUTO
    """Near infrared: 1-based band number or band description, which must be there. auto: the band
    that the file calls nir or nir08, or B08 (Sentinel-2), SR_B5 (Landsat 8) and so on. If there is
    none, or if it has another data type or scale than the colours, the scene has no such layer.
    null: none."""
    swir: LayerBand = AUTO
    """Short-wave infrared, about 1.6 micrometres. auto: swir16 (B11 of Sentinel-2), otherwise
    swir22."""
    cirrus: LayerBand = AUTO
    """Cirrus band, about 1.38 micrometres. auto: cirrus (B10 of Sentinel-2)."""
    clouds: LayerBand = None
    """Cloud layer of the product: band number or description, or a file beside the scene with the
    scene's name in it, such as "{stem}_SCL.tif"."""
    cloud_values: Annotated[tuple[int, ...], Field(min_length=1)] = (8, 9)
    """Values of the cloud layer that mean opaque cloud; default: the values of Sentinel-2's scene
    classification."""
    sun_azimuth: Annotated[float, Field(ge=0.0, le=360.0)] | None = None
    """Direction of the sun in degrees clockwise from north; default: the file's metadata."""
    sun_elevation: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    """Height of the sun in degrees above the horizon; default: the file's metadata."""


class SceneOptions(Options):
    """How a file becomes an 8-bit RGB image."""

    bands: tuple[int | str, int | str, int | str] | None = None
    """Red, green, blue: 1-based band numbers or band descriptions. Default: found by names,
    wavelengths or colours of bands, otherwise bands 1, 2, 3 (`polynya.scenes.bands`)."""
    inputs: Annotated[tuple[int | str, ...], Field(min_length=1, max_length=64)] | None = None
    """Bands that shards hold and a model sees, in this order: common names (such as nir, swir16),
    names in the file, numbers of the sensor (B08) or 1-based numbers. They keep the data type of
    the file, and each band has its own missing pixels. Default: the 8-bit colours."""
    scale: Scale | None = None
    """Reflectance per digital number; default: the product's own metadata."""
    offset: Offset | None = None
    """Reflectance at digital number 0; default: the product's own metadata."""
    stretch: tuple[float, float] = (0.0, 1.0)
    """Reflectances that become 0 and 255 (uint8 images are not changed)."""

    zero_is_nodata: ZeroMeaning = "edge"
    """Whether black pixels (0 in all three bands) are nodata. It only counts for files without
    alpha band, mask and nodata value. edge: black is nodata where it hangs together with the edge
    of the scene, or where it contains a whole block of 256 x 256 pixels. Other black, such as deep
    lakes and dark leads, is data. true: all black is nodata. false: all black is data."""
    layers: LayerOptions | None = LayerOptions()
    """Other layers that are read with the scene, for filters that can use them. Default: infrared
    and cirrus bands that are found by their names. none or null: no layers."""
    land: str | None = None
    """Map of land: pixels on land are nodata. Polygons (GeoPackage, GeoJSON, Shapefile) or a
    raster, in any coordinate system. Give a path, or the name of a file beside each scene with the
    scene's name in it, such as "{stem}_land.tif". Default: none."""
    land_values: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Values of a land raster that mean land; default: all except 0 and the nodata value."""
    references: References = "inside"
    """Allowed places of the files that a virtual raster (.vrt) refers to. inside: the folder of the
    virtual raster or below, or any place if `polynya scenes --in-place` wrote the file for this
    user. anywhere: also other folders and servers. Use anywhere only for virtual rasters that you
    trust, because all files that they refer to are read."""

    @field_validator("layers", mode="before")
    @classmethod
    def _none_means_no_layers(cls, value: object) -> object:
        return None if value == "none" else value

    @property
    def sees_colors(self) -> bool:
        """Whether models see the 8-bit colours instead of named bands."""
        return self.inputs is None

    @property
    def seen_bands(self) -> tuple[str, ...]:
        """Names of the bands that shards hold and models see, in order."""
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
    """How scenes are cut into tiles."""

    size: Annotated[int, Field(ge=1, le=16384)] = 256
    """Edge of a tile in pixels."""
    min_valid: Share = 0.0
    """Least share of valid pixels in a tile. Tiles below it are counted as nodata and not written.
    Tiles without any valid pixel are never written."""
