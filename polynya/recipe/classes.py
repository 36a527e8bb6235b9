"""The class scheme: names, codes and colours of what a pixel can be, in one place."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from polynya.errors import RecipeError

Byte = Annotated[int, Field(ge=0, le=255)]

Palette = Literal["standard", "colour-blind"]
"""Colours of classes in pictures and colour tables: the scheme's own, or `OKABE_ITO`."""

OKABE_ITO = (
    (0, 114, 178),  # blue
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
)
"""Colours that people with each kind of colour blindness can tell apart (Okabe and Ito 2008, Color
Universal Design, https://jfly.uni-koeln.de/color/), without the black, which is nodata."""


class LabelClass(BaseModel):
    """One class of a scheme."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Byte
    """Value of this class in label images and maps, 0-based."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Identifier for tables and metadata."""
    title: str
    """Name for people, used in legends."""
    color: tuple[Byte, Byte, Byte]
    """RGB colour of the class in pictures and colour tables."""


class ClassScheme(BaseModel):
    """An ordered set of classes and the code that means "no data, ignore"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    classes: tuple[LabelClass, ...] = Field(min_length=2)
    nodata: Byte = 255

    @model_validator(mode="after")
    def _codes_are_unambiguous(self) -> ClassScheme:
        # A model's output channel i is class i, so the codes must be exactly 0..n-1.
        if self.codes != tuple(range(self.n_classes)):
            raise ValueError(f"class codes must be 0..{self.n_classes - 1} in order")
        if len(set(self.names)) != self.n_classes:
            raise ValueError("class names must differ")
        if len({c.color for c in self.classes}) != self.n_classes:
            raise ValueError("class colours must differ")
        if self.nodata < self.n_classes:
            raise ValueError(f"the nodata code {self.nodata} is also a class")
        return self

    @property
    def codes(self) -> tuple[int, ...]:
        return tuple(c.code for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(c.title for c in self.classes)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def in_palette(self, palette: Palette) -> ClassScheme:
        """The same scheme in the colours of a palette.

        Raises:
            RecipeError: The palette has fewer colours than there are classes.
        """
        if palette == "standard":
            return self
        if self.n_classes > len(OKABE_ITO):
            raise RecipeError(
                f"'inference.palette' colour-blind has {len(OKABE_ITO)} colours and '{self.name}'"
                f" {self.n_classes} classes; leave the palette out and give the classes colours"
                " that can be told apart ('classes.classes.color')."
            )
        classes = tuple(
            c.model_copy(update={"color": color})
            for c, color in zip(self.classes, OKABE_ITO, strict=False)
        )
        return self.model_copy(update={"classes": classes})

    def colormap(self) -> dict[int, tuple[int, int, int, int]]:
        """Colour table for a GeoTIFF: RGBA per code, nodata fully transparent."""
        table = {c.code: (*c.color, 255) for c in self.classes}
        table[self.nodata] = (0, 0, 0, 0)
        return table

    def paint(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colour image of a label image.

        Args:
            codes: uint8 (H, W), class codes; everything that is no class is painted black.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        palette = np.zeros((256, 3), np.uint8)
        for c in self.classes:
            palette[c.code] = c.color
        return palette[codes]

    def count(self, codes: NDArray[np.uint8]) -> list[int]:
        """Number of pixels of each class, in the order of `codes`; nodata is not counted."""
        # A comparison for each of few classes is faster than a histogram of bytes.
        return [int(np.count_nonzero(codes == code)) for code in self.codes]


SEA_ICE = ClassScheme(
    name="sea-ice",
    classes=(
        LabelClass(code=0, name="open_water", title="Open water", color=(0, 255, 0)),
        LabelClass(code=1, name="thin_ice", title="Thin/young ice", color=(0, 0, 255)),
        LabelClass(code=2, name="thick_ice", title="Thick/snow-covered ice", color=(255, 0, 0)),
    ),
)
"""The three classes of the sea-ice workflow paper, with its colours."""
