"""The class scheme: names, codes and colours of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from polynya.errors import RecipeError

Byte = Annotated[int, Field(ge=0, le=255)]

Palette = Literal["standard", "colour-blind"]
"""Colours of classes in pictures and colour tables: the scheme's colours, or `OKABE_ITO`."""

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
Universal Design, https://jfly.uni-koeln.de/color/), without black, which means nodata."""


NO_MASK = (64, 64, 64)
"""Colour of pixels without any mask; black means nodata."""

MOST_MASKS = 7
"""Greatest number of masks: a label is a byte with one bit per mask, and one value means nodata."""


class LabelClass(BaseModel):
    """One class of a scheme."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Byte
    """0-based value of the class in label images and maps; for masks, the number of the bit."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Identifier for tables and metadata."""
    title: str
    """Readable name for legends."""
    color: tuple[Byte, Byte, Byte]
    """RGB colour of the class in pictures and colour tables."""


class ClassScheme(BaseModel):
    """An ordered set of classes and the code that means "no data, ignore".

    Labels are uint8 (H, W). With exclusive classes, a label is the code of the pixel's class.
    Masks may overlap, so a label has one bit per mask: the label of a pixel under the masks 0 and
    2 is 2**0 + 2**2 = 5, and the label of a pixel without mask is 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["exclusive", "masks"] = "exclusive"
    """exclusive: each pixel has one of two or more classes. masks: each pixel has any number of
    masks. A scheme with a single mask gives binary labels."""
    classes: tuple[LabelClass, ...] = Field(min_length=1)
    nodata: Byte = 255

    @model_validator(mode="after")
    def _codes_are_unambiguous(self) -> ClassScheme:
        # Output channel i of a model is class i, so the codes must be exactly 0..n-1.
        if self.codes != tuple(range(self.n_classes)):
            raise ValueError(f"class codes must be 0..{self.n_classes - 1} in order")
        if len(set(self.names)) != self.n_classes:
            raise ValueError("class names must differ")
        if len({c.color for c in self.classes}) != self.n_classes:
            raise ValueError("class colours must differ")
        if not self.has_masks and self.n_classes < 2:
            raise ValueError("one class alone is a mask: set the key 'kind' to masks")
        if self.has_masks and self.n_classes > MOST_MASKS:
            raise ValueError(f"there are at most {MOST_MASKS} masks")
        if self.nodata < self.n_labels:
            raise ValueError(f"the nodata code {self.nodata} is also a label")
        return self

    @property
    def has_masks(self) -> bool:
        """Whether the classes are masks that may overlap."""
        return self.kind == "masks"

    @property
    def is_binary(self) -> bool:
        """Whether each class is there or not: masks, or two classes that exclude each other."""
        return self.has_masks or self.n_classes == 2

    @property
    def n_labels(self) -> int:
        """Number of labels that a pixel with data can have: 0..n-1."""
        return 2**self.n_classes if self.has_masks else self.n_classes

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
        """Colour table of exclusive classes for a GeoTIFF: RGBA by code, nodata transparent."""
        table = {c.code: (*c.color, 255) for c in self.classes}
        table[self.nodata] = (0, 0, 0, 0)
        return table

    def paint(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colour image of a label image.

        Args:
            labels: uint8 (H, W). Colours of overlapping masks are mixed in equal parts. Pixels
                without mask get the colour `NO_MASK`; values that are no label become black.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        palette = np.zeros((256, 3), np.uint8)
        for label in range(self.n_labels):
            colors = [c.color for c in self.classes if self._has(label, c.code)]
            palette[label] = np.mean(colors, axis=0).round() if colors else NO_MASK
        return palette[labels]

    def where(self, labels: NDArray[np.uint8], code: int) -> NDArray[np.bool_]:
        """Pixels of a class: bool, with the shape of the labels; False for nodata."""
        if not self.has_masks:
            return labels == code
        return ((labels & (1 << code)) != 0) & (labels != self.nodata)

    def labels_of(
        self, masks: Sequence[NDArray[np.bool_]], valid: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """Labels of masks that may overlap: uint8 (H, W).

        Args:
            masks: One bool (H, W) per class, in the order of `codes`.
            valid: bool (H, W), False for nodata.
        """
        labels = np.zeros(valid.shape, np.uint8)
        for code, mask in enumerate(masks):
            labels[mask] |= 1 << code
        labels[~valid] = self.nodata
        return labels

    def planes(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Split labels into masks: uint8 (C, H, W), 1 inside a mask, 0 outside, or the nodata code.

        Args:
            labels: uint8 (H, W), labels of masks.
        """
        planes = np.stack([self.where(labels, code).view(np.uint8) for code in self.codes])
        planes[:, labels == self.nodata] = self.nodata
        return planes

    def label_colors(self) -> dict[int, tuple[int, int, int, int]]:
        """Colours of all labels: RGBA by label, nodata transparent."""
        if not self.has_masks:
            return self.colormap()
        colors = self.paint(np.arange(self.n_labels, dtype=np.uint8)).tolist()
        table = {label: (*color, 255) for label, color in enumerate(colors)}
        table[self.nodata] = (0, 0, 0, 0)
        return table

    def count(self, labels: NDArray[np.uint8]) -> list[int]:
        """Number of pixels of each class, in the order of `codes`; nodata is not counted."""
        # For few classes, one comparison per class is faster than a histogram.
        return [int(np.count_nonzero(self.where(labels, code))) for code in self.codes]

    def _has(self, label: int, code: int) -> bool:
        return bool(label >> code & 1) if self.has_masks else label == code


SEA_ICE = ClassScheme(
    name="sea-ice",
    classes=(
        LabelClass(code=0, name="open_water", title="Open water", color=(0, 255, 0)),
        LabelClass(code=1, name="thin_ice", title="Thin/young ice", color=(0, 0, 255)),
        LabelClass(code=2, name="thick_ice", title="Thick/snow-covered ice", color=(255, 0, 0)),
    ),
)
"""The three classes of the sea-ice workflow paper, with the paper's colours."""
