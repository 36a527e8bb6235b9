"""`polynya onnx`: a network as an ONNX file for QGIS with the plugin Deepness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autolabel.filters.registry import find_filter
from inference.deepness.conversion import (
    check_file,
    converted,
    libraries,
    of_tiles,
    output_names,
)
from inference.deepness.metadata import deepness_metadata, left_out
from inference.predict.decision import Decision, read_decision
from inference.predict.predict import largest_window, open_model
from polynya.errors import ModelError
from polynya.progress import console
from polynya.provenance import file_digest, provenance
from polynya.storage.files import output_folder, whole_file
from polynya.storage.ownership import check_free
from training.model_folder.folder import model_path

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


def onnx(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, such as model.onnx.")],
    tile_size: Annotated[
        int | None,
        typer.Option(min=1, help="Edge of the tiles in pixels; default: windows of the recipe."),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Metres a pixel of the images; default: not written."),
    ] = None,
) -> None:
    """Write a network as an ONNX file for QGIS with the plugin Deepness (docs/maps.md).

    The file takes tiles as Deepness makes them and gives the probabilities of the model. It is run
    and compared with the model before it gets its name.
    """
    if out.suffix != ".onnx":
        raise typer.BadParameter("give a file that ends in .onnx", param_hint="--out")
    tools = libraries()
    opened = open_model(model)
    recipe, network = opened.recipe, opened.keras_model
    edge = tile_edge(opened, tile_size)
    decision = read_decision(model, recipe)
    options = recipe.inference
    if resolution is not None and options.slice:
        resolution *= options.slice / largest_window(opened)
    seen = of_tiles(network, recipe)
    facts = deepness_metadata(
        recipe.classes,
        decision,
        bands=network.inputs[0].shape[-1],
        edge=edge,
        overlap=options.overlap,
        resolution=resolution,
    )
    facts |= {"bands": json.dumps(recipe.scene.seen_bands)}
    facts |= provenance(recipe, model_digest=file_digest(model_path(model)))
    output_folder(out.parent)
    check_free([out])
    proto = converted(seen, edge, output_names(recipe.classes))
    tools.onnx.helper.set_model_props(proto, facts)
    with whole_file(out) as temporary:
        tools.onnx.save(proto, temporary)
        difference = check_file(temporary, seen, edge)
    for note in notes(opened, decision):
        console.print(f"Note: {note}", style="yellow", markup=False, soft_wrap=True)
    typer.echo(
        f"{out}: tiles of {edge} x {edge} pixels; probabilities differ from the model's by at most"
        f" {difference:.1g}"
    )


def tile_edge(model: TrainedModel, wanted: int | None) -> int:
    """Find the edge of the tiles.

    Raises:
        ModelError: The model can't take tiles of this size, or none that are square.
    """
    _, height, width, _ = model.keras_model.inputs[0].shape
    multiple = model.recipe.model.multiple
    if height != width or (height and wanted not in (None, height)):
        raise ModelError(
            f"The model in {model.folder} takes images of {height} x {width} pixels only, and"
            " Deepness square tiles of the model's size; leave --tile-size out, or give another"
            " model."
        )
    if wanted is not None and wanted % multiple:
        near = multiple * max(1, round(wanted / multiple))
        raise ModelError(
            f"The model in {model.folder} takes images whose edge is a multiple of {multiple}"
            f" pixels; give, for example, --tile-size {near}."
        )
    return height or wanted or largest_window(model)


def notes(model: TrainedModel, decision: Decision) -> Iterator[str]:
    """Yield a sentence for each step of `polynya predict` that the file lacks."""
    recipe = model.recipe
    label, first = recipe.label, recipe.inference.filter
    learnt = label.images == "filtered" and find_filter(label.method).changes_images
    if learnt or first != "as-trained":
        name = first if first != "as-trained" else label.method
        yield (
            f"the model sees scenes without thin cloud and shadow (filter {name}), and the file has"
            " no filter: give it clear scenes."
        )
    if recipe.inference.size:
        rows, columns = recipe.inference.size
        yield (
            f"the model sees scenes resized to {rows} x {columns} pixels: set the resolution in"
            " Deepness so that they have about as many."
        )
    if keys := left_out(recipe.classes, decision):
        yield (
            f"the file gives the model's probabilities alone; {', '.join(keys)} of its decision are"
            " steps of 'polynya predict'."
        )
