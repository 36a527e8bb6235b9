"""Options of a command in place of keys of a recipe."""

from __future__ import annotations

import pytest

from polynya.recipe.overrides import resolve
from polynya.recipe.recipe import Recipe

SAID = {"seed": 3, "inference.overlap": 0.25, "inference.concentration.cell": 500.0}


def test_a_recipe_with_options_is_the_recipe_that_says_them_itself():
    given = {"inference": {"overlap": 0.25, "concentration": {"cell": 500.0}}, "seed": 3}
    resolved = resolve(Recipe(), SAID)
    assert resolved == Recipe.model_validate(given)
    assert resolved.digest() == Recipe.model_validate(given).digest()
    assert resolve(resolved, SAID) == resolved


def test_labels_do_not_depend_on_options_of_prediction():
    assert resolve(Recipe(), {"inference.window": 64}).labels_digest() == Recipe().labels_digest()


def test_without_options_a_recipe_stays_itself():
    recipe = Recipe()
    assert resolve(recipe, {}) is recipe
    assert resolve(recipe, {"inference.overlap": None, "inference.products": None}) is recipe
    assert resolve(recipe, {"inference.products": ()}) == recipe


@pytest.mark.parametrize("key", ["inference.overlaps", "overlap", "inference.concentration.cel"])
def test_a_key_that_is_none_is_an_error_of_the_program(key):
    with pytest.raises(ValueError, match=f"keys of the recipe. Received: '{key}'"):
        resolve(Recipe(), {key: 1})
