"""Command line of the labelling benchmark: `python -m benchmarks.labelling --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.commands import BenchMethod
from benchmarks.labelling import steps
from benchmarks.labelling.simulation.estimate import Place
from polynya.cli import one_sentence_errors
from polynya.storage.files import output_folder

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

OUT = Path("runs/bench/labelling")

ScenesOption = Annotated[int, typer.Option(min=2, help="Scenes to label.")]
SizeOption = Annotated[int, typer.Option(min=64, help="Their height and width in pixels.")]
TileOption = Annotated[int, typer.Option(min=16, help="Height and width of a tile in pixels.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="How often everything is run.")]
CoresOption = Annotated[int, typer.Option(min=1, help="Of Spark's local[N].")]
MethodOption = Annotated[BenchMethod, typer.Option(help="Filter of Polynya's job.")]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Processes that make scenes; default: one a core.")
]
OutOption = Annotated[Path, typer.Option(help="Folder for tables and runs; made if missing.")]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder that keeps the scenes; default: data in --out.")
]
LargeOption = Annotated[int, typer.Option(min=64, help="Height and width of the scene.")]


@app.callback(invoke_without_command=True)
def everything(
    context: typer.Context,
    rounds: RoundsOption = 3,
    out: OutOption = OUT,
    data: DataOption = None,
) -> None:
    """Run the commands below one after the other; each has options of its own."""
    if context.invoked_subcommand is not None:
        return
    compare(rounds=rounds, out=out, data=data)
    scale(rounds=rounds, out=out, data=data)
    large(rounds=rounds, out=out, data=data)
    estimate(out=out)


@app.command()
@one_sentence_errors
def compare(
    scenes: ScenesOption = 64,
    size: SizeOption = 2048,
    tile: TileOption = 256,
    rounds: RoundsOption = 3,
    cores: CoresOption = 2,
    jobs: JobsOption = None,
    out: OutOption = OUT,
    data: DataOption = None,
) -> None:
    """Run the published pipeline and Polynya's on the same pixels."""
    work = steps.Work(output_folder(out).absolute(), data, _command())
    steps.compare_pipelines(work, scenes, size, tile, rounds, cores, jobs)


@app.command()
@one_sentence_errors
def scale(
    scenes: ScenesOption = 64,
    size: SizeOption = 2048,
    tile: TileOption = 256,
    rounds: RoundsOption = 3,
    method: MethodOption = "illumination",
    engines: Annotated[
        str, typer.Option(help=f"Separated by commas; default: all of {', '.join(steps.ENGINES)}.")
    ] = "",
    jobs: JobsOption = None,
    out: OutOption = OUT,
    data: DataOption = None,
) -> None:
    """Label by every engine on one and on more workers; the paper's Tables I and II."""
    work = steps.Work(output_folder(out).absolute(), data, _command())
    steps.measure_engines(work, scenes, size, tile, rounds, method, engines, jobs)


@app.command()
@one_sentence_errors
def large(
    size: LargeOption = 10980,
    tile: TileOption = 256,
    rounds: RoundsOption = 3,
    method: MethodOption = "illumination",
    engines: Annotated[str, typer.Option(help="Separated by commas.")] = "spark local,processes",
    out: OutOption = OUT,
    data: DataOption = None,
) -> None:
    """Label one scene of a satellite's size: memory, and how soon there are shards."""
    work = steps.Work(output_folder(out).absolute(), data, _command())
    steps.measure_large(work, size, tile, rounds, method, engines)


_EXAMPLE = Place()


@app.command()
@one_sentence_errors
def estimate(
    counts: Annotated[str, typer.Option(help="Numbers of scenes.")] = "10000,1000000",
    executors: Annotated[str, typer.Option(help="Numbers of executors.")] = "10,100,1000",
    size: LargeOption = 10980,
    cores: Annotated[int, typer.Option(help="Of an executor.")] = _EXAMPLE.cores,
    scene_mb: Annotated[float, typer.Option(help="A scene as stored.")] = _EXAMPLE.scene_mb,
    shard_mb: Annotated[float, typer.Option(help="Shards of a scene.")] = _EXAMPLE.shard_mb,
    latency: Annotated[float, typer.Option(help="Seconds of a request.")] = _EXAMPLE.latency_s,
    executor_gbit: Annotated[
        float, typer.Option(help="Network of an executor, Gbit/s.")
    ] = _EXAMPLE.executor_gbit,
    store_gbit: Annotated[float, typer.Option(help="Object store, Gbit/s.")] = _EXAMPLE.store_gbit,
    store_requests: Annotated[
        float, typer.Option(help="Requests a second to a folder of the store.")
    ] = _EXAMPLE.store_requests,
    executor_hour: Annotated[
        float, typer.Option(help="$; this and the next are examples of January 2025.")
    ] = _EXAMPLE.executor_hour,
    driver_hour: Annotated[float, typer.Option(help="$.")] = _EXAMPLE.driver_hour,
    thousand_writes: Annotated[float, typer.Option(help="$.")] = _EXAMPLE.thousand_writes,
    thousand_reads: Annotated[float, typer.Option(help="$.")] = _EXAMPLE.thousand_reads,
    egress_gb: Annotated[float, typer.Option(help="$.")] = _EXAMPLE.egress_gb,
    out: OutOption = OUT,
) -> None:
    """Time and money of many scenes on many executors, from the costs that `scale` measured."""
    place = Place(
        cores=cores,
        scene_mb=scene_mb,
        shard_mb=shard_mb,
        latency_s=latency,
        executor_gbit=executor_gbit,
        store_gbit=store_gbit,
        store_requests=store_requests,
        executor_hour=executor_hour,
        driver_hour=driver_hour,
        thousand_writes=thousand_writes,
        thousand_reads=thousand_reads,
        egress_gb=egress_gb,
    )
    work = steps.Work(output_folder(out).absolute(), None, _command())
    steps.estimate_runs(work, _numbers(counts), _numbers(executors), size, place)


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _command() -> str:
    return " ".join(["python -m benchmarks.labelling", *sys.argv[1:]])


if __name__ == "__main__":
    app()
