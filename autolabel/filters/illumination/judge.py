"""The judge: is a patch of light that was found really light?

Boosted regression trees (Friedman 2001, Annals of Statistics 29, 1189) read the numbers of
`autolabel.filters.illumination.patches`. `python -m benchmarks.labels judge` has grown them on
generated scenes of several kinds and on real pictures under generated skies, where the right labels
are known. Only light of which they are nearly sure is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.patches import NAMES

LEAST_PROOF = 0.93
"""Chance that labels get better, from which on a patch of light is removed."""

MUCH_OF_ONE, LEAST_PROOF_OF_ONE = 0.95, 0.98
"""Share of one class in a patch, from which on it takes the second chance: the fewer surfaces, the
less a change says."""
MOST_OF_ONE = 0.99
"""Greatest share of one class in a patch. A change over one surface alone may be that surface, or
the top of a cloud; it takes two surfaces to tell."""
DARK_SWIR = 0.18
"""Short waves relative to V, below which a patch may have one surface: snow is so dark, and no top
of a cloud is (Pilewskie & Twomey 1987, Atmos. Res. 21, 113)."""

MOST_PONDS = 0.02
"""Greatest share of melt water in a patch. Ponds have soft shores and any brightness, and floes
between them are as bright as the light has it: the judge errs there, in both directions."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """Trees; the nodes of all trees stand one after another, the first node of each is its root."""

    root: NDArray[np.int32]
    """(trees,), number of the first node of each tree."""
    feature: NDArray[np.int16]
    """(nodes,), column of `NAMES` that a node asks for; -1: a leaf."""
    limit: Floats
    """(nodes,), numbers up to this go left."""
    missing_left: NDArray[np.bool_]
    """(nodes,), whether NaN goes left."""
    left: NDArray[np.int32]
    """(nodes,), next node."""
    right: NDArray[np.int32]
    """(nodes,), next node."""
    leaf: Floats
    """(nodes,), what a leaf adds to the log odds."""
    start: float
    """Log odds before any tree."""

    def chance(self, numbers: Floats) -> Floats:
        """Return the chance that removing the light makes labels better, (N,).

        Args:
            numbers: float64 (N, len(NAMES)), from `describe_patches`.
        """
        node = np.broadcast_to(self.root, (len(numbers), len(self.root))).astype(np.intp)
        while True:
            feature = self.feature[node]
            inner = feature >= 0
            if not inner.any():
                break
            value = np.take_along_axis(numbers, np.maximum(feature, 0).astype(np.intp), axis=1)
            goes_left = np.where(
                np.isnan(value), self.missing_left[node], value <= self.limit[node]
            )
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
        odds = self.start + self.leaf[node].sum(axis=1)
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float64)


@cache
def load_judge() -> Judge:
    """Load the trees that ship with the package."""
    path = files("autolabel.filters.illumination") / "judge.npz"
    with path.open("rb") as source, np.load(source, allow_pickle=False) as stored:
        if tuple(stored["names"].tolist()) != NAMES:
            raise RuntimeError(
                "judge.npz was grown on other numbers: run python -m benchmarks.labels judge"
            )
        arrays = {name: stored[name] for name in stored.files if name not in ("names", "start")}
        return Judge(**arrays, start=float(stored["start"]))


def prove_light(numbers: Floats, ponds: Floats) -> NDArray[np.bool_]:
    """Return which patches of light are to be removed, bool (N,).

    Args:
        numbers: float64 (N, len(NAMES)), from `describe_patches`.
        ponds: float64 (N,), share of melt water in each patch.
    """
    if not len(numbers):
        return np.zeros(0, np.bool_)
    return proven(numbers, load_judge().chance(numbers)) & (ponds <= MOST_PONDS)


def proven(numbers: Floats, chance: Floats) -> NDArray[np.bool_]:
    """Return which patches are sure enough and lie over several surfaces, bool (N,).

    Args:
        numbers: float64 (N, len(NAMES)), from `describe_patches`.
        chance: float64 (N,), from `Judge.chance`.
    """
    water, thick = (numbers[:, NAMES.index(name)] for name in ("water_patch", "thick_patch"))
    most = np.maximum(np.maximum(water, thick), 1.0 - water - thick)
    # A patch without any surface has NaN and proves nothing.
    no_cloud = numbers[:, NAMES.index("swir_to_value")] < DARK_SWIR  # False without short waves.
    least = np.where(most > MUCH_OF_ONE, LEAST_PROOF_OF_ONE, LEAST_PROOF)
    sure = (chance >= least) & ((most <= MOST_OF_ONE) | (no_cloud & np.isfinite(most)))
    return np.asarray(sure, np.bool_)
