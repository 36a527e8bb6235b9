"""The Spark job.

    spark-submit autolabel/job.py --scenes PATTERN... --out DIR [--recipe FILE]

Spark sends descriptions of units of work to Python workers. The workers read the pixels with GDAL,
label them, write the shards and return counts for the manifest. No pixel passes through the JVM.
Other engines run the same job: --engine processes, or

    mpirun -n 4 python -m mpi4py.futures autolabel/job.py --engine mpi --scenes ... --out ...
"""

from __future__ import annotations

import sys

try:
    from autolabel.commands import (
        EngineOption,
        MoreScenes,
        Out,
        Overwrite,
        Pictures,
        RecipeFile,
        Retries,
        Scenes,
        Workers,
        label,
    )
    from polynya.cli import run_script
    from polynya.recipe.overrides import Settings
except ModuleNotFoundError as error:
    sys.exit(
        f"Error: {sys.executable} runs this job and has no module {error.name}; unset"
        " PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON, or let them name the Python of Polynya."
    )


def job(
    scenes: Scenes,
    out: Out,
    more_scenes: MoreScenes = None,
    recipe: RecipeFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    engine: EngineOption = "spark",
    workers: Workers = None,
    retries: Retries = 2,
    pictures: Pictures = False,
) -> None:
    """Label scenes into shards, by thresholds or with rasters of labels, on Spark."""
    label(scenes, out, more_scenes, recipe, settings, overwrite, engine, workers, retries, pictures)


if __name__ == "__main__":
    run_script(job)
