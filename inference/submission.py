"""`polynya submission`: maps of many images as one CSV file of run-length codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from autolabel.importers.prepare import Placement, fit_nearest
from autolabel.importers.rle import mask_rows
from inference.predict.resize import Size
from inference.products.class_map import map_tags, read_map
from inference.products.paths import ProductPaths
from inference.run.map_names import MappedScene, mapped_scenes
from polynya.errors import ModelError, SceneError
from polynya.progress import track
from polynya.provenance import file_digest
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import load_recipe
from polynya.run_length import Order, csv_text
from polynya.sizes import parse_size
from polynya.storage.files import output_folder, write_text
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
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
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
    """Write all maps of a folder as run-length codes, as Kaggle's competitions want them.

    The table has the columns Image_Label and EncodedPixels, and one row for each image and class,
    such as a.jpg_Fish; the code of a class that an image doesn't have is empty.
    """
    shape = parse_size(size) if size else None
    if not (model / RECIPE_FILE).is_file() or not model_path(model).is_file():
        raise ModelError(f"{model} is no folder of a trained model; give the one of 'predict'.")
    classes = load_recipe(model / RECIPE_FILE).classes
    scenes = mapped_scenes(maps)
    check_maps(scenes, maps, file_digest(model_path(model)))
    output_folder(out.parent)
    check_free([out])
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
