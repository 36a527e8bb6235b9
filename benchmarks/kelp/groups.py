"""How well near-duplicates are found: pairs of tiles of one place, on sets of several seeds.

The descriptor and the grouping are those of `polynya split --by duplicates`. The seeds took no part
in the choice of its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from benchmarks.common.cli import QuickOption, names_of, numbers_of
from benchmarks.common.report import Report, percent, table_of
from data_samples.kelp import BANDS, NODATA, SIZE, make_tiles, plan_kelp, planted_pairs
from polynya.progress import track
from polynya.report.tables import Table
from polynya.splits.duplicates import describe_orientations, find_duplicates, gradients


@dataclass(frozen=True)
class Pairs:
    """Pairs of tiles in one group, against pairs that show one place."""

    name: str
    tiles: int
    groups: int
    planted: int
    """Pairs that show one place."""
    found: int
    """Pairs in one group."""
    both: int

    @property
    def precision(self) -> float:
        """Share of the found pairs that show one place; NaN without any."""
        return self.both / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the planted pairs that were found; NaN without any."""
        return self.both / self.planted if self.planted else float("nan")


def groups(
    report: Report,
    seeds: Annotated[str, typer.Option(help="Seeds of the sets.")] = "101,102,103,104,105",
    tiles: Annotated[int, typer.Option(min=40, help="Tiles of a set.")] = 200,
    bands: Annotated[str, typer.Option(help="Bands to compare.")] = "elevation,green",
    quick: QuickOption = False,
) -> None:
    """Find near-duplicates in sets of several seeds: pairwise precision and recall."""
    size = 128 if quick else SIZE
    chosen = names_of(bands, "band", BANDS)
    scores = [
        score
        for seed in track(numbers_of("101" if quick else seeds), "Grouping sets")
        for score in score_seed(seed, 60 if quick else tiles, size, chosen)
    ]
    about = (
        f"Sets of {60 if quick else tiles} tiles of {size} x {size} pixels without faults; tiles of"
        " water alone are places of their own. Duplicates are shifted by up to 5 px, up to 10 %"
        " brighter or darker, and under cloud on 30 % of their pixels."
    )
    report.write("groups", "Kelp tiles: near-duplicates", about, {"groups": pairs_table(scores)})


def score_seed(seed: int, tiles: int, size: int, bands: Sequence[str]) -> list[Pairs]:
    """Group a set by each of some bands."""
    planted = plan_kelp(seed, tiles, 0)
    numbers = [BANDS.index(band) for band in bands]
    found: list[list[np.ndarray]] = [[] for _ in bands]
    for image, _ in make_tiles(planted, seed, size):
        for number, described in zip(numbers, found, strict=True):
            band = image[..., number].astype(np.float32)
            described.append(gradients(band, image[..., number] != NODATA))
    places = [tile.place for tile in planted]
    return [
        score_pairs(
            f"seed {seed}, {band}",
            places,
            find_duplicates(describe_orientations(np.stack(described), size)).tolist(),
        )
        for band, described in zip(bands, found, strict=True)
    ]


def score_pairs(name: str, places: Sequence[int], groups: Sequence[int | str]) -> Pairs:
    """Compare the groups of N tiles with their places.

    Args:
        name: What was grouped.
        places: Place of each tile.
        groups: Group of each tile.
    """
    _, numbers = np.unique(np.array(groups), return_inverse=True)
    wanted, found = planted_pairs(places), planted_pairs(numbers.tolist())
    return Pairs(
        name,
        len(places),
        len(set(groups)),
        int(wanted.sum()),
        int(found.sum()),
        int((wanted & found).sum()),
    )


def pairs_table(scores: Sequence[Pairs]) -> Table:
    """One row per grouping."""
    return table_of(
        "Pairs of tiles that show one place",
        scores,
        {
            "set": lambda s: s.name,
            "tiles": lambda s: str(s.tiles),
            "groups": lambda s: str(s.groups),
            "pairs planted": lambda s: str(s.planted),
            "found": lambda s: str(s.found),
            "right": lambda s: str(s.both),
            "precision %": lambda s: percent(s.precision),
            "recall %": lambda s: percent(s.recall),
        },
    )
