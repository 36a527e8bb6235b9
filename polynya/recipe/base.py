"""What the models of all recipe sections have in common."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]


class Options(BaseModel):
    """A section of the recipe: unknown keys are errors, numbers are finite, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number, as which pydantic takes them."""
        field = cls.model_fields[info.field_name or ""]
        if _holds_truth(value) and not _may_be_truth(field.annotation):
            raise ValueError("true and false are no values here")
        return value


def _holds_truth(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_truth, value))
    return isinstance(value, bool)


def _may_be_truth(annotation: Any) -> bool:
    return annotation is bool or any(map(_may_be_truth, get_args(annotation)))
