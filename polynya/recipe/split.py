"""Section `split` of the recipe: the scenes or tiles that validate a model."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from polynya.recipe.base import Options, Share


class SplitOptions(Options):
    """Tiles that validate: those of whole scenes, or what a split file says (docs/splits.md)."""

    validation: Share = 0.2
    """Share of the scenes (or groups of scenes) that validate."""
    group: str | None = None
    """Regular expression on the scene id; scenes with the same text in the expression's first
    (group) stay together. Default: each scene for itself."""
    file: str | None = None
    """File that `polynya split` wrote, in place of `validation`. Groups of `group` must not cross
    it. Default: none."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Fold of the file that validates; the others train."""
    held_out: str | None = None
    """Regular expression on the scene id; exactly the scenes that match validate, such as '^val-'
    for those that `polynya import` takes from a validation folder. Default: `validation` draws
    some."""

    @model_validator(mode="after")
    def _one_says_what_validates(self) -> Self:
        if self.file is not None and self.held_out is not None:
            raise ValueError("'file' and 'held_out' both say what validates; give one of them")
        return self

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
