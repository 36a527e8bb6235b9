"""What a recipe says of the loss and of seeds."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.schemes import scheme_of
from polynya.recipe.recipe import Recipe, parse_recipe
from training.run.build import rank_seed
from training.run.class_weights import loss_weights


def _recipe(class_weights: object) -> Recipe:
    return parse_recipe({"training": {"class_weights": class_weights}}, source="test")


COUNTS = np.array([600, 300, 100])


def test_balanced_weights_give_every_class_the_same_share_of_the_loss() -> None:
    weights = np.array(loss_weights(_recipe("balanced"), COUNTS))
    assert weights * COUNTS == pytest.approx(np.full(3, 1000 / 3))
    assert loss_weights(_recipe("balanced"), np.array([50, 50, 0])) == pytest.approx(
        (2 / 3, 2 / 3, 0)
    )


def test_weights_may_be_roots_of_balanced_ones_or_what_is_left_of_one() -> None:
    root = loss_weights(_recipe("square_root"), COUNTS)
    assert root == pytest.approx(np.sqrt([1000 / 1800, 1000 / 900, 1000 / 300]))
    assert loss_weights(_recipe("square_root"), np.array([50, 50, 0])) == pytest.approx(
        (np.sqrt(2 / 3), np.sqrt(2 / 3), 0)
    )
    assert loss_weights(_recipe("one_minus_share"), COUNTS) == pytest.approx((0.4, 0.7, 0.9))


def test_a_mask_that_never_occurs_is_learnt_as_absent() -> None:
    recipe = _recipe("balanced").model_copy(update={"classes": scheme_of(3, "masks")})
    assert loss_weights(recipe, np.array([50, 100, 0])) == pytest.approx((1, 0.5, 1))


def test_weights_may_be_given_or_left() -> None:
    assert loss_weights(_recipe("none"), COUNTS) is None
    assert loss_weights(_recipe([1, 2, 0.5]), COUNTS) == (1, 2, 0.5)


def test_ranks_draw_from_seeds_of_their_own_and_new_ones_after_a_change_of_ranks() -> None:
    seeds = {rank_seed(Recipe(), rank, done) for rank in range(4) for done in (0, 10, 20)}
    assert len(seeds) == 12
