"""One pass over all tiles: what the checks measure, class counts and statistics of bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.progress import track
from polynya.recipe.split import SplitOptions
from polynya.shards.dataset import ShardSet
from polynya.shards.dropped import DroppedTile
from polynya.shards.manifest import read_manifest
from polynya.shards.scan import TilePixels, TilePlace, count_tiles, scan_tiles
from polynya.splits.groups import site_of
from polynya.splits.split_file import read_split
from training.input.split import draw_scenes
from training.inspection.checks.base import Check, Facts, Found, TileSide
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
    parts: dict[tuple[str, str], BandSums]
    """Statistics of the bands, by scene and side of the split."""
    ranges: NDArray[np.float64]
    """(B, 2), ends of the histograms."""
    findings: tuple[Finding, ...]
    """Of the checks that found something, in their order."""

    @cached_property
    def total(self) -> BandSums:
        """Statistics over all tiles."""
        return self._merged(self.parts.values())

    @cached_property
    def sums(self) -> dict[str, BandSums]:
        """Statistics by scene, of scenes with a tile that can be read."""
        scenes = dict.fromkeys(scene for scene, _ in self.parts)
        return {
            scene: self._merged(own for (of, _), own in self.parts.items() if of == scene)
            for scene in scenes
        }

    def of_side(self, side: str) -> BandSums:
        """Statistics over the tiles of one side of the split."""
        return self._merged(own for (_, of), own in self.parts.items() if of == side)

    def is_on(self, side: str) -> NDArray[np.bool_]:
        """Tell which tiles are on a side of the split: bool (N,)."""
        return np.array([own.name == side for own in self.facts.sides], np.bool_)

    @cached_property
    def validates(self) -> bool:
        """Whether any tile validates."""
        return bool(self.is_on("validation").any())

    def _merged(self, parts: Iterable[BandSums]) -> BandSums:
        total = BandSums(self.ranges)
        for part in parts:
            total.merge(part)
        return total


def survey(
    shards: ShardSet, checks: tuple[Check, ...] = CHECKS, split: SplitOptions | None = None
) -> Survey:
    """Read all tiles once, and run checks over them.

    Memory holds a few tiles, and a small measure of each check for each tile.

    Args:
        shards: The data set; its dropped tiles are passed over.
        checks: The checks.
        split: Split to look at; None for that of the recipe.

    Raises:
        ShardError: The split's file can't be read, or lacks the fold.
    """
    side_of = _sides(shards, split or shards.recipe.split)
    sides: list[TileSide] = []
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
    parts: dict[tuple[str, str], BandSums] = {}
    tiles = scan_tiles(shards)
    for tile in track(tiles, "Inspecting tiles", count_tiles(shards)):
        places.append(tile.place)
        sides.append(side_of(tile.place))
        damage.append(tile.damage)
        counts.append(_counts(tile.pixels, facts))
        for check, answers in zip(checks, measures, strict=True):
            answers.append(
                check.measure(tile.pixels, facts) if check.measure and tile.pixels else None
            )
        if tile.pixels is not None:
            key = tile.place.scene_id, sides[-1].name
            parts.setdefault(key, BandSums(ranges)).add(tile.pixels.values)
    counted = np.array(counts, np.int64).reshape(len(places), shards.classes.n_classes + 1)
    facts = replace(
        facts,
        places=places,
        damage=damage,
        class_pixels=counted[:, :-1],
        sides=sides,
        failed=[
            (row.scene_id, row.reason.removesuffix("."))
            for row in read_manifest(shards.folder)
            if row.status == "failed"
        ],
    )
    judged = (
        Finding(check, tuple(check.judge(facts, answers)))
        for check, answers in zip(checks, measures, strict=True)
    )
    findings = tuple(finding for finding in judged if finding.found)
    return Survey(shards, facts, counted[:, -1], parts, ranges, findings)


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


def _sides(shards: ShardSet, options: SplitOptions) -> Callable[[TilePlace], TileSide]:
    """Make the function that says where a split puts a tile."""
    if options.file is None:
        recipe = shards.recipe.model_copy(update={"split": options})
        try:
            validating = set(draw_scenes(shards.scene_ids, recipe).validation)
        except ShardError:  # It can't be split, so nothing validates.
            validating = set()
        return lambda place: TileSide("validation" if place.scene_id in validating else "training")
    path, fold = Path(options.file), options.fold
    split = read_split(path, may_cross=True)
    if fold >= split.folds:
        raise ShardError(
            f"The split {path} has {split.folds} fold{'s'[: split.folds != 1]}, numbered from 0,"
            f" and not {fold}; give less as --fold or the recipe's key 'split.fold'."
        )

    def side_of(place: TilePlace) -> TileSide:
        if place.row is None or place.col is None:
            return TileSide("neither")
        key = place.scene_id, place.row, place.col
        tile = split.tiles.get(key)
        if tile is None:
            return TileSide("unknown")
        groups = [f"the group '{tile.group}'"]
        if options.group is not None:
            groups.append(f"the site '{site_of(place.scene_id, options.group)}'")
        if tile.fold == fold:
            return TileSide("validation", tuple(groups))
        return TileSide("training" if split.trains(key, fold) else "neither", tuple(groups))

    return side_of
