"""Keys of a recipe's text are changed in place: other keys and comments stay."""

from __future__ import annotations

import pytest

from polynya.errors import RecipeError
from polynya.recipe.editing import with_keys
from polynya.recipe.yaml_files import parse_text

PROFILE = {"name": "night", "ranges": [{"class": "open_water", "value": [0, 17]}], "x": {"y": 1}}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", []),
        ("# only a comment\n", ["# only a comment\n"]),
        ("seed: 3  # mine", ["seed: 3  # mine\n"]),
        ("label:\nseed: 3\n", ["seed: 3\n"]),
        ("label: {method: none, profile: old}  # why\nseed: 3\n", ["  # why\nseed: 3\n"]),
        (
            "seed: 1\nlabel:\n  # the filter\n  method: none   # off\n\n  # limits\n"
            "  profile: old\n  scope: tile # last\n\n# training\ntraining: {epochs: 3}\n",
            ["  # the filter\n  method: none   # off\n\n  # limits\n  profile:\n    name: night\n",
             "  scope: tile # last\n\n# training\ntraining: {epochs: 3}\n"],
        ),
        (
            "label:\n  profile:\n    name: a\n    ranges:\n    - {class: b, value: [0, 9]}"
            "  # gone\n  # stays\n  method: none\n",
            ["  # stays\n  method: none\n"],
        ),
        ("label:\n    method: none # off\ntiles: {size: 64}\n",
         ["    method: none # off\n    profile:\n", "tiles: {size: 64}\n"]),
        ("label:\r\n  method: none\r\nseed: 2\r\n", ["seed: 2\r\n"]),
    ],
)  # fmt: skip
def test_other_keys_and_comments_stay(text, kept):
    before = parse_text(text, "recipe")
    changed = with_keys(text, "label", {"profile": PROFILE}, "a.yaml")
    after = parse_text(changed, "recipe")
    assert after.pop("label") == (before.pop("label", None) or {}) | {"profile": PROFILE}
    assert after == before
    for part in kept:
        assert part in changed
    # A second change finds what the first one wrote.
    again = with_keys(changed, "label", {"profile": "old", "method": "published"}, "a.yaml")
    assert parse_text(again, "recipe")["label"]["profile"] == "old"
    assert "night" not in again


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{label: {method: none}}", "by hand"),
        ("a: &p old\nlabel:\n  profile: *p\n", "by hand"),
        ("label: 3\n", "no mapping"),
        ("- 1\n", "must be a mapping"),
    ],
)
def test_a_text_that_cannot_be_changed_in_place_is_refused(text, said):
    with pytest.raises(RecipeError, match=said) as error:
        with_keys(text, "label", {"profile": "night"}, "a.yaml")
    assert "a.yaml" in str(error.value)
