"""Options of networks with an encoder: a network for pictures, of which a decoder makes maps."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from polynya.recipe.base import Options

ResNetName = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
MobileNetName = Literal["mobilenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"]
EncoderName = (
    ResNetName
    | MobileNetName
    | Literal[
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_b2",
        "efficientnet_b3",
        "efficientnet_b4",
        "efficientnet_b5",
        "efficientnet_b6",
        "efficientnet_b7",
        "convnext_tiny",
        "convnext_small",
        "convnext_base",
        "convnext_large",
        "convnext_xlarge",
        "vgg16",
        "vgg19",
        "densenet121",
        "densenet169",
        "densenet201",
    ]
)
SegformerSize = Literal["b0", "b1", "b2", "b3", "b4", "b5"]

Filters = Annotated[int, Field(ge=1, le=16384)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Dilation = Annotated[int, Field(ge=1, le=1024)]
_FiveLevels = tuple[Filters, Filters, Filters, Filters, Filters]


class _WithEncoder(Options):
    """Keys of all families with an encoder."""

    batch_norm: Literal["local", "synchronised"] = "local"
    """Batch normalisation of encoder and decoder. local: over the batch of each rank. synchronised:
    over the batches of all ranks, so that results don't depend on the number of ranks."""
    for_colors: ClassVar[dict[str, object]] = {}
    has_encoder: ClassVar[bool] = True
    """Whether the family has an encoder, which `training.freeze_encoder_epochs` can freeze."""
    multiple: ClassVar[int] = 32
    """Number of pixels; height and width of the model's input must be multiples of it."""


class _WithAnyEncoder(_WithEncoder):
    """Keys of families that take one of many encoders."""

    encoder: EncoderName = "resnet34"
    """Network whose layers see the image at falling resolution; the decoder joins them again."""
    encoder_width: Annotated[float, Field(gt=0.0, le=4.0)] = 1.0
    """Factor on the filters of all layers of a ResNet or MobileNet."""
    squeeze_excite: bool = False
    """Weigh the channels of each block of a ResNet by their means over the image (SE blocks; J. Hu
    et al., "Squeeze-and-excitation networks", 2018)."""

    @model_validator(mode="after")
    def _encoder_has_these_keys(self) -> _WithAnyEncoder:
        is_resnet = self.encoder.startswith("resnet")
        if self.squeeze_excite and not is_resnet:
            raise ValueError(
                f"squeeze_excite is for a ResNet, and encoder is '{self.encoder}'; set it to false"
            )
        if self.encoder_width != 1.0 and not (is_resnet or self.encoder.startswith("mobilenet")):
            raise ValueError(
                f"encoder_width is for a ResNet or MobileNet, and encoder is '{self.encoder}'; set"
                " it to 1"
            )
        return self


class EncoderUnetOptions(_WithAnyEncoder):
    """U-Net on an encoder, which may start from weights of pictures."""

    name: Literal["encoder_unet"] = "encoder_unet"
    decoder: _FiveLevels = (256, 128, 64, 32, 16)
    """Number of filters of each level of the decoder, the coarsest first."""
    dropout: Rate = 0.0
    """Dropout rate before the last convolution."""


class UnetPpOptions(_WithAnyEncoder):
    """UNet++: a U-Net whose links pass through further levels of convolutions."""

    name: Literal["unet_pp"] = "unet_pp"
    decoder: _FiveLevels = (256, 128, 64, 32, 16)
    """Number of filters of each level of the decoder, the coarsest first."""
    dropout: Rate = 0.0
    """Dropout rate before the last convolution."""


class LinknetOptions(_WithAnyEncoder):
    """LinkNet: a light decoder that adds the layers of the encoder."""

    name: Literal["linknet"] = "linknet"
    last_filters: Filters = 32
    """Number of filters of the last level."""
    dropout: Rate = 0.0
    """Dropout rate before the last convolution."""


class FpnOptions(_WithAnyEncoder):
    """Feature pyramid network on an encoder: things of many sizes at little cost."""

    name: Literal["fpn"] = "fpn"
    pyramid_filters: Filters = 256
    """Number of filters of each level of the pyramid."""
    filters: Filters = 128
    """Number of filters of the branches that bring all levels to a quarter of the resolution; a
    multiple of groups."""
    groups: Filters = 32
    """Number of groups of the normalisation of these branches."""
    dropout: Rate = 0.2
    """Dropout rate before the last convolution; it drops whole channels."""

    @model_validator(mode="after")
    def _groups_divide_filters(self) -> FpnOptions:
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups ({self.groups})")
        return self


class DeeplabV3Options(_WithAnyEncoder):
    """DeepLabV3: an encoder that keeps an eighth of the resolution, and dilated convolutions."""

    name: Literal["deeplab_v3"] = "deeplab_v3"
    filters: Filters = 256
    """Number of filters of each branch and of the decoder."""
    rates: Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=8)] = (12, 24, 36)
    """Dilation of the branches that see the surroundings, in cells of 8 pixels."""
    dropout: Rate = 0.5
    """Dropout rate after the joined branches."""
    multiple: ClassVar[int] = 8


class DeeplabV3PlusOptions(_WithAnyEncoder):
    """DeepLabV3+: dilated convolutions on a sixteenth, and a decoder on a quarter."""

    name: Literal["deeplab_v3_plus"] = "deeplab_v3_plus"
    filters: Filters = 256
    """Number of filters of each branch and of the decoder."""
    fine_filters: Filters = 48
    """Number of channels that the decoder takes from the encoder at a quarter of the resolution."""
    rates: Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=8)] = (12, 24, 36)
    """Dilation of the branches that see the surroundings, in cells of 16 pixels."""
    dropout: Rate = 0.5
    """Dropout rate after the joined branches."""
    multiple: ClassVar[int] = 16


class ResUnetPpOptions(_WithEncoder):
    """ResUNet++: residual units with squeeze and excitation, dilated convolutions, attention."""

    name: Literal["res_unet_pp"] = "res_unet_pp"
    filters: _FiveLevels = (16, 32, 64, 128, 256)
    """Number of filters of the four levels and of the bridge below them."""
    rates: Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=8)] = (6, 12, 18)
    """Dilation of the branches of the bridge and of the last layers."""
    dropout: Rate = 0.0
    """Dropout rate before the last convolution."""
    multiple: ClassVar[int] = 8


class SegformerOptions(_WithEncoder):
    """SegFormer: a Mix Transformer and a decoder of 1x1 convolutions."""

    name: Literal["segformer"] = "segformer"
    size: SegformerSize = "b0"
    """Depth and width of the transformer, as in the paper."""
    decoder_filters: Filters | None = None
    """Number of filters of the decoder. Default: 256 for b0 and b1, else 768, as in the paper."""
    dropout: Rate = 0.1
    """Dropout rate before the last convolution."""
    drop_path: Rate = 0.1
    """Greatest share of images for which training leaves a block of the transformer out; it rises
    from 0 at the first block."""


EncoderModel = (
    EncoderUnetOptions
    | UnetPpOptions
    | DeeplabV3Options
    | DeeplabV3PlusOptions
    | LinknetOptions
    | FpnOptions
    | ResUnetPpOptions
    | SegformerOptions
)
"""Families with an encoder, for `polynya.recipe.model.ModelOptions`."""
