"""One pass over all tiles: what the checks measure, class counts and statistics of bands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.progress import track
from polynya.shards.dataset import ShardSet
from polynya.shards.dropped import DroppedTile
from polynya.shards.scan import TilePixels, TilePlace, count_tiles, scan_tiles
from training.input.split import Split, draw_scenes
from training.inspection.checks.base import Check, Facts, Found
from training.inspection.checks.registry import CHECKS
from training.inspection.statistics import BandSums, value_ranges


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: Check
    found: tuple[Found, ...]

    @property
    def tiles(self) -> list[int]:
        """0-based numbers of the tiles, in order; findings of the whole data set have none."""
        return [one.tile for one in self.found if one.tile is not None]


@dataclass(frozen=True)
class Survey:
    """Everything that the report tells of a data set."""

    shards: ShardSet
    facts: Facts
    labelled: NDArray[np.int64]
    """int64 (N,), pixels with a label in each tile."""
    sums: dict[str, BandSums]
    """Statistics of the bands, by scene."""
    ranges: NDArray[np.float64]
    """(B, 2), ends of the histograms."""
    split: Split
    """Scenes for training and validation, as the recipe splits them; all for training if it can't
    split them."""
    findings: tuple[Finding, ...]
    """Of the checks that found something, in their order."""

    @cached_property
    def total(self) -> BandSums:
        """Statistics over all scenes."""
        return self.sums_of(self.sums)

    def sums_of(self, scenes: Iterable[str]) -> BandSums:
        """Statistics over some scenes."""
        total = BandSums(self.ranges)
        for scene in scenes:
            if scene in self.sums:  # It isn't if none of its tiles can be read.
                total.merge(self.sums[scene])
        return total


def survey(shards: ShardSet, checks: tuple[Check, ...] = CHECKS) -> Survey:
    """Read all tiles once, and run checks over them.

    Memory holds a few tiles, and a small measure of each check for each tile.

    Args:
        shards: The data set; its dropped tiles are passed over.
        checks: The checks.
    """
    nothing = np.zeros((0, shards.classes.n_classes), np.int64)
    recipe = shards.recipe
    facts = Facts(
        shards.classes, shards.bands, [], [], nothing, recipe.scene.sees_colors, recipe.tiles.size
    )
    places: list[TilePlace] = []
    damage: list[str] = []
    counts: list[list[int]] = []
    measures: list[list[Any]] = [[] for _ in checks]
    ranges = value_ranges(shards)
    sums: dict[str, BandSums] = {}
    tiles = scan_tiles(shards)
    for tile in track(tiles, "Inspecting tiles", count_tiles(shards)):
        places.append(tile.place)
        damage.append(tile.damage)
        counts.append(_counts(tile.pixels, facts))
        for check, answers in zip(checks, measures, strict=True):
            answers.append(
                check.measure(tile.pixels, facts) if check.measure and tile.pixels else None
            )
        if tile.pixels is not None:
            scene = sums.setdefault(tile.place.scene_id, BandSums(ranges))
            scene.add(tile.pixels.values)
    counted = np.array(counts, np.int64).reshape(len(places), shards.classes.n_classes + 1)
    facts = replace(facts, places=places, damage=damage, class_pixels=counted[:, :-1])
    judged = (
        Finding(check, tuple(check.judge(facts, answers)))
        for check, answers in zip(checks, measures, strict=True)
    )
    findings = tuple(finding for finding in judged if finding.found)
    return Survey(shards, facts, counted[:, -1], sums, ranges, _split(shards), findings)


def drop_list(found: Survey, checks: list[Check]) -> list[DroppedTile]:
    """List the tiles of some findings, each tile once with its first reason.

    Raises:
        ShardError: A finding concerns no single tile, so there is nothing to drop.
    """
    dropped: dict[int, DroppedTile] = {}
    for finding in found.findings:
        if finding.check not in checks:
            continue
        if not finding.tiles:
            raise ShardError(
                f"--drop {finding.check.name}: this concerns no single tile; {finding.check.remedy}"
            )
        for one in finding.found:
            if one.tile is not None and one.tile not in dropped:
                place = found.facts.places[one.tile]
                reason = f"{finding.check.name}: {one.reason}"
                dropped[one.tile] = DroppedTile(
                    place.file, place.index, place.scene_id, place.row, place.col, reason
                )
    return list(dropped.values())


def _counts(pixels: TilePixels | None, facts: Facts) -> list[int]:
    """Pixels of each class, then pixels with a label."""
    if pixels is None:
        return [0] * (facts.classes.n_classes + 1)
    labelled = int(np.count_nonzero(pixels.label != facts.classes.nodata))
    return [*facts.classes.count(pixels.label), labelled]


def _split(shards: ShardSet) -> Split:
    try:
        return draw_scenes(shards.scene_ids, shards.recipe)
    except ShardError:
        return Split(shards.scene_ids, ())
