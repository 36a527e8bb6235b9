"""`polynya submission`: maps of many images as one file, in the forms of two competitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.importers.kelp import TILE_SUFFIX, write_submission
from autolabel.importers.prepare import Placement, fit_nearest
from autolabel.importers.rle import mask_rows
from inference.predict.resize import Size
from inference.products.class_map import map_tags, read_map
from inference.products.paths import ProductPaths
from inference.run.map_names import MappedScene, mapped_scenes
from polynya.errors import ModelError, RecipeError, SceneError
from polynya.progress import track
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.run_length import Order, csv_text
from polynya.sizes import parse_size
from polynya.storage.files import output_folder, whole_file, write_text
from polynya.storage.ownership import check_free
from polynya.storage.uris import file_name
from training.model_folder.folder import RECIPE_FILE, model_path

Row = tuple[str, str, str]
"""File name of an image, title of a mask, run-length code."""


def submission(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of the trained model.")],
    maps: Annotated[
        Path, typer.Argument(metavar="MAPS", help="Folder of maps by 'polynya predict MODEL'.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="File to write: .csv of run-length codes, .tar of masks."),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            help="Size in which pixels are numbered, such as 350x525; default: that of each image.",
        ),
    ] = None,
    order: Annotated[
        Order, typer.Option(help="Whether pixels are numbered down the columns or along the rows.")
    ] = "columns",
) -> None:
    """Write all maps of a folder as one file, as competitions want them.

    A CSV file has run-length codes, as Kaggle's competitions have: the columns Image_Label and
    EncodedPixels, and one row for each image and class, such as a.jpg_Fish; the code of a class
    that an image doesn't have is empty. A .tar file has an int8 GeoTIFF for each tile, ID_kelp.tif
    of ID_satellite.tif, as DrivenData's "Kelp Wanted" has.
    """
    shape = parse_size(size) if size else None
    if not (model / RECIPE_FILE).is_file() or not model_path(model).is_file():
        raise ModelError(f"{model} is no folder of a trained model; give the one of 'predict'.")
    recipe = load_recipe(model / RECIPE_FILE)
    classes, is_tar = recipe.classes, out.suffix == ".tar"
    if is_tar:
        check_kelp(recipe, shape)
    scenes = mapped_scenes(maps)
    check_maps(scenes, maps, file_digest(model_path(model)))
    output_folder(out.parent)
    check_free([out])
    if is_tar:
        masks = kelp_masks(scenes, maps)
        with whole_file(out) as temporary:
            write_submission(str(temporary), masks)
        typer.echo(f"{out}: masks of {len(scenes)} tiles")
        return
    rows = submission_rows(scenes, maps, classes, shape, order)
    write_text(out, csv_text(rows))
    typer.echo(f"{out}: {len(rows)} rows of {len(scenes)} images")


def check_maps(scenes: Sequence[MappedScene], folder: Path, digest: str) -> None:
    """Make sure that a folder has maps, all of one model and of images with different names.

    Args:
        scenes: Scenes with maps in the folder.
        folder: The folder.
        digest: Digest of the model.

    Raises:
        SceneError: It is not so.
    """
    if not scenes:
        raise SceneError(f"{folder} has no maps; make them with 'polynya predict'.")
    places: dict[str, str] = {}
    for scene in scenes:
        path = ProductPaths(folder, scene.id).map
        if map_tags(path).get("model_digest") != digest:
            raise SceneError(
                f"{path} is of another model; predict the images again, into a folder of their own."
            )
        other = places.setdefault(file_name(scene.place), scene.place)
        if other != scene.place:
            raise SceneError(
                f"{other} and {scene.place} have one name, and a submission tells images apart by"
                " their names; map them into different folders."
            )


def check_kelp(recipe: Recipe, size: Size | None) -> None:
    """Make sure that maps can be written as a submission of kelp masks.

    Raises:
        RecipeError: The model isn't one of kelp tiles, or a size is given.
    """
    if recipe.imports is None or recipe.imports.kind != "kelp" or recipe.classes.n_classes != 1:
        raise RecipeError(
            "A .tar file is for models of tiles that 'polynya import kelp' has read and that have"
            " one mask; name a .csv file as --out."
        )
    if size is not None:
        raise RecipeError("Masks in a .tar file have the size of their tiles; leave --size out.")


def kelp_masks(
    scenes: Sequence[MappedScene], folder: Path
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Read the id and the mask, bool (H, W), of each map; False where the tile has no data.

    Raises:
        SceneError: A map can't be read, or a tile isn't named ID_satellite.tif.
    """
    for scene in track(scenes, "Writing masks"):
        name = file_name(scene.place)
        if not name.endswith(TILE_SUFFIX):
            raise SceneError(
                f"{name} isn't named ID{TILE_SUFFIX}, so its mask has no name in a submission; give"
                " the tile the name that it has in the competition and predict it again."
            )
        labels = read_map(ProductPaths(folder, scene.id).map)
        yield name.removesuffix(TILE_SUFFIX), labels == 1


def submission_rows(
    scenes: Sequence[MappedScene],
    folder: Path,
    classes: ClassScheme,
    size: Size | None = None,
    order: Order = "columns",
) -> list[Row]:
    """Encode the maps of a folder, a row for each image and class.

    Args:
        scenes: Scenes with maps in the folder.
        folder: The folder.
        classes: Scheme of the maps.
        size: Rows and columns of the masks, by the nearest pixels; default: those of each map.
        order: Whether pixels are numbered down the columns or along the rows.

    Raises:
        SceneError: A map can't be read.
    """
    rows = []
    for scene in track(scenes, "Encoding"):
        labels = read_map(ProductPaths(folder, scene.id).map)
        if size is not None:
            labels = fit_nearest(labels, Placement.stretched(*size))
        rows += mask_rows(file_name(scene.place), labels, classes, order)
    return rows
