"""Section `model` of the recipe: the families of models, one class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polynya.recipe.base import Options, Tagged


class UnetOptions(Options):
    """U-Net: the paper's network, which the defaults are, and leaner ones of its kind."""

    name: Literal["unet"] = "unet"
    """Family of models; each has keys of its own."""
    filters: Annotated[
        tuple[Annotated[int, Field(ge=1, le=16384)], ...], Field(min_length=2, max_length=12)
    ] = (16, 32, 64, 128, 256, 512)
    """Filters per level, the bottleneck last."""
    dropout: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], ...] = (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)
    """Dropout between the two convolutions of each level; as many as filters."""
    stem: Literal[1, 2, 4] = 1
    """Edge in pixels of the patches that become one cell of the first level; 1: none, as in the
    paper. Greater is faster: most of the time goes into the levels of full resolution."""
    head_filters: Annotated[int, Field(ge=1, le=16384)] = 8
    """Filters that bring a model with a stem back to full resolution."""
    normalisation: Literal["range", "published"] = "range"
    """What the model does with pixel values first. range: 0..255 to 0..1. published: one grey band,
    each column of a tile divided by its Euclidean norm, as the authors' code does; for comparison
    only, since it leaves streaks and hides how bright a tile is."""
    brightness_filters: Annotated[int, Field(ge=0, le=4096)] = 0
    """0: the model sees the bands, as in the paper. More: it sees brightness, the greatest band of
    a pixel, through this many soft thresholds, and finds classes that thresholds define sooner."""
    batch_norm: Literal["none", "local", "synchronised"] = "none"
    """Batch normalisation after the convolutions of each level, as the paper's network has none.
    local: over the batch of a rank. synchronised: over the batches of all ranks, so that results
    don't depend on their number."""

    @property
    def for_colors(self) -> dict[str, object]:
        """Keys that are set and make sense for 8-bit colours only, and what else to set."""
        return {
            **({"normalisation": "range"} if self.normalisation != "range" else {}),
            **({"brightness_filters": 0} if self.brightness_filters else {}),
        }

    @property
    def multiple(self) -> int:
        """Height and width of what the model sees are multiples of this, in pixels."""
        return self.stem * int(2 ** (len(self.filters) - 1))

    @model_validator(mode="after")
    def _one_dropout_per_level(self) -> UnetOptions:
        if len(self.dropout) != len(self.filters):
            raise ValueError(f"dropout must have as many values as filters ({len(self.filters)})")
        return self


ModelOptions = Annotated[UnetOptions, Tagged("name", default="unet")]
"""One of the families, by the key `name`.

Another one is a class with `name`, `multiple`, `batch_norm` if it has such layers, and the
arguments of its builder, joined here by `|`; the builder is the function of that name in the module
of that name in `training/models/`.
"""
