"""Split by scene."""

from __future__ import annotations

import pytest

from polynya.errors import ShardError
from polynya.splits.groups import site_of
from training.input.split import split_scenes

SCENES = [f"site{i}_{sky}" for i in range(10) for sky in ("clear", "cloud")]
TWINS = r"^(site\d+)_"


def test_every_scene_is_on_exactly_one_side() -> None:
    split = split_scenes(SCENES, validation=0.2, seed=0)
    assert sorted([*split.training, *split.validation]) == sorted(SCENES)
    assert len(split.validation) == 4


def test_twins_stay_together() -> None:
    for seed in range(5):
        split = split_scenes(SCENES, validation=0.3, seed=seed, group=TWINS)
        sides = [{site_of(s, TWINS) for s in side} for side in (split.training, split.validation)]
        assert not sides[0] & sides[1]
        assert len(sides[1]) == 3


def test_the_draw_depends_on_the_seed_but_not_on_the_order() -> None:
    assert split_scenes(SCENES, validation=0.2, seed=1) == split_scenes(
        SCENES[::-1], validation=0.2, seed=1
    )
    draws = {split_scenes(SCENES, validation=0.2, seed=seed).validation for seed in range(8)}
    assert len(draws) > 1


def test_site_of() -> None:
    assert site_of("site3_clear", TWINS) == "site3"
    assert site_of("other", TWINS) == "other"
    assert site_of("site3_clear", None) == "site3_clear"
    assert site_of("abc", r"(x)?abc") == "abc"


def test_both_sides_have_at_least_one_group() -> None:
    assert len(split_scenes(["a", "b"], validation=0.01, seed=0).validation) == 1
    assert len(split_scenes(["a", "b"], validation=1.0, seed=0).training) == 1


def test_no_validation_on_request() -> None:
    assert split_scenes(["a"], validation=0.0, seed=0).validation == ()


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ShardError, match="at least two scenes"):
        split_scenes(["site1_clear", "site1_cloud"], validation=0.2, seed=0, group=TWINS)


def test_a_data_set_may_say_itself_what_validates() -> None:
    scenes = ["val-b", "a", "val-a", "c"]
    split = split_scenes(scenes, validation=0.9, seed=3, held_out="^val-")
    assert (split.training, split.validation) == (("a", "c"), ("val-a", "val-b"))


@pytest.mark.parametrize(("pattern", "matching"), [("x", "none"), (".", "each")])
def test_both_sides_need_scenes(pattern: str, matching: str) -> None:
    with pytest.raises(ShardError, match=f"and {matching} of the 2 scenes matches it; fix it"):
        split_scenes(["a", "b"], validation=0.2, seed=0, held_out=pattern)


def test_what_is_held_out_divides_no_group() -> None:
    scenes = ["site1_clear", "site1_cloud", "site2_clear"]
    with pytest.raises(ShardError, match="divides the group 'site1' of 'split.group'"):
        split_scenes(scenes, validation=0.2, seed=0, group=TWINS, held_out="cloud")
