"""What a parameter of a study may be: values, named settings, steps of a ladder, a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator

from polynya.recipe.base import Options
from polynya.recipe.yaml_files import write_yaml

Settings = Mapping[str, Any]
"""Values by dotted key of the recipe."""


class ParameterOptions(Options):
    """What a parameter may be; exactly one of the keys. A list alone means `values`."""

    values: tuple[Any, ...] | None = None
    """Values of the recipe's key that the parameter is named after."""
    choices: dict[str, Any] | None = None
    """The same with a name for each value, for tables and figures."""
    together: dict[str, dict[str, Any]] | None = None
    """Named settings of several keys at once. Then the parameter's name is free."""
    steps: dict[str, dict[str, Any] | tuple[str, ...]] | None = None
    """A ladder: named steps, each with the settings of all steps before it. A list of keys, in
    place of settings, gives these keys back to the recipe. The parameter's name is free."""
    range: tuple[int | float, int | float] | None = None
    """Least and greatest number; only whole numbers if both are written without a dot."""
    log_range: tuple[int | float, int | float] | None = None
    """The same, drawn evenly on a logarithmic scale."""

    @model_validator(mode="before")
    @classmethod
    def _spelt_out(cls, content: Any) -> Any:
        return {"values": content} if isinstance(content, list) else content

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Allow true and false, which keys of the recipe may have; ranges have none."""
        return value

    @model_validator(mode="after")
    def _one_says_what_it_may_be(self) -> ParameterOptions:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "give a list of values, or one of the keys choices, together, steps, range,"
                " log_range"
            )
        ends = self.ends
        if ends is None:
            if not getattr(self, given[0]):
                raise ValueError("give at least one value")
            if self.values is not None and len(set(map(_label, self.values))) < len(self.values):
                raise ValueError("each value may be there once")
        elif isinstance(ends[0], bool) or isinstance(ends[1], bool) or not ends[0] < ends[1]:
            raise ValueError("the second number must be greater than the first")
        elif self.log_range is not None and ends[0] <= 0:
            raise ValueError("a logarithmic scale needs numbers above 0")
        return self

    @model_validator(mode="after")
    def _steps_give_back_what_was_set(self) -> ParameterOptions:
        known: set[str] = set()
        for label, step in (self.steps or {}).items():
            if isinstance(step, dict):
                known |= set(step)
                continue
            for key in step:
                if not _inside(key, known):
                    raise ValueError(
                        f"the step '{label}' gives '{key}' back to the recipe, but no step before"
                        " it sets that"
                    )
        return self

    @property
    def ends(self) -> tuple[int | float, int | float] | None:
        """Ends of a range; None for a list."""
        return self.range or self.log_range

    @property
    def is_whole(self) -> bool:
        """Whether a range has whole numbers only."""
        return self.ends is not None and all(isinstance(end, int) for end in self.ends)

    def levels(self, name: str) -> dict[str, Settings]:
        """Settings of each level by its label, in order; empty for a range.

        Args:
            name: Name of the parameter.
        """
        if self.steps is not None:
            return _climbed(self.steps)
        if self.together is not None:
            return dict(self.together)
        if self.choices is not None:
            return {label: {name: value} for label, value in self.choices.items()}
        return {_label(value): {name: value} for value in self.values or ()}


def _climbed(steps: Mapping[str, dict[str, Any] | tuple[str, ...]]) -> dict[str, Settings]:
    """Add up the steps of a ladder."""
    found: dict[str, Settings] = {}
    so_far: dict[str, Any] = {}
    for label, step in steps.items():
        if isinstance(step, dict):
            so_far = {**so_far, **step}
        else:
            given_back = {inner for key in step for inner in _inside(key, so_far)}
            so_far = {key: value for key, value in so_far.items() if key not in given_back}
        found[label] = so_far
    return found


def _inside(key: str, known: Mapping[str, Any] | set[str]) -> list[str]:
    """Keys that are this one or a part of it."""
    return [one for one in known if f"{one}.".startswith(f"{key}.")]


def _label(value: Any) -> str:
    return write_yaml(value, on_one_line=True).strip()
