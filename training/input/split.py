"""Which scenes train and which validate: whole scenes, never tiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polynya.errors import ShardError


@dataclass(frozen=True)
class Split:
    """Ids of the scenes for training and for validation, each sorted."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def group_of(scene_id: str, pattern: str | None) -> str:
    """Name of the group of scenes that must stay together.

    It is the first group of the regular expression if the expression matches, else the scene's own
    id. For example, the clear and the cloudy image of one site must be on the same side.
    """
    match = re.search(pattern, scene_id) if pattern else None
    if match is None or match.group(1) is None:
        return scene_id
    return match.group(1)


def split_scenes(
    scene_ids: Sequence[str],
    *,
    validation: float,
    seed: int,
    group: str | None = None,
    held_out: str | None = None,
) -> Split:
    """Draw the groups of scenes for validation.

    Tiles of one scene resemble each other, so a split by tile would measure memory, not skill.
    The result depends only on the set of scenes and the seed, not on order or number of ranks.

    Args:
        scene_ids: All scenes.
        validation: Share of the groups, rounded, but at least one group; 0 for no validation.
        seed: Seed of the random numbers.
        group: Regular expression on the scene id; None makes each scene a group.
        held_out: Regular expression on the id of the scenes that validate; None draws some.

    Raises:
        ShardError: There is only one group, but `validation` is more than 0; or all scenes or none
            match `held_out`, or those of one group are on both sides.
    """
    if held_out is not None:
        return _held_out(sorted(scene_ids), held_out, group)
    groups = sorted({group_of(scene, group) for scene in scene_ids})
    if validation > 0 and len(groups) < 2:
        raise ShardError(
            "A split by scene needs at least two scenes (or groups of 'split.group'), the shards"
            f" have {len(groups)}; label more scenes, or set the key 'split.validation' to 0"
            " in a recipe and give that to the training (--recipe)."
        )
    drawn: set[str] = set()
    if validation > 0:
        count = min(max(round(validation * len(groups)), 1), len(groups) - 1)
        order = np.random.default_rng(seed).permutation(len(groups))
        drawn = {groups[i] for i in order[:count]}
    return Split(
        training=tuple(s for s in sorted(scene_ids) if group_of(s, group) not in drawn),
        validation=tuple(s for s in sorted(scene_ids) if group_of(s, group) in drawn),
    )


def _held_out(scene_ids: Sequence[str], pattern: str, group: str | None) -> Split:
    """Split by a regular expression on the scene id."""
    validation = tuple(scene for scene in scene_ids if re.search(pattern, scene))
    training = tuple(scene for scene in scene_ids if not re.search(pattern, scene))
    if not validation or not training:
        matching = "none" if not validation else "each"
        raise ShardError(
            f"The recipe's key 'split.held_out' is '{pattern}', and {matching} of the"
            f" {len(scene_ids)} scenes matches it; fix it, or leave it out."
        )
    on_both = {group_of(s, group) for s in training} & {group_of(s, group) for s in validation}
    if on_both:
        raise ShardError(
            f"'split.held_out' divides the group '{min(on_both)}' of 'split.group', whose scenes"
            " must stay together; change one of them."
        )
    return Split(training, validation)
