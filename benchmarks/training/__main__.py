"""Command line of the training benchmark: `python -m benchmarks.training --help`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmarks.training import steps
from benchmarks.training.efficiency import SETUPS
from benchmarks.training.predict import PAPER_BATCH, PAPER_RUNS, from_throughput
from benchmarks.training.ranks.workload import PAPER, Workload
from polynya.cli import one_sentence_errors
from polynya.storage.files import output_folder

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

OUT = Path("runs/bench/training")
SMALL_STEP = replace(PAPER, batch=1, tile=64)

OutOption = Annotated[Path, typer.Option(help="Folder for tables; made if missing.")]
RepetitionsOption = Annotated[int, typer.Option(min=1, help="Measurements; their median counts.")]
SecondsOption = Annotated[float, typer.Option(min=0.01, help="Of one measurement on one core.")]
TileOption = Annotated[
    int | None, typer.Option(min=32, help="Height and width of a tile; default: the model's.")
]
BatchOption = Annotated[int | None, typer.Option(min=1, help="Of a rank; default: the model's.")]


@app.callback(invoke_without_command=True)
def everything(context: typer.Context, out: OutOption = OUT) -> None:
    """Run the commands below one after the other; each has options of its own."""
    if context.invoked_subcommand is not None:
        return
    efficiency(out=out)
    table(out=out)
    overhead(out=out)
    model(out=out)


@app.command()
@one_sentence_errors
def efficiency(
    models: Annotated[
        str, typer.Option(help=f"Separated by commas, of {', '.join(steps.WORKLOADS)}.")
    ] = "paper,large,largest",
    launchers: Annotated[
        Literal["gloo", "mpi", "both"], typer.Option(help="What starts the ranks.")
    ] = "both",
    seconds: SecondsOption = 5.0,
    repetitions: RepetitionsOption = 5,
    tile: TileOption = None,
    batch: BatchOption = None,
    out: OutOption = OUT,
) -> None:
    """Two ranks on two cores against one rank on one of them."""
    setups = [s for s in SETUPS if launchers == "both" or not _other(s, launchers)]
    chosen = [steps.resized(w, tile, batch) for w in _workloads(models)]
    steps.compare_cores(_work(out), chosen, seconds, repetitions, setups)


@app.command()
@one_sentence_errors
def table(
    ranks: Annotated[str, typer.Option(help="Numbers of ranks, the first is 1.")] = "1,2",
    tiles: Annotated[int, typer.Option(min=1, help="Of an epoch.")] = 96,
    epochs: Annotated[int, typer.Option(min=1, help="Of each number of ranks.")] = 3,
    launcher: Annotated[Literal["gloo", "mpi"], typer.Option(help="What starts ranks.")] = "gloo",
    traffic: Annotated[str, typer.Option(help="Numbers of ranks whose bytes count.")] = "2,3,4",
    tile: TileOption = None,
    batch: BatchOption = None,
    out: OutOption = OUT,
) -> None:
    """Time, speed-up and efficiency by ranks, as the paper's Table III; the ring's bytes."""
    workload = steps.resized(PAPER, tile, batch)
    steps.compare_ranks(
        _work(out), workload, _numbers(ranks), tiles, epochs, launcher, _numbers(traffic)
    )


@app.command()
@one_sentence_errors
def overhead(
    seconds: SecondsOption = 4.0,
    repetitions: RepetitionsOption = 5,
    tile: TileOption = None,
    batch: BatchOption = None,
    out: OutOption = OUT,
) -> None:
    """A step of our trainer against one of Keras' fit, on one rank."""
    workloads = [steps.resized(w, tile, batch) for w in (replace(PAPER, batch=8), SMALL_STEP)]
    steps.compare_with_fit(_work(out), list(dict.fromkeys(workloads)), seconds, repetitions)


@app.command()
@one_sentence_errors
def model(
    images_per_second: Annotated[
        float, typer.Option(help="Of one GPU alone; default: the paper's A100.")
    ] = PAPER_RUNS[0].images_per_second,
    batch: Annotated[int, typer.Option(min=1, help="Of one GPU.")] = PAPER_BATCH,
    fixed_ms: Annotated[
        float, typer.Option(help="Of a step whatever its batch; gpu.py measures it.")
    ] = 5.0,
    cycle_ms: Annotated[float, typer.Option(help="HOROVOD_CYCLE_TIME.")] = 1.0,
    gradient_bytes: Annotated[
        Literal["4", "2"], typer.Option(help="Of a parameter; 2 with compression.")
    ] = "4",
    out: OutOption = OUT,
) -> None:
    """What 8 to 512 GPUs would do, from one GPU's speed and the links between them."""
    alone = from_throughput(images_per_second, batch, steps.paper_layers(), fixed_ms * 1e-3)
    training = replace(alone, cycle_s=cycle_ms * 1e-3, gradient_bytes_each=int(gradient_bytes))
    steps.predict_clusters(_work(out), training)


def _other(setup: str, launcher: str) -> bool:
    """Whether a set-up needs the other launcher."""
    return setup.lower().endswith({"gloo": "mpi", "mpi": "gloo"}[launcher])


def _workloads(words: str) -> list[Workload]:
    names = words.split(",")
    unknown = [name for name in names if name not in steps.WORKLOADS]
    if unknown:
        raise typer.BadParameter(f"there is no model {unknown[0]}.", param_hint="--models")
    return [steps.WORKLOADS[name] for name in names]


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _work(out: Path) -> steps.Work:
    command = " ".join(["python -m benchmarks.training", *sys.argv[1:]])
    return steps.Work(output_folder(out).absolute(), command)


if __name__ == "__main__":
    app()
