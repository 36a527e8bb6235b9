"""Section `model` of the recipe: the families of models, with one class per family."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from polynya.recipe.base import Options, Tagged
from polynya.recipe.encoders import EncoderModel
from polynya.recipe.unets import (
    CloudUnetOptions,
    GymResunetOptions,
    GymSimpleResunetOptions,
    GymSimpleUnetOptions,
    GymUnetOptions,
    UnetBaseOptions,
    UnetLessConvOptions,
    UnetShortOptions,
    UnetSkinnyOptions,
)

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class UnetOptions(Options):
    """U-Net: the paper's network (the defaults) and smaller variants."""

    name: Literal["unet"] = "unet"
    """Family of models; each family has its own keys."""
    filters: Annotated[
        tuple[Annotated[int, Field(ge=1, le=16384)], ...], Field(min_length=2, max_length=12)
    ] = (16, 32, 64, 128, 256, 512)
    """Number of filters of each level, the bottleneck last."""
    dropout: tuple[Rate, ...] = (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)
    """Dropout rate between the two convolutions of each level; as many values as filters."""
    dropout_up: tuple[Rate, ...] | None = None
    """Dropout rate of each level of the decoder, the finest first; one value less than filters.
    null: as in the encoder."""
    dropout_type: Literal["standard", "spatial"] = "standard"
    """What dropout leaves out. standard: single values. spatial: whole channels of a tile."""
    head_dropout: Rate = 0.0
    """Dropout rate before the last layer, of the same type."""
    stem: Literal[1, 2, 4] = 1
    """Edge of the patches that become one cell of the first level, in pixels. 1: no patches, as in
    the paper. Larger patches are faster, because full resolution takes most of the time."""
    head_filters: Annotated[int, Field(ge=1, le=16384)] = 8
    """Number of filters that bring a model with a stem back to full resolution."""
    normalisation: Literal["range", "published"] = "range"
    """First operation on pixel values. range: scale 0..255 to 0..1. published: convert to one grey
    band and divide each column of a tile by its Euclidean norm, as the authors' code does. Use it
    for comparison only, because it leaves streaks and removes the brightness of a tile."""
    brightness_filters: Annotated[int, Field(ge=0, le=4096)] = 0
    """Number of soft thresholds on the brightness (the greatest band) of a pixel. 0: the model sees
    the bands, as in the paper. Greater: the model sees the brightness through these thresholds and
    learns threshold-based classes sooner."""
    batch_norm: Literal["none", "local", "synchronised"] = "none"
    """Batch normalisation after the convolutions of each level. none: as in the paper. local: over
    the batch of each rank. synchronised: over the batches of all ranks, so that results don't
    depend on the number of ranks."""

    @property
    def for_colors(self) -> dict[str, object]:
        """Used keys that work with 8-bit colours only, with the value to set instead."""
        return {
            **({"normalisation": "range"} if self.normalisation != "range" else {}),
            **({"brightness_filters": 0} if self.brightness_filters else {}),
        }

    @property
    def multiple(self) -> int:
        """Number of pixels; height and width of the model's input must be multiples of it."""
        return self.stem * int(2 ** (len(self.filters) - 1))

    @model_validator(mode="after")
    def _one_dropout_per_level(self) -> UnetOptions:
        if len(self.dropout) != len(self.filters):
            raise ValueError(f"dropout must have as many values as filters ({len(self.filters)})")
        if self.dropout_up is not None and len(self.dropout_up) != len(self.filters) - 1:
            raise ValueError(
                f"dropout_up must have one value less than filters ({len(self.filters) - 1})"
            )
        return self


class XgboostOptions(Options):
    """Boosted decision trees on single pixels: a baseline for networks (docs/baseline.md)."""

    name: Literal["xgboost"] = "xgboost"
    rounds: Annotated[int, Field(ge=1, le=10000)] = 100
    """Number of rounds; each adds a tree for each class or mask."""
    depth: Annotated[int, Field(ge=1, le=16)] = 6
    """Greatest number of splits from a tree's root to a leaf."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """Factor on the answers of each tree (XGBoost's eta)."""
    pixels: Annotated[int, Field(ge=100, le=20_000_000)] = 200_000
    """Greatest number of labelled pixels that trees learn from, drawn from all training tiles.
    Memory grows with it: about 12 bytes for each pixel and each band or index."""
    balanced: bool = False
    """Draw as many pixels of each class; for masks, of each mask and of pixels under none."""
    multiple: ClassVar[int] = 1
    for_colors: ClassVar[dict[str, object]] = {}


ModelOptions = Annotated[
    UnetOptions
    | GymUnetOptions
    | GymResunetOptions
    | GymSimpleUnetOptions
    | GymSimpleResunetOptions
    | CloudUnetOptions
    | UnetBaseOptions
    | UnetShortOptions
    | UnetSkinnyOptions
    | UnetLessConvOptions
    | EncoderModel
    | XgboostOptions,
    Tagged("name", default="unet"),
]
"""One of the families, chosen by the key `name`.

To add a family, join its class here with `|`. The class has `name`, `multiple`, `for_colors`, the
arguments of its builder, `batch_norm` if it has batch normalisation, and `has_encoder` if it has an
encoder (`polynya/recipe/encoders.py`). The first line of its
docstring says what it is for. The builder is a function in a module of `training/models/`; both
have the name of the family, and the paragraph "Source:" of its docstring says where it comes from.
"""

PIXEL_MODELS = ("xgboost",)
"""Families that are no networks: they look at each pixel alone, and `training/trees` makes them."""
