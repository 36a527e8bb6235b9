"""Section `inference` of the recipe: how scenes become maps, and which products are written."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from polynya.errors import RecipeError
from polynya.recipe.base import Options, Positive
from polynya.recipe.classes import ClassScheme, Palette

Blend = Literal["hann", "trimmed"]
"""Overlapping windows: averaged with weights that fall towards their borders, or trimmed."""

Backend = Literal["keras", "openvino", "xgboost"]
Precision = Literal["float32", "bfloat16"]

FirstFilter = Literal["as-trained", "illumination"]
"""Filter of a scene before the model sees it."""

TestTime = Literal["as-tuned", "none", "flips", "dihedral"]
"""Versions of a window that the model sees: the window; also its 3 flips; also the 4 right-angle
turns and mirrored turns."""

Merge = Literal["as-tuned", "mean", "max", "vote"]
"""How the probabilities of these versions become one."""

ThresholdRule = Literal["as-tuned", "otsu"]

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
    slice: Positive | None = None
    """Edge in pixels of the pieces into which a scene is cut, if it is not that of the windows:
    each piece is resized to `window` before the model sees it, and its probabilities are brought
    back. 128 with `window: 320` shows a model everything 2.5 times as large. Default: pieces are
    not resized."""
    size: tuple[Positive, Positive] | None = None
    """Rows and columns to which every scene is resized before the model sees it, for models that
    learnt from images of one size (`imports.size`). Maps have the size of the scene. A whole scene
    is in memory then. Default: scenes are not resized."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0625
    """Share of a window that overlaps with the next window."""
    blend: Blend = "hann"
    """How overlapping windows are joined. hann: average with weights that fall towards the border.
    trimmed: the outer half of the overlap is left out."""
    tta: TestTime = "as-tuned"
    """Test-time augmentation. none: the model sees each window once. flips: also its three flips (4
    calls of the model). dihedral: all eight flips and right-angle turns. as-tuned: what 'polynya
    tune' found, else none."""
    merge: Merge = "as-tuned"
    """How the probabilities of the versions of a window are merged. mean: their mean. max: the
    greatest, divided by their sum where classes exclude each other. vote: the share of versions
    that vote for the class or mask; where votes are equal, the mean decides. as-tuned: what the
    model's decision.yaml says, else mean."""
    threshold: ThresholdRule = "as-tuned"
    """Probability from which a pixel is under a mask, or of the second of two classes. otsu: found
    for each scene and mask by Otsu's method. as-tuned: what 'polynya tune' found, else 0.5."""
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

    @model_validator(mode="after")
    def _slices_have_a_window(self) -> Self:
        if self.slice is not None and "window" not in self.model_fields_set:
            raise ValueError("'slice' needs the key 'window', the edge to which it is resized")
        if self.slice is not None and self.size is not None:
            raise ValueError("'slice' and 'size' exclude each other: leave one of them out")
        return self

    def check_classes(self, classes: ClassScheme) -> None:
        """Raise RecipeError if Otsu's threshold is wanted for more than two classes."""
        if self.threshold == "otsu" and not classes.is_binary:
            raise RecipeError(
                f"The recipe key 'inference.threshold' is otsu, and '{classes.name}' has"
                f" {classes.n_classes} classes that exclude each other; Otsu's method divides in"
                " two: leave the key out, or take two classes or masks."
            )
