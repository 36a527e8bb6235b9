"""Colour thresholds in a recipe: ranges of hue, saturation and value for each class.

Colours are in OpenCV's 8-bit HSV: hue 0..179 (degrees / 2), saturation and value 0..255. A profile
is checked when it is created: every colour must have one class, unless gaps are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from polynya.errors import RecipeError
from polynya.recipe.classes import Byte

AXIS_SIZES = (180, 256, 256)
"""Number of hues, saturations and values."""
_AXES = ("hue", "saturation", "value")

Interval = tuple[int, int]
"""First and last number of a range; both belong to the range."""
Box = tuple[Interval, Interval, Interval]
"""Ranges of hue, saturation and value, without wrapping hue."""


class ColorRange(BaseModel):
    """A range of colours of one class, with both ends; a key that is left out has no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    class_name: Annotated[str, Field(alias="class")]
    """Name of the class; in recipes the key is 'class'."""
    hue: tuple[Annotated[int, Field(ge=0, le=179)], Byte] = (0, 179)
    """OpenCV's hue, 0..179. If the first value is greater than the last, the range wraps at red:
    [170, 10] means 170..179 and 0..10. A last value above 179, as in the paper, means 179."""
    saturation: tuple[Byte, Byte] = (0, 255)
    value: tuple[Byte, Byte] = (0, 255)
    """The greatest of red, green and blue."""

    @field_validator("hue")
    @classmethod
    def _hue_ends_at_179(cls, hue: Interval) -> Interval:
        return hue[0], min(hue[1], AXIS_SIZES[0] - 1)

    @field_validator("saturation", "value")
    @classmethod
    def _range_rises(cls, interval: Interval) -> Interval:
        if interval[1] < interval[0]:
            raise ValueError("the second value must not be smaller than the first")
        return interval

    @model_serializer
    def _as_in_a_recipe(self) -> dict[str, Any]:
        return {"class": self.class_name} | {axis: list(getattr(self, axis)) for axis in _AXES}

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The range as one box, or as two boxes if its hue wraps."""
        low, high = self.hue
        hues = [(low, high)] if low <= high else [(0, high), (low, AXIS_SIZES[0] - 1)]
        return tuple((hue, self.saturation, self.value) for hue in hues)


class Profile(BaseModel):
    """Thresholds for one region and season.

    Raises:
        RecipeError: Two classes contain the same colours, or some colours are in no range and gaps
            are not allowed. The check covers all combinations of hue, saturation and value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the profile, for label sources and model cards."""
    ranges: tuple[ColorRange, ...] = Field(min_length=1)
    """Ranges in any order; a class may have several."""
    allow_gaps: bool = False
    """true: colours in no range are nodata. false: such colours are an error."""

    @model_validator(mode="after")
    def _colors_have_one_class(self) -> Profile:
        _check_overlaps(self)
        if not self.allow_gaps:
            _check_gaps(self)
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that have a range, each once, in the order of the ranges."""
        return tuple(dict.fromkeys(range_.class_name for range_ in self.ranges))

    def check_classes(self, names: tuple[str, ...], scheme: str) -> None:
        """Raise RecipeError if the class of a range is not among the `names` of a class scheme."""
        for name in self.class_names:
            if name not in names:
                raise RecipeError(
                    f"The profile '{self.name}' labels '{name}', which the classes '{scheme}' don't"
                    f" have ({', '.join(names)}); fix the recipe's 'label.profile' or 'classes'."
                )


@dataclass(frozen=True)
class ColorGrid:
    """A division of all colours into cells, cut only at the ends of a profile's ranges.

    All colours of a cell have the same class. Cell (i, j, k) contains the hues with
    `cells[0] == i`, the saturations with `cells[1] == j` and the values with `cells[2] == k`.
    """

    cells: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    """Number of the cell of each hue (180,), saturation (256,) and value (256,), rising from 0."""
    owners: NDArray[np.int16]
    """Position of each cell's class in `Profile.class_names`; -1 for cells in no range. The shape
    is (hues, saturations, values)."""


@lru_cache(maxsize=64)
def color_grid(profile: Profile) -> ColorGrid:
    """Cut the colours at the ends of a profile's ranges (coordinate compression).

    Ranges of different classes must not overlap; then the cells don't depend on the order of
    ranges.

    Args:
        profile: A profile with at most a few hundred ranges. The grid never has more cells than
            there are colours.

    Returns:
        The grid; its arrays are shared and can't be written.
    """
    boxes = [(box, range_.class_name) for range_ in profile.ranges for box in range_.boxes]
    starts = [
        sorted({0, *(end for box, _ in boxes for end in (box[axis][0], box[axis][1] + 1))} - {size})
        for axis, size in enumerate(AXIS_SIZES)
    ]
    hues, saturations, values = (
        np.searchsorted(first, np.arange(size), side="right") - 1
        for first, size in zip(starts, AXIS_SIZES, strict=True)
    )
    cells = (hues, saturations, values)
    owners = np.full([len(first) for first in starts], -1, np.int16)
    names = profile.class_names
    for box, name in boxes:
        part = tuple(
            slice(index[low], index[high] + 1)
            for index, (low, high) in zip(cells, box, strict=True)
        )
        owners[part] = names.index(name)
    for array in (*cells, owners):
        array.flags.writeable = False
    return ColorGrid(cells, owners)


def _check_overlaps(profile: Profile) -> None:
    held = [(box, range_.class_name) for range_ in profile.ranges for box in range_.boxes]
    ends = np.array([box for box, _ in held])
    owners = np.array([profile.class_names.index(name) for _, name in held])
    lows = np.maximum(ends[:, None, :, 0], ends[None, :, :, 0])
    highs = np.minimum(ends[:, None, :, 1], ends[None, :, :, 1])
    overlaps = np.argwhere((lows <= highs).all(axis=2) & (owners[:, None] != owners[None]))
    if len(overlaps) == 0:
        return
    one, other = overlaps[0]
    shared = [(int(a), int(b)) for a, b in zip(lows[one, other], highs[one, other], strict=True)]
    raise RecipeError(
        f"The profile '{profile.name}' has an overlap: {held[one][1]} and {held[other][1]} both"
        f" hold {_told(shared)}; fix their ranges in the recipe's 'label.profile' so that one ends"
        " before the other begins."
    )


def _check_gaps(profile: Profile) -> None:
    grid = color_grid(profile)
    empty = grid.owners < 0
    if not empty.any():
        return
    # No cell before the first empty cell is empty, so the box can only grow upwards.
    first = np.unravel_index(int(np.argmax(empty)), empty.shape)
    box = [(int(i), int(i)) for i in first]
    for axis in (2, 1, 0):
        while box[axis][1] + 1 < empty.shape[axis]:
            above = [slice(low, high + 1) for low, high in box]
            above[axis] = slice(box[axis][1] + 1, box[axis][1] + 2)
            if not empty[tuple(above)].all():
                break
            box[axis] = (box[axis][0], box[axis][1] + 1)
    colors = []
    for index, (low, high) in zip(grid.cells, box, strict=True):
        held = np.flatnonzero((index >= low) & (index <= high))
        colors.append((int(held[0]), int(held[-1])))
    raise RecipeError(
        f"The profile '{profile.name}' has a gap: no range holds {_told(colors)} (next to"
        f" {' and '.join(_neighbours(profile, grid, box))}); widen a range in the recipe's"
        " 'label.profile', or set its key allow_gaps to true to make such colours nodata."
    )


def _neighbours(profile: Profile, grid: ColorGrid, box: list[Interval]) -> list[str]:
    """Classes of the cells that touch a box of cells; hue wraps around."""
    owners: set[int] = set()
    for axis, (low, high) in enumerate(box):
        sides = [low - 1, high + 1]
        size = grid.owners.shape[axis]
        beside = [i % size for i in sides if axis == 0 or 0 <= i < size]
        face: list[Any] = [slice(first, last + 1) for first, last in box]
        face[axis] = beside
        owners.update(np.unique(grid.owners[tuple(face)]).tolist())
    return [name for i, name in enumerate(profile.class_names) if i in owners]


def _told(box: list[Interval]) -> str:
    parts = [f"{axis} {low}..{high}" for axis, (low, high) in zip(_AXES, box, strict=True)]
    return ", ".join(parts)
