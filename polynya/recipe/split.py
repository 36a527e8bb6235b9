"""Section `split` of the recipe: the scenes that validate a model."""

from __future__ import annotations

import re

from pydantic import field_validator

from polynya.recipe.base import Options, Share


class SplitOptions(Options):
    """Scenes that validate a model: whole scenes, because tiles of one scene are similar."""

    validation: Share = 0.2
    """Share of the scenes (or groups of scenes) that validate."""
    group: str | None = None
    """Regular expression on the scene id; scenes with the same text in the expression's first
    (group) stay together. Default: each scene for itself."""

    held_out: str | None = None
    """Regular expression on the scene id; exactly the scenes that match validate, such as '^val-'
    for those that `polynya import` takes from a validation folder. Default: `validation` draws
    some."""

    @field_validator("held_out")
    @classmethod
    def _held_out_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return value

    @field_validator("group")
    @classmethod
    def _group_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
            if groups < 1:
                raise ValueError("the expression needs one (group)")
        return value
