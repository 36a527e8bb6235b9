"""Section `inference` of the recipe: how scenes become maps, and which products are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polynya.recipe.base import Options, Positive
from polynya.recipe.classes import Palette

Blend = Literal["hann", "trimmed"]
"""Overlapping windows: averaged with weights that fall towards their borders, or trimmed."""

Backend = Literal["keras", "openvino", "xgboost"]
Precision = Literal["float32", "bfloat16"]

FirstFilter = Literal["as-trained", "illumination"]
"""Filter of a scene before the model sees it."""

ProductName = Literal["probability", "entropy", "polygons", "concentration", "label-png", "overlay"]
"""Products that prediction can write in addition to the class map (docs/maps.md)."""


class PolygonOptions(Options):
    """Outlines of connected pixels of one class."""

    min_pixels: Positive = 16
    """Least size of a region in pixels; smaller ones are only counted in the summary. 1 keeps
    all."""


class ConcentrationOptions(Options):
    """Share of ice in the cells of a coarser grid."""

    cell: Annotated[float, Field(gt=0.0, le=1e7)] = 1000.0
    """Edge of a cell in metres, rounded to a whole number of pixels."""
    cell_pixels: Positive = 100
    """Edge of a cell in pixels, for scenes without coordinate system."""
    ice: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], tuple[str, ...]] | None = None
    """Groups of classes that count as ice: name of the group, and names of its classes. Default, if
    the scheme has thick_ice and thin_ice: total (both), thick and thin."""


class InferenceOptions(Options):
    """Prediction of whole scenes."""

    window: Annotated[int, Field(ge=1, le=65536)] = 896
    """Edge of the largest windows that the model sees, in pixels, at least `tiles.size`. It is
    rounded to a multiple that the model accepts, and windows are smaller if that fits a scene
    better. Larger windows need more memory and less time."""
    size: tuple[Positive, Positive] | None = None
    """Rows and columns to which every scene is resized before the model sees it, for models that
    learnt from images of one size (`imports.size`). Maps have the size of the scene. A whole scene
    is in memory then. Default: scenes are not resized."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0625
    """Share of a window that overlaps with the next window."""
    blend: Blend = "hann"
    """How overlapping windows are joined. hann: average with weights that fall towards the border.
    trimmed: the outer half of the overlap is left out."""
    batch_size: Positive = 1
    """Windows per call of the model; larger batches are faster on GPUs and with small windows."""
    filter: FirstFilter = "as-trained"
    """Filter that removes thin cloud and shadow before the model sees a scene. as-trained: the
    filter of the training images, if any. illumination: the illumination filter, for a model that
    learnt from clear scenes with simulated cloud and corrects errors that the filter leaves."""
    backend: Backend = "keras"
    """Library that runs the model; "openvino" (an extra) is for CPUs. "xgboost" (an extra) runs
    decision trees and nothing else, and is the default for them."""
    precision: Precision = "float32"
    """Arithmetic of the layers. bfloat16 is faster on processors and GPUs made for it; it may
    change the class of a pixel with two nearly equal probabilities."""
    products: tuple[ProductName, ...] = ()
    """Products in addition to class map, overview and STAC item."""
    palette: Palette = "standard"
    """Colours of classes in maps and pictures. standard: the colours of the class scheme.
    colour-blind: colours that everybody can tell apart, because green and red look alike to many
    people."""
    polygons: PolygonOptions = PolygonOptions()
    concentration: ConcentrationOptions = ConcentrationOptions()
