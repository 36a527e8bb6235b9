"""Keys that make each family of networks small, for tests."""

from __future__ import annotations

from typing import Any

_LEVELS = {"filters": (4, 6, 8), "convolutions": (1, 3, 2)}
_SLIM = {"encoder": "resnet18", "encoder_width": 0.125}

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"filters": (4, 6, 8), "dropout": (0.1, 0.1, 0.2), "batch_norm": "local"},
    **{f"gym_{name}": {"filters": 4, "kernel": 3} for name in ("unet", "resunet")},
    **{f"gym_simple_{name}": {"filters": 4, "dropout_up": True} for name in ("unet", "resunet")},
    "cloud_unet": {"filters": 4},
    **dict.fromkeys(("unet_base", "unet_short", "unet_skinny", "unet_less_conv"), _LEVELS),
    "encoder_unet": {**_SLIM, "decoder": (16, 8, 8, 4, 4), "dropout": 0.1},
    "unet_pp": {**_SLIM, "decoder": (16, 8, 8, 4, 4), "squeeze_excite": True},
    "deeplab_v3": {**_SLIM, "filters": 8, "rates": (1, 2)},
    "deeplab_v3_plus": {**_SLIM, "filters": 8, "fine_filters": 4, "rates": (1, 2)},
    "linknet": {**_SLIM, "last_filters": 4},
    "fpn": {**_SLIM, "pyramid_filters": 8, "filters": 8, "groups": 4},
    "res_unet_pp": {"filters": (4, 4, 8, 8, 8), "rates": (1, 2)},
    "segformer": {"size": "b0", "decoder_filters": 16},
}
"""A family that is missing here is tested with its defaults."""

ENCODER_FAMILIES = (
    *(name for name, keys in SMALL.items() if "encoder" in keys),
    "res_unet_pp",
    "segformer",
)
"""Families with an encoder, which can be frozen."""
