"""Recipe section `inference`: how scenes become maps, and what is written of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Positive
from polynya.recipe.classes import Palette

Blend = Literal["hann", "trimmed"]
"""Overlapping windows: averaged with weights that fall towards borders, or without borders."""

Backend = Literal["keras", "openvino"]
Precision = Literal["float32", "bfloat16"]

FirstFilter = Literal["as-trained", "illumination"]
"""What a scene goes through before the model sees it."""

ProductName = Literal["probability", "entropy", "polygons", "concentration", "label-png", "overlay"]
"""What prediction can write beside the class map (docs/maps.md)."""


class PolygonOptions(Options):
    """Outlines of connected pixels of one class."""

    min_pixels: Positive = 16
    """Smaller regions are left out of the file and counted in the summary; 1 keeps all."""


class ConcentrationOptions(Options):
    """Share of ice in the cells of a coarser grid."""

    cell: Annotated[float, Field(gt=0.0, le=1e7)] = 1000.0
    """Edge of a cell in metres, brought to the nearest whole number of pixels."""
    cell_pixels: Positive = 100
    """Edge of a cell in pixels, for scenes without coordinate system."""
    ice: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], tuple[str, ...]] | None = None
    """Names of the classes that count, by the name of what they are together; default, where the
    scheme has thick_ice and thin_ice: total (both), thick and thin."""


class InferenceOptions(Options):
    """Prediction of whole scenes."""

    window: Annotated[int, Field(ge=1, le=65536)] = 896
    """Edge in pixels of the largest windows that the model sees, at least `tiles.size`; the nearest
    multiple that the model takes, or smaller where that fits a scene better. Larger ones take more
    memory and less time."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0625
    """Share of a window that it has in common with the next one."""
    blend: Blend = "hann"
    """What happens where windows overlap: averaged with weights that fall towards the border, or
    the outer half of the overlap left out."""
    batch_size: Positive = 1
    """Windows per call of the model; more pays on GPUs and with small windows."""
    filter: FirstFilter = "as-trained"
    """What takes thin cloud and shadow out of a scene before the model sees it. as-trained: the
    filter of the images that it learnt from, if any. illumination: that one, for a model that
    learnt from clear scenes under simulated cloud, and fixes what the filter leaves."""
    backend: Backend = "keras"
    """What runs the model; "openvino" (an extra) is for processors."""
    precision: Precision = "float32"
    """Arithmetic of the layers: bfloat16 is faster on processors and GPUs made for it, and gives
    other classes where two are nearly as probable."""
    products: tuple[ProductName, ...] = ()
    """What is written beside class map, overview and STAC item."""
    palette: Palette = "standard"
    """Colours of classes in maps and pictures: those of the class scheme, or, as green and red look
    alike to many people, colours that everybody can tell apart."""
    polygons: PolygonOptions = PolygonOptions()
    concentration: ConcentrationOptions = ConcentrationOptions()
