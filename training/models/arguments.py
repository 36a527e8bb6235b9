"""What the models of this package must be given."""

from __future__ import annotations

from collections.abc import Sequence


def check_arguments(
    input_shape: tuple[int | None, int | None, int],
    n_classes: int,
    filters: Sequence[int],
    dropout: Sequence[float],
    stem: int,
    brightness_filters: int,
    *,
    stems: Sequence[int],
    least_brightness_filters: int,
) -> None:
    """Raise ValueError for what no model can be built of.

    Args:
        input_shape: Height, width and bands.
        n_classes: Channels of the output.
        filters: Of each level.
        dropout: Of each level.
        stem: Edge of the cells of the first level.
        brightness_filters: Levels by which brightness is seen.
        stems: Those that the model can have.
        least_brightness_filters: Fewest that it can do with.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, bands). Received: input_shape={input_shape}"
        )
    if n_classes < 2:
        raise ValueError(f"`n_classes` must be at least 2. Received: n_classes={n_classes}")
    if len(filters) < 2:
        raise ValueError(f"`filters` must have at least 2 levels. Received: filters={filters}")
    if len(dropout) != len(filters):
        raise ValueError(
            "`dropout` must have as many values as `filters`. "
            f"Received: dropout={dropout}, filters={filters}"
        )
    if stem not in stems:
        known = ", ".join(map(str, stems))
        raise ValueError(f"`stem` must be one of {known}. Received: stem={stem}")
    if brightness_filters < least_brightness_filters:
        raise ValueError(
            f"`brightness_filters` must be at least {least_brightness_filters}. "
            f"Received: brightness_filters={brightness_filters}"
        )
    multiple = stem * 2 ** (len(filters) - 1)
    for size in input_shape[:2]:
        if size is not None and size % multiple:
            raise ValueError(
                f"`input_shape` must have a height and width that are multiples of {multiple}. "
                f"Received: input_shape={input_shape}"
            )
