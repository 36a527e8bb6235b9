"""Base classes and types for the models of all recipe sections."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

Share = Annotated[float, Field(ge=0.0, le=1.0)]
STEM = "{stem}"
"""Placeholder for the scene's file name without extension, in names of files beside a scene."""
Positive = Annotated[int, Field(ge=1, lt=2**31)]


class Options(BaseModel):
    """A section of the recipe: unknown keys are errors, numbers are finite, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number; pydantic would accept them as 1 and 0."""
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


class Tagged:
    """Annotation for a union of option classes, or for one: the value of a key chooses the class.

    Each class declares its value as `key: Literal["value"] = "value"`. The value alone means the
    class with all defaults, so `loss: dice` is the same as `loss: {name: dice}`.

    Args:
        key: Key that chooses the class, such as `name`.
        default: Value if the key is missing; None: the key is required.

    Example:
        >>> Shape = Annotated[CircleOptions | SquareOptions, Tagged("name")]
    """

    def __init__(self, key: str, default: str | None = None) -> None:
        self._key = key
        self._default = default

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        members = {tag_of(member, self._key): member for member in get_args(source) or (source,)}
        schema = core_schema.tagged_union_schema(
            # `describe_errors` leaves keys in angle brackets out of its messages.
            {f"<{tag}>": handler.generate_schema(member) for tag, member in members.items()},
            discriminator=lambda content: self._tag(content, members),
            custom_error_type="unknown_tag",
            custom_error_message=f"needs the key '{self._key}' with one of {', '.join(members)}",
        )
        return core_schema.no_info_before_validator_function(
            lambda content: self._spelt_out(content, members), schema
        )

    def _tag(self, content: object, known: Any) -> str | None:
        if isinstance(content, dict):
            tag = content.get(self._key, self._default)
        else:
            tag = getattr(content, self._key, None)
        return f"<{tag}>" if isinstance(tag, str) and tag in known else None

    def _spelt_out(self, content: object, known: Any) -> object:
        is_tag = isinstance(content, str) and content in known
        return {self._key: content} if is_tag else content


def tag_of(member: type[BaseModel], key: str) -> str:
    """The only value that a class of options allows for a key; "" if there isn't exactly one."""
    field = member.model_fields.get(key)
    values = get_args(field.annotation) if field else ()
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


def tags_of(union: Any, key: str) -> tuple[str, ...]:
    """Values of the key by which a `Tagged` union chooses its classes, in order."""
    return tuple(members_of(union, key))


def members_of(union: Any, key: str) -> dict[str, type[BaseModel]]:
    """Classes of a `Tagged` union by the value of the key that chooses them, in order."""
    (members, *_) = get_args(union)
    return {tag_of(member, key): member for member in get_args(members) or (members,)}
