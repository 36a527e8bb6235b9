"""Command line of the benchmark of maps: `python -m benchmarks.maps --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.tables import write_markdown
from benchmarks.labelling.runs.data import LARGE_SIZE, SOURCE_SIZE, make_large_scene
from benchmarks.maps.models import ARCHITECTURES, save_untrained
from benchmarks.maps.seams import measure_seams, seams_table
from benchmarks.maps.speed import WAYS, measure_speed, speed_table
from polynya.cli import one_sentence_errors
from polynya.recipe.inference import Blend
from polynya.scenes.truth import SKIES
from polynya.storage.files import output_folder

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

OUT = Path("runs/bench/maps")

CUTS: tuple[tuple[Blend, int, float], ...] = (
    ("hann", 896, 0.0625),
    ("hann", 1024, 0.25),
    ("hann", 512, 0.25),
    ("hann", 512, 0.5),
    ("hann", 256, 0.5),
    ("trimmed", 512, 0.5),
    ("trimmed", 256, 0.5),
    ("trimmed", 256, 0.0),
)
"""Blend, window and overlap; the first is the default, the last has no overlap at all."""

VALIDATION = (
    *(f"data_samples/scenes/train/*_{sky}.tif" for sky in SKIES),
    *(f"runs/demo/scenes/*_{sky}.tif" for sky in SKIES if sky != "clear"),
)
"""The scenes that the demo labels; those that trained the model are left out later."""
HELDOUT = tuple(f"data_samples/scenes/heldout/*_{sky}.tif" for sky in SKIES)

OutOption = Annotated[Path, typer.Option(help="Folder for tables and runs; made if missing.")]


@app.command()
@one_sentence_errors
def speed(
    size: Annotated[int, typer.Option(min=256, help="Height and width of the scene.")] = LARGE_SIZE,
    models: Annotated[str, typer.Option(help="Separated by commas.")] = ",".join(ARCHITECTURES),
    trained: Annotated[
        Path | None, typer.Option(help="Folder of a trained model to measure as well.")
    ] = None,
    ways: Annotated[str, typer.Option(help="Numbers of ways, from 0; default: all.")] = "",
    data: Annotated[Path, typer.Option(help="Folder that keeps the scene.")] = Path(
        "runs/bench/labelling/data"
    ),
    out: OutOption = OUT,
) -> None:
    """Map one scene of a satellite's size: the published way, ours, memory."""
    folder = output_folder(out).absolute()
    work = output_folder(folder / "work")
    scene = make_large_scene(data.absolute(), size, min(size, SOURCE_SIZE))
    names = [name for name in models.split(",") if name]
    folders = {name: save_untrained(work / name, name) for name in names}
    if trained is not None:
        folders[trained.name] = trained.absolute()
    every = list(WAYS)
    wanted = [every[int(number)] for number in ways.split(",")] if ways else every
    runs = measure_speed(folders, scene, wanted, work)
    table = speed_table(runs, f"A scene of {size} x {size} pixels to a map")
    table.print()
    table.write_csv(folder / "speed.csv")
    about = (
        "Whole commands, from their start to their end; models with the weights they begin with."
    )
    write_markdown(folder / "speed.md", "Maps: speed and memory", about, _command(), [table])


@app.command()
@one_sentence_errors
def seams(
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")] = Path(
        "runs/demo/model"
    ),
    scenes: Annotated[int, typer.Option(min=1, help="Scenes to map.")] = 6,
    size: Annotated[int, typer.Option(min=256, help="Their height and width in pixels.")] = 2048,
    out: OutOption = OUT,
) -> None:
    """Compare maps made of windows with maps in one piece: probabilities, classes, seams."""
    from inference.predict.predict import open_model

    folder = output_folder(out).absolute()
    opened = open_model(model)
    runs = measure_seams(
        opened, CUTS, output_folder(folder / "work/seams"), scenes=scenes, size=size
    )
    table = seams_table(runs, f"{scenes} scenes of {size} x {size} pixels against one piece")
    table.print()
    table.write_csv(folder / "seams.csv")
    about = f"Model: {model}. Rates of class changes are over those of the map in one piece."
    write_markdown(folder / "seams.md", "Maps: seams", about, _command(), [table])


@app.command()
@one_sentence_errors
def decisions(
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")] = Path(
        "runs/demo/model"
    ),
    shards: Annotated[
        Path, typer.Option(help="What it was trained on; a second model is trained on it.")
    ] = Path("runs/demo/shards"),
    validation: Annotated[
        list[str] | None, typer.Option(help="Pattern of scenes with truth for the search.")
    ] = None,
    heldout: Annotated[
        list[str] | None, typer.Option(help="Pattern of scenes with truth to score.")
    ] = None,
    out: OutOption = OUT,
) -> None:
    """Measure what turns, an ensemble, weights of classes and tidying gain on held-out scenes."""
    from benchmarks.maps.decisions import decisions_table, measure_decisions, train_second
    from inference.predict.predict import open_model
    from inference.tune.command import trials_table

    folder = output_folder(out).absolute()
    opened = open_model(model.absolute())
    second = train_second(opened, shards.absolute(), folder / "work/second")
    runs, trials = measure_decisions(
        opened,
        second,
        validation or list(VALIDATION),
        heldout or list(HELDOUT),
        folder / "work/ensemble",
    )
    tables = [
        decisions_table(runs, "From probabilities to classes, on held-out scenes"),
        trials_table(trials, "mean_iou"),
    ]
    for name, table in zip(("decisions", "search"), tables, strict=True):
        table.print()
        table.write_csv(folder / f"{name}.csv")
    about = f"Model: {model}, and a second one of the same recipe with another seed."
    write_markdown(
        folder / "decisions.md", "Maps: decisions and ensembles", about, _command(), tables
    )


@app.command()
@one_sentence_errors
def gaps(
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")] = Path(
        "runs/demo/model"
    ),
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each generator.")] = 20,
    size: Annotated[int, typer.Option(min=256, help="Their height and width in pixels.")] = 512,
    picture: Annotated[
        list[str] | None, typer.Option(help="A real picture without gaps, to cut holes into.")
    ] = None,
    out: OutOption = OUT,
) -> None:
    """Count what is wrong beside pixels without data, and what was if they were left black."""
    from benchmarks.maps.gaps import gaps_table, measure_gaps
    from inference.predict.predict import open_model

    folder = output_folder(out).absolute()
    work = output_folder(folder / "work/gaps")
    opened = open_model(model.absolute())
    counts = measure_gaps(opened, picture or [], work, scenes=scenes, size=size)
    table = gaps_table(counts, "Pixels that are wrong, in %, by distance from the nearest gap")
    table.print()
    table.write_csv(folder / "gaps.csv")
    about = f"Model: {model}. Of pictures, what differs from the map of the picture without gaps."
    write_markdown(folder / "gaps.md", "Maps: beside gaps", about, _command(), [table])


def _command() -> str:
    return " ".join(["python -m benchmarks.maps", *sys.argv[1:]])


if __name__ == "__main__":
    app()
