"""Section `imports` of the recipe: data sets of images with labels that people already have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from polynya.recipe.base import STEM, Options, Positive, Tagged
from polynya.recipe.classes import Byte

FOLDER = "{folder}"
"""Placeholder for the path of folders that an image and its mask have in common."""

ClassNames = str | tuple[str, ...] | None
"""One class, several masks, or None for nodata."""

Color = tuple[Byte, Byte, Byte]

Coding = Literal["codes", "colors", "one-hot"]
"""How masks say classes: numbers, RGB colours, or a band for each class."""


_KELP: dict[int, ClassNames] = {0: (), 1: "kelp"}
_LOVEDA: dict[int, ClassNames] = {
    0: None, 1: "background", 2: "building", 3: "road", 4: "water", 5: "barren", 6: "forest",
    7: "agriculture",
}  # fmt: skip
_LANDCOVER: dict[int, ClassNames] = {
    0: "background", 1: "building", 2: "woodland", 3: "water", 4: "road",
}  # fmt: skip


def _several(names: ClassNames) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


class _ImportOptions(Options):
    """Keys of every kind."""

    bands: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)] | None = None
    """Names of all bands of the images, in order, if the files don't say them; `scene.inputs` and
    `scene.bands` choose among them."""
    missing: float | None = None
    """Number in the images that means no data, if the files don't say it. Only for named bands
    (`scene.inputs`)."""
    background: str | None = None
    """Class of pixels outside of all runs, polygons and hot bands. Default: nodata; where classes
    are masks, under no mask."""
    dilate: dict[str, Annotated[int, Field(ge=1, le=255)]] | None = None
    """Pixels by which the labels of a class grow into other classes, in this order, for thin things
    that labels miss. Nodata stays nodata."""
    size: tuple[Positive, Positive] | None = None
    """Rows and columns of all imported images. Default: as they are."""
    fit: Literal["keep", "stretch", "pad"] = "keep"
    """How an image gets the size. keep: resized with its aspect, the rest padded. stretch: resized
    to the whole size. pad: never resized, only padded, so it must not be larger."""
    padding: Literal["nodata", "background"] = "nodata"
    """Label of padded pixels, at the right and the bottom: nodata, or `background` as a null class
    on black pixels."""

    @model_validator(mode="after")
    def _fitting_needs_a_size(self) -> _ImportOptions:
        for key, default in (("fit", "keep"), ("padding", "nodata")):
            if self.size is None and getattr(self, key) != default:
                raise ValueError(f"'{key}' needs the key 'size'")
        return self

    @property
    def needs_whole(self) -> bool:
        """Whether an image must be prepared in one piece."""
        return self.size is not None or self.dilate is not None

    @property
    def class_names(self) -> Iterator[tuple[str, str]]:
        """Names of classes, each with the key that names it."""
        yield from (("dilate", name) for name in self.dilate or ())
        if self.background is not None:
            yield "background", self.background


class CodeOptions(_ImportOptions):
    """Keys of kinds whose labels are numbers."""

    codes: Annotated[dict[int, ClassNames], Field(min_length=1)] | None = None
    """Class of each number in the labels: rename, merge, or leave out (null: nodata). Where classes
    are masks, a number may stand for several, or for none ([]). Default: the codes of `classes`."""

    @property
    def class_names(self) -> Iterator[tuple[str, str]]:
        yield from super().class_names
        for names in (self.codes or {}).values():
            for name in _several(names):
                yield "codes", name


class MaskOptions(CodeOptions):
    """Keys of kinds whose labels are raster files."""

    nearest: bool = False
    """Whether a number or colour of a mask that stands for no class takes the nearest one that
    does, because JPEG changes numbers. Otherwise it is an error."""


class FolderOptions(MaskOptions):
    """A folder of images and a folder of masks."""

    kind: Literal["folder"]
    images: str = f"images/{STEM}.*"
    """Pattern of the images in a source. {stem} stands for the part of the name that an image and
    its mask share, {folder} for folders that they share, * for any characters of a name, ** for any
    folders."""
    masks: str = f"masks/{STEM}.*"
    """Pattern of the masks, in the same form."""
    validation: str | None = None
    """Folder in each source with further images and masks, in the same layout, for validation; the
    ids of these scenes begin with `val-`."""
    coding: Coding = "codes"
    """Masks hold numbers in one band (codes), RGB colours (colors), or a band for each class, where
    it is not 0 (one-hot)."""
    colors: dict[str, Color] | None = None
    """Colour of each class in the masks; default: the colours of `classes`."""
    unknown_color: Color | None = None
    """Colour that means no label."""

    @model_validator(mode="after")
    def _keys_go_with_the_coding(self) -> FolderOptions:
        if self.coding == "colors" and self.codes is not None:
            raise ValueError("'codes' are numbers, and 'coding' is colors; give 'colors'")
        if self.coding != "colors" and (self.colors is not None or self.unknown_color is not None):
            raise ValueError("'colors' and 'unknown_color' need 'coding' to be colors")
        colors = [*(self.colors or {}).values(), self.unknown_color]
        if len(set(colors)) < len(colors):
            raise ValueError("'colors' and 'unknown_color' must differ")
        return self

    @model_validator(mode="after")
    def _patterns_have_a_stem(self) -> FolderOptions:
        for key, pattern in (("images", self.images), ("masks", self.masks)):
            if pattern.count(STEM) != 1:
                raise ValueError(f"'{key}' needs {STEM} once, such as 'images/{STEM}.png'")
        if (FOLDER in self.images) != (FOLDER in self.masks):
            raise ValueError(f"'images' and 'masks' need {FOLDER} both, or neither")
        return self

    @property
    def class_names(self) -> Iterator[tuple[str, str]]:
        yield from super().class_names
        yield from (("colors", name) for name in self.colors or ())


class RleOptions(CodeOptions):
    """A CSV file of run-length codes as Kaggle has it, with a folder of images."""

    kind: Literal["rle"]
    images: str = "train_images"
    """Folder of the images, from the folder of the CSV file."""
    order: Literal["columns", "rows"] = "columns"
    """Whether pixels are numbered down the columns or along the rows."""


class GymOptions(CodeOptions):
    """Data set of Segmentation Gym: npz files with arr_0 and arr_1."""

    kind: Literal["gym"]
    augmented: bool = False
    """Whether augmented copies (`_aug_` in the name) are taken too. Copies of one image must not
    be on both sides of a split."""
    prefix: str = ""
    """Beginning of the names of files that are taken, the Gym's ROOT_STRING; default: all files."""
    overlap: Literal["first", "refuse"] = "refuse"
    """Class of a pixel that several classes claim although they exclude each other, as in augmented
    copies with dilated labels (FILTER_VALUE): the first of them, or none: it is an error."""


class DoodlerOptions(CodeOptions):
    """Results of Doodler: npz files, or the JPEG files that its exporter writes."""

    kind: Literal["doodler"]
    plus_one: bool = True
    """Whether labels in exported JPEG files count from 1, as most versions of the exporter do."""


class KelpOptions(MaskOptions):
    """Tiles of DrivenData's "Kelp Wanted" competition."""

    kind: Literal["kelp"]
    bands: Annotated[tuple[str, ...], Field(min_length=1)] | None = (
        "swir16", "nir", "red", "green", "blue", "qa", "elevation",
    )  # fmt: skip
    missing: float | None = -32768.0
    codes: dict[int, ClassNames] | None = Field(_KELP, min_length=1)


class LovedaOptions(MaskOptions):
    """LoveDA: 1024 px PNG files of cities and country."""

    kind: Literal["loveda"]
    codes: dict[int, ClassNames] | None = Field(_LOVEDA, min_length=1)


class LandcoverOptions(MaskOptions):
    """LandCover.ai: orthophotos of Poland, whole or cut by the data set's own script."""

    kind: Literal["landcover"]
    codes: dict[int, ClassNames] | None = Field(_LANDCOVER, min_length=1)
    subsets: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = (
        "train", "val",
    )  # fmt: skip
    """Parts of the cut data set that are imported, by its lists train.txt, val.txt and test.txt;
    the ids of the last two begin with `val-` and `test-`."""


class _NamedOptions(_ImportOptions):
    """Keys of kinds whose labels are regions with the name of a class."""

    values: dict[str, ClassNames] | None = None
    """Class of each name, null: nodata. Default: names, titles and codes of `classes`."""
    overlap: Literal["last", "first", "smallest", "refuse"] = "refuse"
    """Region that decides where exclusive classes overlap: the last or first of the file, the
    smallest, or none: it is an error."""

    @property
    def class_names(self) -> Iterator[tuple[str, str]]:
        yield from super().class_names
        for names in (self.values or {}).values():
            for name in _several(names):
                yield "values", name


class VectorOptions(_NamedOptions):
    """Scenes, with polygons in a GeoPackage, GeoJSON or Shapefile."""

    kind: Literal["vector"]
    labels: str
    """Polygons, in any coordinate system: a path, or the name of a file beside each scene with the
    scene's name in it, such as "{stem}.geojson"."""
    column: str = "class"
    """Attribute with the class of a polygon."""


class CocoOptions(_NamedOptions):
    """Regions in a JSON file of COCO's form (instances)."""

    kind: Literal["coco"]
    images: str = "."
    """Folder of the images, from the folder of the JSON file."""


class LabelstudioOptions(_NamedOptions):
    """Brush strokes, polygons and rectangles in a JSON file that Label Studio has exported."""

    kind: Literal["labelstudio"]
    images: str = "."
    """Folder of the images, from the folder of the JSON file."""
    image_key: str = "image"
    """Key of a task's data that names its image."""


NamedOptions = VectorOptions | CocoOptions | LabelstudioOptions


class BandsOptions(MaskOptions):
    """Scenes with several files, each with some of the bands, and a mask."""

    kind: Literal["bands"]
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Patterns of the files of a scene, in the order of their bands; the first has the grid. {stem}
    stands for the name that they share."""
    masks: str = f"{STEM}_labels.tif"
    """Pattern of the masks, with class codes on the grid of the first file."""

    @model_validator(mode="after")
    def _patterns_have_a_stem(self) -> BandsOptions:
        for pattern in (*self.files, self.masks):
            if pattern.count(STEM) != 1:
                raise ValueError(f"each pattern needs {STEM} once, such as '{STEM}_nir.tif'")
        return self


ImportOptions = Annotated[
    FolderOptions
    | RleOptions
    | GymOptions
    | DoodlerOptions
    | KelpOptions
    | LovedaOptions
    | LandcoverOptions
    | VectorOptions
    | CocoOptions
    | LabelstudioOptions
    | BandsOptions,
    Tagged("kind"),
]
"""One of the kinds, chosen by the key `kind`."""
