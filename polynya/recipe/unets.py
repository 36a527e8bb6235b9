"""Keys of the U-Nets of published studies: Segmentation Gym, cloud structures, Faster UNet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from polynya.recipe.base import Options

Filters = Annotated[int, Field(ge=1, le=16384)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Kernel = Annotated[int, Field(ge=1, le=63)]
Widths = Annotated[tuple[Filters, ...], Field(min_length=2, max_length=12)]
Convolutions = tuple[Annotated[int, Field(ge=1, le=32)], ...]


class _GymOptions(Options):
    name: str
    """Family of models; each family has its own keys."""
    filters: Annotated[int, Field(ge=1, le=1024)] = 6
    """Number of filters of the first block; each further level has twice as many."""
    kernel: Kernel = 7
    """Edge of the convolutions' kernels in pixels."""
    dropout: Rate = 0.1
    """Dropout rate of the first block that has any."""
    dropout_change: Annotated[float, Field(gt=-1.0, lt=1.0)] = 0.0
    """Added to the rate from block to block downwards. Below a rate of 0 there is no dropout."""
    dropout_type: Literal["standard", "spatial"] = "standard"
    """standard: single values are dropped. spatial: whole channels (J. Tompson et al., 2015)."""
    dropout_up: bool = False
    """Whether the decoder has dropout, too, with the rates of the encoder in reverse order."""
    batch_norm: Literal["local", "synchronised"] = "local"
    """local: over the batch of each rank. synchronised: over the batches of all ranks, so that
    results don't depend on the number of ranks."""
    for_colors: ClassVar[dict[str, object]] = {}
    changes: ClassVar[int] = 4
    """How often `dropout_change` is added."""

    @model_validator(mode="after")
    def _rates_stay_below_one(self) -> _GymOptions:
        last = self.dropout + self.changes * self.dropout_change
        if last >= 1.0:
            raise ValueError(
                f"dropout and dropout_change make a rate of {last:g} in the deepest block; it must"
                " be below 1"
            )
        return self


class _StridedGymOptions(_GymOptions):
    stride: Annotated[int, Field(ge=1, le=4)] = 2
    """Stride of the four blocks that lead down."""
    changes: ClassVar[int] = 3

    @property
    def multiple(self) -> int:
        """Number of pixels; height and width of the model's input must be multiples of it."""
        return int(self.stride**4)


class GymUnetOptions(_StridedGymOptions):
    """U-Net of Segmentation Gym (its `unet`): strided convolutions with large kernels."""

    name: Literal["gym_unet"] = "gym_unet"


class GymResunetOptions(_StridedGymOptions):
    """Residual U-Net of Segmentation Gym (its `resunet`): the best of its paper."""

    name: Literal["gym_resunet"] = "gym_resunet"


class _PooledGymOptions(_GymOptions):
    kernel: Kernel = 2
    """Edge of the convolutions' kernels in pixels. Segmentation Gym always takes 2 here, whatever
    its key KERNEL says."""
    multiple: ClassVar[int] = 16


class GymSimpleUnetOptions(_PooledGymOptions):
    """Small U-Net of Segmentation Gym (its `simple_unet`): pooling and 2x2 kernels."""

    name: Literal["gym_simple_unet"] = "gym_simple_unet"


class GymSimpleResunetOptions(_PooledGymOptions):
    """Small residual U-Net of Segmentation Gym (its `simple_resunet`): pooling and 2x2 kernels."""

    name: Literal["gym_simple_resunet"] = "gym_simple_resunet"


class CloudUnetOptions(Options):
    """Small U-Net of the cloud-structure study, for masks of large, vague shapes."""

    name: Literal["cloud_unet"] = "cloud_unet"
    filters: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of filters of the first of five levels; each further level has twice as many."""
    dropout: Rate = 0.2
    """Dropout rate after each pooling and each concatenation."""
    upsampling: Literal["repeat", "transpose"] = "repeat"
    """repeat: pixels are repeated, then a 2x2 convolution halves the width, as in the study.
    transpose: a 2x2 transposed convolution does both."""
    batch_norm: Literal["local", "synchronised"] = "local"
    """local: over the batch of each rank. synchronised: over the batches of all ranks."""
    multiple: ClassVar[int] = 16
    for_colors: ClassVar[dict[str, object]] = {}


class _FasterUnetOptions(Options):
    name: str
    """Family of models; each family has its own keys."""
    filters: Widths
    """Number of filters of each level, the bottleneck last."""
    convolutions: Convolutions
    """Number of convolutions of each level; as many values as filters."""
    dropout: Rate = 0.0
    """Dropout rate before the last layer."""
    batch_norm: Literal["none", "local", "synchronised"] = "local"
    """Batch normalisation after each convolution. local: over the batch of each rank. synchronised:
    over the batches of all ranks."""
    for_colors: ClassVar[dict[str, object]] = {}

    @property
    def multiple(self) -> int:
        """Number of pixels; height and width of the model's input must be multiples of it."""
        return int(2 ** (len(self.filters) - 1))

    @model_validator(mode="after")
    def _one_number_per_level(self) -> _FasterUnetOptions:
        if len(self.convolutions) != len(self.filters):
            raise ValueError(
                f"convolutions must have as many values as filters ({len(self.filters)})"
            )
        return self


class UnetBaseOptions(_FasterUnetOptions):
    """Large U-Net of the Faster UNet study, close to the first U-Net: what others compare with."""

    name: Literal["unet_base"] = "unet_base"
    filters: Widths = (64, 128, 256, 512, 1024)
    convolutions: Convolutions = (2, 2, 2, 2, 2)


class UnetShortOptions(_FasterUnetOptions):
    """Four wide levels (Faster UNet study): few parameters, but much memory; sees near things."""

    name: Literal["unet_short"] = "unet_short"
    filters: Widths = (128, 128, 256, 512)
    convolutions: Convolutions = (2, 2, 2, 2)


class UnetSkinnyOptions(_FasterUnetOptions):
    """Seven narrow levels of one convolution (Faster UNet study): fast, and sees far."""

    name: Literal["unet_skinny"] = "unet_skinny"
    filters: Widths = (32, 64, 128, 256, 512, 512, 512)
    convolutions: Convolutions = (1, 1, 1, 1, 1, 1, 1)


class UnetLessConvOptions(_FasterUnetOptions):
    """As `unet_skinny`, with three convolutions in the upper two levels, for small things."""

    name: Literal["unet_less_conv"] = "unet_less_conv"
    filters: Widths = (32, 64, 128, 256, 512, 512, 512)
    convolutions: Convolutions = (3, 3, 1, 1, 1, 1, 1)
