"""The Spark job.

    spark-submit autolabel/job.py --scenes PATTERN... --out DIR [--recipe FILE]

Spark ships numbers of scenes; Python workers read the pixels with GDAL, label them and write
the shards; rows of the manifest come back. No pixel passes through the JVM.
"""

from __future__ import annotations

from typing import Annotated

import typer

from autolabel.commands import MoreScenes, Out, Overwrite, RecipeFile, Scenes
from autolabel.run import run_labelling
from autolabel.spark import spark_engine
from polynya.cli import run_script


def job(
    scenes: Scenes,
    out: Out,
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    overwrite: Overwrite = False,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Tasks to spread the scenes over; default: one a scene."),
    ] = None,
) -> None:
    """Label scenes by colour thresholds into shards, on Spark."""
    patterns = [*scenes, *(more_scenes or [])]
    run_labelling(patterns, out, recipe, overwrite, spark_engine(partitions))


if __name__ == "__main__":
    run_script(job)
