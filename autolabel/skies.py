"""A sky as bytes: what one worker found of a scene and others need of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from autolabel.levels import Levels

if TYPE_CHECKING:  # Numba takes half a second to import.
    from autolabel.illumination import Sky

_ARRAYS = ("cell_gain", "cell_haze", "kind", "surface", "cloud_color")


def pack_sky(sky: Sky) -> bytes:
    """The sky over a whole scene as compressed arrays, without opaque cloud."""
    target = io.BytesIO()
    arrays = {name: getattr(sky, name) for name in _ARRAYS}
    np.savez_compressed(target, shape=sky.shape, levels=sky.levels, **arrays)
    return target.getvalue()


def unpack_sky(content: bytes) -> Sky:
    """What `pack_sky` made."""
    from autolabel.illumination import Sky

    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        height, width = stored["shape"].tolist()
        return Sky(
            shape=(height, width),
            top=0,
            levels=Levels(*stored["levels"].tolist()),
            opaque=None,
            **{name: stored[name] for name in _ARRAYS},
        )
