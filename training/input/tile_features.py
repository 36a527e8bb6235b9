"""Named features of tiles, numbers from 0 to 1, by which tiles can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.sampling import (
    COMPLEMENT,
    ELEVATION_FEATURES,
    QA_FEATURES,
    FeatureSamplingOptions,
    feature_of,
)
from polynya.shards.dataset import ShardSet

Floats = NDArray[np.float64]

_ALMOST_ALL = 0.98
"""Share of water above which a tile counts as all water."""


def label_features(
    class_counts: NDArray[np.int64], labelled: Floats, names: Sequence[str]
) -> dict[str, Floats]:
    """Compute the features of labels.

    Args:
        class_counts: int64 (N, C), pixels of each class.
        labelled: (N, 2): pixels with a label, and all pixels of each tile.
        names: Names of the C classes.

    Returns:
        (N,) by name. `has:CLASS` is 1 if a tile has the class; `share:CLASS` is the class's share
        of all pixels; `nodata` is the share of pixels without a label.
    """
    found = {"nodata": 1 - labelled[:, 0] / labelled[:, 1]}
    for code, name in enumerate(names):
        found[f"has:{name}"] = (class_counts[:, code] > 0).astype(np.float64)
        found[f"share:{name}"] = class_counts[:, code] / labelled[:, 1]
    return found


def qa_features(qa: NDArray[np.floating]) -> dict[str, float]:
    """Compute the features of a tile's quality band.

    Args:
        qa: (H, W), 0 where a pixel is good; missing pixels (NaN) are bad.

    Returns:
        `bad`, the share of bad pixels; `qa_ok`, 1 if there is none.
    """
    bad = float(np.mean(qa != 0))
    return {"bad": bad, "qa_ok": float(bad == 0)}


def elevation_features(elevation: NDArray[np.floating]) -> dict[str, float]:
    """Compute the features of a tile's elevation.

    Args:
        elevation: (H, W) in metres, NaN where missing.

    Returns:
        Shares of pixels: `water`, with an elevation of 0 or less; `zero`, of exactly 0; `nan`,
        without one. `all_water` is 1 if more than 98 % are water.
    """
    water = float(np.mean(elevation <= 0))
    return {
        "water": water,
        "all_water": float(water > _ALMOST_ALL),
        "zero": float(np.mean(elevation == 0)),
        "nan": float(np.mean(np.isnan(elevation))),
    }


def weighted_features(features: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """Add up features with their factors, and bring the sums to 0..1 (least to greatest).

    With has, 1 - share of the class, qa_ok, 1 - bad, 1 - water, 1 - nan and 1 - zero this is the
    weight of a tile in M. Wierzbiński's second place in DrivenData's competition "Kelp Wanted".

    Args:
        features: (N,) by name.
        weights: Factor of each feature; a name that begins with '1 - ' stands for the complement.

    Returns:
        (N,), 0..1; 1 for all if all sums are equal.
    """
    sums = np.zeros(len(next(iter(features.values()))))
    for name, weight in weights.items():
        values = features[feature_of(name)]
        sums += weight * (1 - values if name.startswith(COMPLEMENT) else values)
    low, high = sums.min(), sums.max()
    return np.asarray((sums - low) / (high - low) if high > low else np.ones_like(sums))


def read_features(
    shards: ShardSet, scene_ids: Sequence[str], options: FeatureSamplingOptions
) -> dict[str, Floats]:
    """Read the features of all tiles of some scenes that the weights name.

    Pixels are read only if a feature needs them.

    Raises:
        ShardError: A file is missing or damaged.
    """
    groups = shards.row_groups(scene_ids)
    counts, labelled = read_counts(shards, scene_ids)
    found = label_features(counts, labelled, shards.classes.names)
    wanted = {feature_of(name) for name in options.weights}
    from_pixels = [
        (shards.bands.index(band), compute)
        for names, band, compute in (
            (QA_FEATURES, options.qa, qa_features),
            (ELEVATION_FEATURES, options.elevation, elevation_features),
        )
        if wanted & set(names)
    ]
    if from_pixels:
        rows: list[dict[str, float]] = []
        for tile in shards.tiles(groups):
            rows.append({})
            for index, compute in from_pixels:
                rows[-1].update(compute(tile.image[..., index].astype(np.float32)))
        found |= {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: found[name] for name in sorted(wanted)}


def read_counts(shards: ShardSet, scene_ids: Sequence[str]) -> tuple[NDArray[np.int64], Floats]:
    """Read pixels of each class, (N, C), and labelled and all pixels, (N, 2), of some scenes."""
    names = ("class_counts", "valid_share", "height", "width")
    rows = shards.columns(shards.row_groups(scene_ids), names).to_pylist()
    counts = np.array([row["class_counts"] for row in rows], np.int64)
    sizes = np.array([row["height"] * row["width"] for row in rows], np.float64)
    shares = np.array([row["valid_share"] for row in rows])
    return counts, np.stack([np.rint(shares * sizes), sizes], axis=-1)
